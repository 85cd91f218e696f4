"""Machines of their own on this one: each has a network, a disk and a name, and they share a switch and nothing else.

A machine is the namespaces of a process that does nothing; it is gone with that. Needs Linux and root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TMP = tempfile.gettempdir()
"""What is a disk of its own on each machine; this checkout they see all, as if each had installed it."""


@dataclass(frozen=True)
class Machine:
    """A machine: its name and address, and the process whose namespaces it is."""

    name: str
    address: str
    process: int

    def command(self, command: Sequence[str]) -> list[str]:
        """How a command is started on it."""
        inside = ["nsenter", f"--target={self.process}", "--net", "--mount", "--uts"]
        return [*inside, "sh", "-c", f'cd {TMP} && exec "$@"', "sh", *command]

    def run(self, *command: str) -> str:
        """What a command on it prints."""
        done = subprocess.run(self.command(command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def machines(names: Sequence[str], disks: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Machine]]]:
    """The address of this machine on the switch, and the machines by name.

    Parameters
    ----------
    names
        What they are called.
    disks
        The size of the disk of each; without one a machine sees the folders of this one.
    """
    if os.geteuid() or not all(map(shutil.which, ("ip", "unshare", "nsenter", "mount"))):
        pytest.skip("machines of their own need Linux's namespaces, and root")
    network, switch = f"10.213.{os.getpid() % 250}", f"mlops{os.getpid()}"
    with ExitStack() as stack:
        if subprocess.run(["ip", "link", "add", switch, "type", "bridge"], capture_output=True, check=False).returncode:
            pytest.skip("machines of their own need a bridge, which cannot be made here")
        stack.callback(_do, "ip", "link", "delete", switch)
        _do("ip", "address", "add", f"{network}.1/24", "dev", switch)
        _do("ip", "link", "set", switch, "up")
        addresses = {name: f"{network}.{number}" for number, name in enumerate(names, 2)}
        hosts = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
        found = {}
        for name, address in addresses.items():
            process = stack.enter_context(_held())
            found[name] = Machine(name, address, process)
            _plug_in(found[name], switch, disks.get(name), hosts)
        yield f"{network}.1", found


@contextmanager
def _held() -> Iterator[int]:
    # it says when it has its namespaces
    command = [
        "unshare",
        "--net",
        "--mount",
        "--uts",
        "--propagation=private",
        "sh",
        "-c",
        "echo here; exec sleep 86400",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def _plug_in(machine: Machine, switch: str, disk: str | None, hosts: str) -> None:
    plug = f"{switch}-{machine.address.rpartition('.')[2]}"
    _do(
        "ip", "link", "add", plug, "master", switch, "up", "type", "veth", "peer", "eth0", "netns", str(machine.process)
    )
    machine.run("ip", "link", "set", "lo", "up")
    machine.run("ip", "address", "add", f"{machine.address}/24", "dev", "eth0")
    machine.run("ip", "link", "set", "eth0", "up")
    machine.run("hostname", machine.name)
    if disk:
        machine.run("mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", TMP)
    own = f"{TMP}/{switch}-hosts" if not disk else f"{TMP}/hosts"
    machine.run("sh", "-c", f"printf '{hosts}' > {own} && mount --bind {own} /etc/hosts && rm -f {own}")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def see_nothing_of(machine: Machine, path: Path) -> bool:
    """Whether a path of this machine is none of that one."""
    return machine.run("sh", "-c", f"test -e {path} && echo there || echo none").strip() == "none"
