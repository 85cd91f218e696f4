"""All services of docker-compose.yml as processes, until Ctrl-C: `python -m deploy.services FOLDER`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from deploy.services.s3 import PROGRAMS, is_installed
from deploy.services.stack import NotHealthy, stack


def main() -> int:
    """Start them, print where they are, and tell of each that dies."""
    if not is_installed():
        print(f"Error: the S3 server needs {', '.join(PROGRAMS)}. On Debian: apt-get install ceph-mon ceph-osd radosgw")
        return 2
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    folder = Path(sys.argv[1]).absolute()
    try:
        with stack(folder, lambda line: print(line, flush=True)) as running:
            for name, address in running.addresses.items():
                print(f"{name:10} {address}")
            shell = folder / "environment"
            shell.write_text("".join(f"export {name}='{value}'\n" for name, value in running.environment.items()))
            shell.chmod(0o600)
            print(
                f"For mlops-assets in another terminal: . {shell}\nLogs: {folder}/*.log\nCtrl-C ends all of them.",
                flush=True,
            )
            while True:
                if any(process.code is not None for process in running.processes.values()):
                    running.revive(lambda line: print(line, flush=True))
                time.sleep(1)
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    except NotHealthy as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
