"""A real S3 server on loopback: Ceph's radosgw in front of a monitor and one OSD that keeps its objects in memory.

It holds what it is given until it is stopped; a gateway that is killed and started again has lost nothing.
Debian's packages: ceph-mon ceph-osd ceph-common radosgw.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")
MEMORY = 2 << 30
"""Most bytes that the server holds."""

ATTEMPTS = 3

PATIENCE = 60.0
"""Seconds that one of its processes may take to be there; on a busy machine 10 are not enough."""

CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{monitor}
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = false
run dir = {folder}
admin socket =
log file = {folder}/$name.log
log to stderr = false
err to stderr = false
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 0
mon data avail warn = 0
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {memory}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
osd crush update on start = false
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 64
rgw enable usage log = false
rgw gc max objs = 1
rgw lc max objs = 1
rgw reshard num logs = 1
rgw num control oids = 1
rgw usage max shards = 1
rgw objexp hints num shards = 1
rgw data log num shards = 1
rgw md log max shards = 1
"""


class NotStarted(RuntimeError):
    """A process of the server ended, or was not there in time."""


@dataclass
class S3Server:
    """A running server.

    Attributes
    ----------
    url
        Its endpoint.
    access_key, secret_key
        The keys of its one user.
    """

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    _command: Sequence[str] = field(default=(), repr=False)
    _log: Path | None = field(default=None, repr=False)
    _gateway: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a client is told by its environment."""
        return {
            "S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start the gateway, and wait until it answers."""
        assert self._log is not None, "a server of this module"  # noqa: S101 - `s3_server` made it
        self._gateway = _process(self._command, self._log)
        deadline = time.monotonic() + PATIENCE
        while not answers(self.url):
            _still_there(self._gateway, self._command, self._log, deadline)
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the gateway where it stands; `start` brings it back with all that was stored."""
        if self._gateway is not None:
            self._gateway.kill()
            self._gateway.wait()
            self._gateway = None


def is_installed() -> bool:
    """Whether the server's programs are on this machine."""
    return all(shutil.which(program) for program in PROGRAMS)


@contextmanager
def s3_server(folder: Path, port: int | None = None) -> Iterator[S3Server]:
    """Start a server, and end it with the context.

    Parameters
    ----------
    folder
        Where its processes keep what they need; emptied first.
    port
        Where it listens; a free one by default.

    Raises
    ------
    NotStarted
        If one of its processes does not come up; the message has the end of its log.
    """
    with ExitStack() as stack:
        server = _started(folder, port, stack)
        yield server


def _started(folder: Path, port: int | None, outer: ExitStack) -> S3Server:
    """Start it; again if need be, for a port that was free may be taken by another meanwhile."""
    for attempt in range(ATTEMPTS):
        with ExitStack() as stack:
            try:
                server = _start(folder, port or free_port(), stack)
            except NotStarted:
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            outer.push(stack.pop_all())
            return server
    raise AssertionError  # the last attempt returns or raises


def _start(folder: Path, port: int, stack: ExitStack) -> S3Server:
    """Start its processes one after the other; `stack` ends them."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir(parents=True)
    fsid, osd, monitor = str(uuid.uuid4()), str(uuid.uuid4()), free_port()
    configuration = folder / "ceph.conf"
    values = {"fsid": fsid, "folder": folder, "monitor": monitor, "port": port, "memory": MEMORY}
    configuration.write_text(CONFIGURATION.format(**values), encoding="utf-8")
    known = ["--conf", str(configuration)]
    running: list[subprocess.Popen[bytes]] = []

    def run(*command: str) -> None:
        _run(command, running)

    def start(name: str, *arguments: str) -> None:
        process = _process([name, *known, *arguments, "--foreground"], folder / f"{name}.out")
        stack.callback(_end, process)
        running.append(process)

    monitors = str(folder / "monmap")
    run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{monitor}]", monitors)
    run("ceph-mon", *known, "--mkfs", "--id", "a", "--monmap", monitors)
    start("ceph-mon", "--id", "a")
    run("ceph", *known, "osd", "new", osd)
    run("ceph", *known, "osd", "crush", "add", "osd.0", "1", "root=default", "host=here")
    run("ceph-osd", *known, "--mkfs", "--id", "0", "--osd-uuid", osd)
    start("ceph-osd", "--id", "0")
    keys = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    user = ["--uid", "mlops", "--display-name", "mlops", "--access-key", keys[0], "--secret-key", keys[1]]
    run("radosgw-admin", *known, "user", "create", *user)
    command = ["radosgw", *known, "--name", "client.admin", "--foreground"]
    server = S3Server(f"http://127.0.0.1:{port}", *keys, command, folder / "radosgw.out")
    stack.callback(server.kill)
    server.start()
    return server


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
    return port


def _run(command: Sequence[str], needed: Sequence[subprocess.Popen[bytes]]) -> None:
    """Run a program to its end, while the processes that it needs are there."""
    with TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline and all(one.poll() is None for one in needed):
            time.sleep(0.02)
        if process.poll() is None:
            _end(process)
        if process.returncode:
            said.seek(0)
            gone = next((f"{one.args[0]} ended" for one in needed if one.poll() is not None), "")
            raise NotStarted(f"{command[0]} failed: {gone} {said.read().decode(errors='replace').strip()[-500:]}")


def _process(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A process in a group of its own, so that Ctrl-C is ours to answer."""
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)


def _still_there(process: subprocess.Popen[bytes], command: Sequence[str], log: Path, deadline: float) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise NotStarted(f"{command[0]} does not come up: {log.read_text(errors='replace').strip()[-500:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process; what it holds in memory is of no use to anybody."""
    process.kill()
    process.wait()


def answers(url: str) -> bool:
    """Whether a server listens there."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def main() -> None:
    """Serve until Ctrl-C: `python -m deploy.services.s3 FOLDER [PORT]`; prints the environment of its clients."""
    folder, port = Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with s3_server(folder, port) as server:
        for name, value in server.environment.items():
            print(f"export {name}={value}", flush=True)  # noqa: T201 - for the shell
        signal.pause()


if __name__ == "__main__":
    main()
