"""The command `export`."""

from __future__ import annotations

from pathlib import Path

import click

from mlops_assets.cli.common import find, shell_word


@click.command()
@click.argument("use_case")
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "-o", "--into", "folder", type=click.Path(path_type=Path), required=True, help="Folder to write, not there yet."
)
def export(use_case: str, version: int, folder: Path) -> None:
    """Write a folder that serves one version and needs nothing of the platform; it is the context of an image, too.

    It has the model, features.sql, the contract, modules of the use case's own, the code, a Dockerfile, and a manifest
    with the SHA-256 of every file, which is compared when it starts.

    \b
    Examples:
      mlops-assets export transactions 3 -o served
      served/start --port 8001
      docker build -t transactions-3 served
    """
    from mlops_assets.storage.modes import for_others
    from mlops_assets.tools.exporting.export import export as write

    with for_others():
        done = write(find(use_case), version, folder.absolute())
    for note in done.notes:
        click.echo(note, err=True)
    click.echo(f"Version {version} of {use_case} by itself: {done.files:,} files, {done.size / 1e6:.1f} MB. Start it:")
    click.echo(f"  {shell_word(folder / 'start')}")
