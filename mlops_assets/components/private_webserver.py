"""What we use of Dagster's webserver that may change without notice; beside `private`, for no other process needs it.

The same holds here: all of it is imported here, and each says what for.
"""

# What the options of a command say of the code locations.
from dagster._cli.workspace.cli_target import WorkspaceOpts, workspace_opts_to_load_target  # type: ignore[attr-defined]

# The code locations, loaded and watched, as the pages see them.
from dagster._core.workspace.context import WorkspaceProcessContext

# The format of Dagster's log lines.
from dagster._utils.log import configure_loggers

# The application that we put our guard before, and the command whose options are those of ours.
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import dagster_webserver
from dagster_webserver.version import __version__ as webserver_version

__all__ = [
    "WorkspaceOpts",
    "WorkspaceProcessContext",
    "configure_loggers",
    "create_app_from_workspace_process_context",
    "dagster_webserver",
    "webserver_version",
    "workspace_opts_to_load_target",
]
