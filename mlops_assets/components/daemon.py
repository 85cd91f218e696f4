"""Dagster's daemon: `python -m mlops_assets.components.daemon`, with the options of `dagster-daemon run`.

It tries lost runs again, of which it learns from the event log. Where it has read nothing of that yet, Dagster's own
begins at the end, and warns twice that it leaves alone what is older (`No cursor for event type ...`). That is so at
its first start on every home, it is meant, and nobody has to do anything; so the place is set here before it asks.
"""

from __future__ import annotations

import sys

from dagster import DagsterInstance

from mlops_assets.components.own_processes import UNUSED, command_like, instance_of_home, run_to_its_end
from mlops_assets.components.private_daemon import DAGSTER_EVENT_TYPES, cursor_key, run_command
from mlops_assets.errors.secret_files import read_secret_files


def begin_at_the_end(instance: DagsterInstance) -> None:
    """Have the daemon leave alone what failed before it looked for the first time.

    Parameters
    ----------
    instance
        Whose runs are tried again.
    """
    if not instance.run_retries_enabled:  # once they are, it is from then on
        return
    keys = {cursor_key(kind) for kind in DAGSTER_EVENT_TYPES}
    if missing := keys.difference(instance.daemon_cursor_storage.get_cursor_values(keys)):
        last = instance.event_log_storage.get_maximum_record_id() or 0
        instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(missing, str(last)))


def run(**options: object) -> None:
    """Run the daemon until the process is told to end; `dagster-daemon run --help` has the parameters."""
    read_secret_files()
    with instance_of_home() as instance:
        begin_at_the_end(instance)
    run_command.callback(**options, **dict.fromkeys(UNUSED))  # type: ignore[misc]


command = command_like(
    run_command,
    "mlops_assets.components.daemon",
    run,
    "Run Dagster's daemon; the options are those of `dagster-daemon run`.",
)

if __name__ == "__main__":
    sys.exit(run_to_its_end(command, "DAGSTER_DAEMON"))
