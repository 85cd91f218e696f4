"""The command `init`: a repository with a use case."""

from __future__ import annotations

from pathlib import Path

import click

from mlops_assets.cli.common import shell_word
from mlops_assets.storage.modes import for_others
from mlops_assets.work.printable import printable


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--use-case", metavar="NAME", default="churn", show_default=True, help="Name of its use case.")
@click.option("--image", default="", help="Image of the platform for its compose.yaml. [default: mlops-assets:VERSION]")
def init(folder: Path, use_case: str, image: str) -> None:
    """Make a repository with a use case: YAML, SQL, tests, CI, compose file, and the version it needs.

    \b
    Examples:
      mlops-assets init predictions
      mlops-assets init predictions --use-case returns
    """
    from mlops_assets.tools.repository import make_repository

    with for_others():
        made = make_repository(folder, use_case, image)
    click.echo(f"Made {printable(str(made.folder))}, a repository with the use case {made.use_case}:")
    for name in made.files:
        click.echo(f"  {name}")
    click.echo(
        f"\nNext:\n  cd {shell_word(made.folder)}\n  mlops-assets demo    (sample days, a model, predictions)\n"
        "  mlops-assets dev     (Dagster's UI and the API)\n"
        "README.md says how to install it with what its tests need; git init makes its history."
    )
