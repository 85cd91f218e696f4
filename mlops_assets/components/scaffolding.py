"""`dg scaffold defs mlops_assets.components.MlUseCase NAME` writes what the command `new` writes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

import click
import dagster as dg
from pydantic import BaseModel, Field


class Asked(BaseModel):
    """What `dg scaffold` is told of a use case; the options of `new`, under the names that they have there."""

    table: str = Field(description="A table with real rows, or a folder of them: what `new` calls --from.")
    label: str = Field(description="Column to predict: its name, or its number if there is no header.")
    account: str = Field("", description="Column that says whom a row is about; guessed where it is not said.")
    header: str = Field("auto", description="Whether the first line names the columns: auto, yes or no.")
    sheet: str = Field("", description="Sheet of a workbook of Excel; the first where it is not said.")


class UseCaseScaffolder(dg.Scaffolder[Asked]):
    """Has `new` write the folder of a use case where `dg` wants it."""

    @classmethod
    def get_scaffold_params(cls) -> type[Asked]:
        """What may be asked."""
        return Asked

    def scaffold(self, request: dg.ScaffoldRequest[Asked]) -> None:
        """Write `defs.yaml` and `features.sql`, whole or not at all.

        Parameters
        ----------
        request
            Where, and of which table.

        Raises
        ------
        UsageError
            If they are wanted in Python, or beside a component in one file.
        """
        target, asked = request.target_path, request.params
        with suppress(OSError):  # `dg` makes it first; what has files in it stays, and `new` says so
            target.rmdir()
        if request.scaffold_format != "yaml" or request.append:
            raise click.UsageError("A use case is a folder of its own with defs.yaml and features.sql: --format yaml.")
        # as a person gives it: tools stand above components, and what `new` shows is to be seen here, too
        command = ["new", target.name, "--from", asked.table, "--label", asked.label, "--into", str(target.parent)]
        optional = {"--account": asked.account, "--sheet": asked.sheet}
        command += ["--header", asked.header, *(word for pair in optional.items() if pair[1] for word in pair)]
        done = subprocess.run([sys.executable, "-m", "mlops_assets.cli", *command], check=False)
        if done.returncode:
            raise click.exceptions.Exit(done.returncode)  # it has said why
