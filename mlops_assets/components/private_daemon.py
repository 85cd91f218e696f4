"""What we use of Dagster's daemon that may change without notice; beside `private`, for no other process needs it.

The same holds here: all of it is imported here, and each says what for.
"""

# The kinds of events by which the daemon sees which runs to try again, and the name under which it keeps how far it is.
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
)
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    _create_cursor_key as cursor_key,
)

# The command whose options are those of ours.
from dagster._daemon.cli import run_command

__all__ = ["DAGSTER_EVENT_TYPES", "cursor_key", "run_command"]
