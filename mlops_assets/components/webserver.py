"""Dagster's webserver behind our guard: `python -m mlops_assets.components.webserver`, with its options.

Dagster's own runs mutations by GET, and looks neither at the name by which it is called nor at the page that asks.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

import uvicorn

from mlops_assets.components.own_processes import command_like, instance_of_home, run_to_its_end
from mlops_assets.components.private_webserver import (
    WorkspaceOpts,
    WorkspaceProcessContext,
    configure_loggers,
    create_app_from_workspace_process_context,
    dagster_webserver,
    webserver_version,
    workspace_opts_to_load_target,
)
from mlops_assets.errors.secret_files import read_secret_files
from mlops_assets.serving.entrance.guard import MOST_BYTES, Guard, Site, hosts_from_environment
from mlops_assets.serving.entrance.listening import check_address, listen
from mlops_assets.storage.modes import private

PORT = 3000
PATIENCE = 3
"""Seconds that open pages are given when the server ends; they keep a websocket open for ever."""


def guarded(
    context: WorkspaceProcessContext, hosts: tuple[Site, ...], path_prefix: str = "", poll_rate: int = 2000
) -> Guard:
    """Dagster's pages and their interface, with our guard before them.

    Parameters
    ----------
    context
        Dagster's instance and its code locations.
    hosts
        Names by which people may call it, beside those of loopback.
    path_prefix
        What all paths begin with.
    poll_rate
        Milliseconds after which a page asks for news.
    """
    app: Any = create_app_from_workspace_process_context(context, path_prefix, poll_rate)
    return Guard(app, hosts, posted=("/graphql",))


def serve(
    host: str,
    port: int | None,
    path_prefix: str,
    db_statement_timeout: int,
    db_pool_recycle: int,
    db_pool_max_overflow: int,
    read_only: bool,
    suppress_warnings: bool,
    uvicorn_log_level: str,
    dagster_log_level: str,
    log_format: str,
    code_server_log_level: str,
    live_data_poll_rate: int,
    **workspace: object,
) -> None:
    """Serve Dagster's pages until the process is told to end; `dagster-webserver --help` has the parameters.

    Raises
    ------
    UsageError
        If the port is taken, other machines would reach the pages and no name is listed for them, or there is no home.
    """
    if suppress_warnings:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
    read_secret_files()
    hosts = hosts_from_environment()
    configure_loggers(formatter=log_format, log_level=dagster_log_level.upper())
    logger = logging.getLogger("dagster-webserver")
    if told := check_address(host, hosts):
        logger.warning(told)
    with (
        private(),  # tables and logs that it makes are state
        listen(host, port or PORT) as taken,
        instance_of_home() as instance,
    ):
        instance.optimize_for_webserver(db_statement_timeout, db_pool_recycle, db_pool_max_overflow)
        with WorkspaceProcessContext(
            instance,
            version=webserver_version,
            read_only=read_only,
            workspace_load_target=workspace_opts_to_load_target(WorkspaceOpts.extract_from_cli_options(workspace)),
            code_server_log_level=code_server_log_level,
        ) as context:
            logger.info(f"Serving Dagster on http://{host}:{port or PORT}{path_prefix} in process {os.getpid()}")
            config = uvicorn.Config(
                guarded(context, hosts, path_prefix, live_data_poll_rate),
                log_level=uvicorn_log_level,
                proxy_headers=False,  # the guard believes what it is sent, and no header that says otherwise
                server_header=False,
                ws_max_size=MOST_BYTES,
                timeout_graceful_shutdown=PATIENCE,
            )
            uvicorn.Server(config).run(sockets=[taken])


command = command_like(
    dagster_webserver,
    "mlops_assets.components.webserver",
    serve,
    "Serve Dagster's pages behind a guard; the options are those of `dagster-webserver`.",
)

if __name__ == "__main__":
    sys.exit(run_to_its_end(command, "DAGSTER_WEBSERVER"))
