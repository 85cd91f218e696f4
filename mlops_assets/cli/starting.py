"""The commands that start something to look at: demo, dev."""

from __future__ import annotations

import os
import time

import click


@click.command()
def demo() -> None:
    """Run every use case on sample days that end yesterday; the day's last files have no labels and some are dirty."""
    from mlops_assets.cli.progress import Bar
    from mlops_assets.tools.demo import DAYS, run_demo
    from mlops_assets.use_case import list_use_cases
    from mlops_assets.workspace import Workspace

    workspace = Workspace.from_environment()
    begun = time.monotonic()
    with Bar(len(list_use_cases(workspace.settings.use_cases)), DAYS) as bar:
        told = [*run_demo(workspace, bar.ready)]
    for text in told:
        click.echo(text)
    click.echo(f"Done in {time.monotonic() - begun:,.0f} seconds.")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; Dagster asks no password.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
@click.option("--api-port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port of the API.")
def dev(host: str, port: int, api_port: int) -> None:
    """Start Dagster's UI and daemon on the use cases, and the API on loopback."""
    from mlops_assets.settings import Settings
    from mlops_assets.tools.dev import make_storage, reserved, run

    settings = Settings.from_environment()
    with reserved(settings, host, port, api_port):
        from mlops_assets.running import prepare_home

        prepare_home(settings)
        make_storage(settings)
        # Dagster's processes start elsewhere, where a home that is named from here would be another one
        os.environ["MLOPS_HOME"] = str(settings.home)
        if settings.project:
            os.environ["MLOPS_PROJECT"] = str(settings.project.folder)
        run(settings, host, port, api_port, "info", lambda line: click.echo(line, err=True))
