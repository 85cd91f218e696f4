"""All services of docker-compose.yml as processes, until Ctrl-C: `python -m deploy.services FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from deploy.services.folder import FolderTaken
from deploy.services.process import NotHealthy
from deploy.services.s3 import PROGRAMS, is_installed
from deploy.services.stack import PORTS, PortTaken, Stack, stack
from deploy.services.supervisor import GaveUp

TOLD = ("COMPOSE_PROFILES", "STACK_USE_CASES", "STACK_ENGINE")
"""What of `.env.example` the environment may say here."""


def main(arguments: list[str]) -> int:
    """Start them, print where they are, and tell of each that dies.

    Parameters
    ----------
    arguments
        The folder.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("Usage: python -m deploy.services FOLDER", file=sys.stderr)
        return 2
    if not is_installed():
        needed = ", ".join(PROGRAMS)
        print(
            f"Error: the S3 server needs {needed}. On Debian: apt-get install ceph-mon ceph-osd radosgw",
            file=sys.stderr,
        )
        return 2
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    folder = Path(arguments[0]).absolute()
    said = {name: os.environ[name] for name in (*PORTS, *TOLD) if os.environ.get(name)}
    try:
        with stack(folder, lambda line: print(line, flush=True), **said) as running:
            _tell_addresses(running)
            running.supervisor.watch()
    except KeyboardInterrupt:
        print("Stopped.")
    except (FolderTaken, PortTaken) as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 2
    except (NotHealthy, GaveUp) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _tell_addresses(running: Stack) -> None:
    for name, address in running.addresses.items():
        print(f"{name:10} {address}")
    exported = {**running.environment, "API_KEY": running.key}
    shell = running.folder / "environment"
    shell.touch(mode=0o600)
    shell.write_text("".join(f"export {name}='{value}'\n" for name, value in exported.items()))
    print(
        f"For mlops-assets in another terminal, and API_KEY for the API: . {shell}\n"
        f"Logs: {running.folder}/*.log. What dies is started again and told here. Ctrl-C ends all of them.",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
