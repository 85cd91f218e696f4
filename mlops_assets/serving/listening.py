"""Where a server listens: a port that is its own, and an address that lets in nobody by accident."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mlops_assets.errors import UsageError
from mlops_assets.serving.guard import VARIABLE, Site

LISTENS = "0A"
"""The state of a listening socket in Linux's table of them."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Parameters
    ----------
    host
        Address of this machine.
    port
        The port.

    Returns
    -------
    socket.socket
        To be served from, or closed.

    Raises
    ------
    UsageError
        If something else listens there, or the address is none of this machine; it says what to do.
    """
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port {port}: a port is a number from 1 to 65535.")
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(_taken(host, port)) from None
        raise UsageError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Name others: --host, --port."
        ) from None


def _taken(host: str, port: int) -> str:
    process = listener(port)
    if process is None:
        return f"Port {port} of {host} is taken by another process. Choose another one: --port {port + 1}."
    words = (Path("/proc") / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    shown = re.sub(r"[^ -~]", "?", words).strip()[:100]
    return (
        f"Port {port} of {host} is taken by process {process} ({shown}). "
        f"End that one (kill {process}), or choose another port: --port {port + 1}."
    )


def listener(port: int) -> int | None:
    """The process that listens on a port, where the system tells: Linux, of one's own processes."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is somebody else's
            for open_file in (process / "fd").iterdir():
                if sockets and str(open_file.readlink()) in sockets:
                    return int(process.name)
    return None


def _listening(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(words[9])
    return found


def check_address(host: str, hosts: Collection[Site]) -> str | None:
    """Look at who can reach an address.

    Parameters
    ----------
    host
        Where a server is to listen.
    hosts
        The names by which it may be called.

    Returns
    -------
    str | None
        What people must know of it; None if this machine alone reaches it.

    Raises
    ------
    UsageError
        If others reach it, and no name is listed by which they may call it.
    """
    site = Site.parse(f"[{host}]" if ":" in host else host)
    if site is not None and site.is_loopback:
        return None
    known = "Dagster asks for no password: whoever reaches it may start, stop and delete runs, and read all of them"
    if not hosts:
        raise UsageError(
            f"--host {host}: other machines would reach it. {known}. List the names by which people may call it, such "
            f"as {VARIABLE}=dagster.example.com, and put a proxy with a login before it; or leave --host out."
        )
    names = ", ".join(site.name if site.port is None else f"{site.name}:{site.port}" for site in hosts)
    return f"{host} can be reached from other machines. {known}. Browsers are let in by these names: {names}."
