"""What an upgrade finds, and what it does: a backup, the stores of Dagster and MLflow, ours, and last the number."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mlops_assets.errors import UsageError
from mlops_assets.settings import Settings
from mlops_assets.storage.form import FIRST, FORM, Mark, OtherForm, find_form, first_form, mark_form, newer, read_mark
from mlops_assets.storage.last_dev import LOCK
from mlops_assets.tools.upgrading import backup
from mlops_assets.tools.upgrading import first_form as first
from mlops_assets.tools.upgrading.stores import Store, find_stores, migrate
from mlops_assets.workspace import Stores, Workspace


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    settings
        Where everything lies.
    stores
        The stores of SQL that must be migrated.
    form
        The form of the lake.
    ours
        The use cases whose part of it is of the first form.
    """

    settings: Settings
    stores: tuple[Store, ...]
    form: int
    ours: tuple[Stores, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.stores and self.form == FORM

    def lines(self) -> Iterator[str]:
        """What is to be done, for people."""
        for store in self.stores:
            revisions = ", ".join(sorted(store.revisions))
            yield f"{store.library}'s store: from revision {revisions} to {store.head}"
        if self.form < FORM:
            names = ", ".join(one.use_case.name for one in self.ours)
            yield f"the lake: from form {self.form} to {FORM} ({names})"


def make_plan(settings: Settings) -> Plan:
    """Look at all stores; nothing is changed.

    Raises
    ------
    OtherForm
        If one is of a later version.
    MlopsError
        If one cannot be read.
    """
    form, mark = find_form(settings.lake), read_mark(settings.lake) or Mark(FORM)
    if form > FORM:
        raise newer(settings.lake)
    stores = find_stores(settings)
    for store in stores:
        if store.is_new:
            raise OtherForm(
                f"{store.library}'s store was written by a later version than {store.library} "
                f"{version(store.library)}, which is installed here: its revision {', '.join(sorted(store.revisions))} "
                f"is not known to it. It is left alone; the last upgrade was by {mark.wrote(store.library)}."
            )
    names = first_form(settings.lake) if form == FIRST else []
    return Plan(settings, tuple(store for store in stores if store.is_old), form, tuple(_find(settings, names)))


def _find(settings: Settings, names: list[str]) -> Iterator[Stores]:
    workspace = Workspace(settings)
    for name in names:
        try:
            yield workspace.find(name)
        except UsageError as error:
            raise UsageError(
                f"{settings.lake} has days of {name}, whose recipe is needed. {error} Name the folder above it in "
                f"MLOPS_USE_CASES, or move {settings.lake / name} away."
            ) from None


def carry_out(plan: Plan, folder: Path, tell: Callable[[str], None], *, dumped: bool) -> None:
    """Do what is to be done; killed, the same again goes on.

    Parameters
    ----------
    plan
        What is to be done.
    folder
        Where the backup goes.
    tell
        Is told each thing that was done.
    dumped
        Whether somebody has made the backup of PostgreSQL.

    Raises
    ------
    UsageError
        If the backup cannot be made, or `mlops-assets dev` runs on this home.
    MlopsError
        If a store cannot be migrated.
    """
    settings = plan.settings
    with _alone(settings.home):
        if backup.is_pending(folder, settings):
            tell(f"Backup: {folder}, of before this upgrade was ended")
        else:
            _back_up(plan, folder, dumped=dumped)
            tell(f"Backup: {folder}")
        for store in plan.stores:
            migrate(store, settings)
            tell(f"{store.library}'s store: now of revision {store.head}")
        for one in plan.ours:
            tell(first.upgrade(one))
        (folder / backup.PENDING).unlink()  # before the number: what is left behind it would be taken for a backup
        mark_form(settings.lake)


def _back_up(plan: Plan, folder: Path, *, dumped: bool) -> None:
    backup.see_place(folder)
    # the form of ours is changed through MLflow's store, whose tags get a hash
    touched = [store for store in find_stores(plan.settings) if store in plan.stores or plan.ours]
    backup.see_dump(touched, is_done=dumped)
    documents = [document for one in plan.ours for document in first.documents(one)]
    dump = not dumped and any(store.schema for store in touched)
    backup.back_up(folder, plan.settings, touched, documents, dump=dump)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """See that neither `dev` nor another upgrade is at work on this home; others are for who gives the command."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"`mlops-assets dev`, or another upgrade, is at work on {home}: end it first.") from None
        yield
