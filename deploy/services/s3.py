"""A real S3 server on loopback: Ceph's radosgw in front of a monitor and one OSD.

The OSD keeps its objects in memory, which is there in a second and is what tests want, or in a file: then each of the
three processes may be killed and started again, and what was stored is still there.
Debian's packages: ceph-mon ceph-osd ceph-common radosgw.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import psutil

from deploy.healthy import DIRECT
from deploy.services.process import Health, NotHealthy, Process

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")
MEMORY = "osd objectstore = memstore\nmemstore device bytes = 2147483648"
"""Objects in memory, at most 2 GB; they are gone with the OSD."""

FILE = "osd objectstore = bluestore\nbluestore block size = 10737418240"
"""Objects in a file, at most 10 GB, which takes no more of the disk than is written to it; they outlive the OSD."""

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
{objects}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
osd crush update on start = false
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
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


class NotStarted(NotHealthy):
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
    processes
        Its processes, each after those that it needs.
    """

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    processes: tuple[Process, ...] = field(default=(), repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a client is told by its environment."""
        return {
            "S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def is_installed() -> bool:
    """Whether the server's programs are on this machine."""
    return all(shutil.which(program) for program in PROGRAMS)


@contextmanager
def s3_server(
    folder: Path, port: int | None = None, objects: str = MEMORY, held: tuple[int, ...] = ()
) -> Iterator[S3Server]:
    """Start a server, and end it with the context.

    Parameters
    ----------
    folder
        Where its processes keep what they need; emptied first.
    port
        Where it listens; a free one by default.
    objects
        Where it keeps its objects: `MEMORY` or `FILE`.
    held
        See `Process.held`.

    Raises
    ------
    NotStarted
        If one of its processes does not come up; the message has the end of its log.
    """
    for attempt in range(ATTEMPTS):  # a port that was free may be taken by another meanwhile
        with ExitStack() as stack:
            try:
                server = _start(_Folder(folder, objects, held), port or free_port(), stack)
            except NotHealthy as error:
                if attempt == ATTEMPTS - 1:
                    raise NotStarted(f"the S3 server: {error}") from error
                continue
            yield server
            return


@dataclass(frozen=True)
class _Folder:
    """Where the processes of a server keep what they need, and how they are started there."""

    path: Path
    objects: str
    held: tuple[int, ...]

    def write(self, fsid: str, monitor: int, port: int) -> list[str]:
        """Make it anew; what every program is told of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(mode=0o700, parents=True)  # the file of the objects has the keys of the user
        for name in ("mon", "osd", "rgw"):
            (self.path / name).mkdir(parents=True)
        configuration = self.path / "ceph.conf"
        values = {"fsid": fsid, "folder": self.path, "monitor": monitor, "port": port, "objects": self.objects}
        configuration.write_text(CONFIGURATION.format(**values), encoding="utf-8")
        return ["--conf", str(configuration)]

    def process(self, command: Sequence[str], health: Health, needs: tuple[str, ...], port: int | None) -> Process:
        """One of its processes."""
        name, log = command[0], self.path / f"{command[0]}.log"
        words = [*command, "--foreground", "--log-file", str(log)]
        return Process(
            name, words, dict(os.environ), log, health, needs, port, stop_signal=signal.SIGKILL, held=self.held
        )


def _start(folder: _Folder, port: int, stack: ExitStack) -> S3Server:
    """Start its processes one after the other; `stack` ends them."""
    fsid, osd, monitor = str(uuid.uuid4()), str(uuid.uuid4()), free_port()
    known = folder.write(fsid, monitor, port)
    running: list[Process] = []

    def run(*command: str) -> bytes:
        return _run(command, running)

    def start(command: Sequence[str], health: Health, needs: tuple[str, ...] = (), at: int | None = None) -> Process:
        process = folder.process(command, health, needs, at)
        stack.callback(process.kill)
        process.start()
        running.append(process)
        return process

    monitors = str(folder.path / "monmap")
    run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{monitor}]", monitors)
    run("ceph-mon", *known, "--mkfs", "--id", "a", "--monmap", monitors)
    start(["ceph-mon", *known, "--id", "a"], Health(partial(greets, monitor)), at=monitor)
    run("ceph", *known, "osd", "new", osd)
    run("ceph", *known, "osd", "crush", "add", "osd.0", "1", "root=default", "host=here")
    run("ceph-osd", *known, "--mkfs", "--id", "0", "--osd-uuid", osd)
    health = Health(lambda: greets(_listening(storage)))
    storage = start(["ceph-osd", *known, "--id", "0"], health, ("ceph-mon",))
    # the keys are its own choice: everybody on this machine can read the arguments of a program
    made = json.loads(run("radosgw-admin", *known, "user", "create", "--uid", "mlops", "--display-name", "mlops"))
    access_key, secret_key = made["keys"][0]["access_key"], made["keys"][0]["secret_key"]
    url = f"http://127.0.0.1:{port}"
    needs = ("ceph-mon", "ceph-osd")
    gateway = start(["radosgw", *known, "--name", "client.admin"], Health(partial(answers, url)), needs, port)
    gateway.wait(PATIENCE)
    return S3Server(url, access_key, secret_key, tuple(running))


def _listening(process: Process) -> int | None:
    """One of the ports on which a process of Ceph listens, if it does; all of them greet."""
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(process.pid).net_connections("tcp")
        return next((one.laddr.port for one in found if one.status == psutil.CONN_LISTEN), None)
    return None


def greets(port: int | None, patience: float = 5) -> bool:
    """Whether a process of Ceph greets on a port, as it does at once; one that hangs takes the call and is silent.

    Parameters
    ----------
    port
        The port; nobody greets on none.
    patience
        Seconds that it may take.
    """
    if port is None:
        return False
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as line:
            return line.recv(4) == b"ceph"
    except OSError:
        return False


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
    return port


def _run(command: Sequence[str], needed: Sequence[Process]) -> bytes:
    """Run a program to its end, while the processes that it needs are there; what it answers."""
    with TemporaryFile() as answer, TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=answer, stderr=said, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline and all(one.is_running for one in needed):
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.returncode:
            said.seek(0)
            gone = next((f"{one.name} {one.how_it_ended}" for one in needed if not one.is_running), "")
            raise NotStarted(f"{command[0]} failed: {gone} {said.read().decode(errors='replace').strip()[-500:]}")
        answer.seek(0)
        return answer.read()


def answers(url: str) -> bool:
    """Whether a server listens there."""
    try:
        with DIRECT.open(url, timeout=5):
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
