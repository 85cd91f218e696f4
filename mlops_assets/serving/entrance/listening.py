"""Where a server listens: a port that is its own, and an address that lets in nobody by accident."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mlops_assets.errors import UsageError
from mlops_assets.serving.entrance.guard import VARIABLE, Site

BACKLOG = 2048
"""Connections that may wait to be taken."""
LISTENS = "0A"
"""The state of a listening socket in Linux's table of them."""


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket that listens.

    Parameters
    ----------
    host
        Address of this machine.
    port
        The port.
    option
        The option that names it, for whoever has to name another one.

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
        raise UsageError(f"{option} {port}: a port is a number from 1 to 65535.")
    try:
        return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(_taken(host, port, option)) from None
        raise UsageError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Name others: --host, {option}."
        ) from None


def share(host: str, port: int) -> socket.socket:
    """A socket of a port that further processes of the same user share, and that does not listen yet.

    The system gives each new connection to one of the processes that listen, by chance; one of them that only holds
    the port gets none.

    Parameters
    ----------
    host
        Address of this machine.
    port
        The port, seen to be free.
    """
    shared = socket.socket(_family(host))
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind((host, port))
    return shared


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _taken(host: str, port: int, option: str) -> str:
    process = listener(port)
    if process is None:
        return f"Port {port} of {host} is taken by another process. Choose another one: {option} {port + 1}."
    words = (Path("/proc") / str(process) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    shown = re.sub(r"[^ -~]", "?", words).strip()[:100]
    return (
        f"Port {port} of {host} is taken by process {process} ({shown}). "
        f"End that one (kill {process}), or choose another port: {option} {port + 1}."
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


def is_loopback(host: str) -> bool:
    """Whether this machine alone reaches an address of it."""
    site = Site.parse(f"[{host}]" if ":" in host else host)
    return site is not None and site.is_loopback


def address(host: str, port: int) -> str:
    """Where a person looks, and a program asks."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


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
    if is_loopback(host):
        return None
    known = "Dagster asks for no password: whoever reaches it may start, stop and delete runs, and read all of them"
    if not hosts:
        raise UsageError(
            f"--host {host}: other machines would reach it. {known}. List the names by which people may call it, such "
            f"as {VARIABLE}=dagster.example.com, and put a proxy with a login before it; or leave --host out."
        )
    names = ", ".join(site.name if site.port is None else f"{site.name}:{site.port}" for site in hosts)
    return f"{host} can be reached from other machines. {known}. Browsers are let in by these names: {names}."


def check_api_address(host: str, hosts: Collection[Site], has_keys: bool) -> None:
    """See that the API lets in nobody by accident.

    Parameters
    ----------
    host
        Where it is to listen.
    hosts
        The names by which it may be called.
    has_keys
        Whether it asks for a key.

    Raises
    ------
    UsageError
        If others reach it without a key, or by no name; it says what to do.
    """
    if is_loopback(host):
        return
    others = f"--host {host}: other machines would reach the API"
    if not has_keys:
        raise UsageError(
            f"{others}, and whoever does could ask for anything and change the champion. Set MLOPS_API_KEYS: "
            "`mlops-assets serve --new-key NAME` makes a key and its entry; or leave --host out."
        )
    if not hosts:
        raise UsageError(
            f"{others}. List the names by which they may call it, such as {VARIABLE}=api.example.com; or leave --host "
            "out, and put a proxy on this machine before it."
        )
