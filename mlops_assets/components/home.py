"""Dagster's instance for whoever starts `dagster dev` in the checkout: the home that all our commands have.

Without `DAGSTER_HOME`, Dagster keeps everything in a folder that it makes here and removes at the end, and reads the
`dagster.yaml` of the checkout. That names this class, which puts everything where `make dev` has it. In any home
without a database, events are written by kept connections.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from mlops_assets.components.private import ConfigurableClassData, InstanceRef
from mlops_assets.errors.secret_files import read_secret_files
from mlops_assets.settings import Settings
from mlops_assets.storage.database import DATABASE_VARIABLE
from mlops_assets.storage.form import keep_form
from mlops_assets.storage.modes import close_home
from mlops_assets.storage.spellings import sqlite_address

TEMPORARY = ".tmp_dagster_home_"
"""What the name of Dagster's own folder begins with."""

KEPT = "mlops_assets.components.event_log", "KeptStorage"

POSTGRES = "dagster_postgres", "DagsterPostgresStorage", f"postgres_url:\n  env: {DATABASE_VARIABLE}\n"

log = logging.getLogger("dagster")


def _defaults(home: str) -> dict[str, ConfigurableClassData | None]:
    """Dagster's own, with an event log that keeps its connections."""
    place = json.dumps({"base_dir": home})  # JSON is YAML
    return {**InstanceRef.config_defaults(home), "storage": ConfigurableClassData(*KEPT, place)}


class HomeInstance(dg.DagsterInstance):
    """Dagster's instance; a temporary one lies in `MLOPS_HOME`, and stays."""

    @classmethod
    def config_schema(cls) -> Mapping[str, dg.Field]:
        """No keys of `dagster.yaml` beside Dagster's."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """Where everything lies that `dagster.yaml` puts nowhere.

        Parameters
        ----------
        base_dir
            The folder that Dagster would take.
        """
        if not Path(base_dir).name.startswith(TEMPORARY):
            return _defaults(base_dir)
        read_secret_files()
        settings = Settings.from_environment()
        home = settings.dagster_home
        home.mkdir(parents=True, exist_ok=True)
        for told in (close_home(settings.home), f"Nothing is kept in that directory: Dagster's home is {home}."):
            if told:
                log.info(told)
        keep_form(settings.lake)
        defaults = _defaults(str(sqlite_address(home)))
        if settings.database:
            os.environ[DATABASE_VARIABLE] = (
                settings.database
            )  # with its driver; the reference of an instance has no secret
            defaults["storage"] = ConfigurableClassData(*POSTGRES)
        return defaults
