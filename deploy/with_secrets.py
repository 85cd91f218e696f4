"""Starts a command whose secrets are given by files: `python -m deploy.with_secrets COMMAND...`.

For programs that are not ours, such as MLflow's server and Dagster's daemon; those of ours read the files themselves.
"""

from __future__ import annotations

import os
import sys

from mlops_assets.errors import UsageError
from mlops_assets.errors.secret_files import read_secret_files


def main(command: list[str]) -> int:
    """Become the command, with what the files hold in its environment; 2 if one of them cannot be read."""
    try:
        read_secret_files()
    except UsageError as error:
        sys.stderr.write(f"Error: {error}\n")
    else:
        os.execvp(command[0], command)  # noqa: S606 - it is what the service was to start
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
