"""The form of what lies in a lake, as a number, in the one document that belongs to no use case: `<lake>/form.json`.

A number is added where code of today could not read what was written before; what it can read by default values needs
none. Who meets a newer form leaves it alone, who meets an older one says what brings it up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version

from mlops_assets import __version__
from mlops_assets.errors import MlopsError
from mlops_assets.storage.integrity import Damaged, document, read_json
from mlops_assets.storage.places import Place, write_whole

FIRST, FORM = 1, 2
"""The form of the first release, whose champion was MLflow's alias; that of today, whose champion the history names."""

UNMARKED = 2
"""The form of a lake that says nothing and is not of the first form: numbers came with this one."""

FILE = "form.json"
"""Name of the document."""

LIBRARIES = ("dagster", "mlflow")
"""Whose stores have a form of their own."""


class OtherForm(MlopsError):
    """What lies in the lake is of another form than this version works with."""


@dataclass(frozen=True)
class Mark:
    """What a lake says of its form.

    Attributes
    ----------
    form
        The number.
    written_by
        The versions of the packages that made or upgraded the stores, by name.
    """

    form: int
    written_by: Mapping[str, str] = field(default_factory=dict)

    def wrote(self, package: str) -> str:
        """Which version of a package wrote the stores, for people."""
        found = str(self.written_by.get(package, ""))
        # what else stands there is no version, and no terminal is to obey it
        return f"{package} {found if found and found.isprintable() else 'of an unknown version'}"


def read_mark(lake: Place) -> Mark | None:
    """What a lake says of its form; None where it says nothing, as before there were numbers.

    Raises
    ------
    Damaged
        If what it says cannot be read.
    """
    path = lake / FILE
    try:
        if not path.exists():
            return None
        content = read_json(path)
        return Mark(int(content["form"]), dict(content["written_by"]))
    except (KeyError, TypeError, ValueError):
        raise Damaged(path, "does not say which form the lake has") from None
    except (NotADirectoryError, PermissionError):  # whoever reads or writes there says so
        return None


def find_form(lake: Place) -> int:
    """The form of a lake: what it says, or else what it looks like."""
    if mark := read_mark(lake):
        return mark.form
    return FIRST if first_form(lake) else UNMARKED


def first_form(lake: Place) -> list[str]:
    """The use cases whose days were published in the first form: by a champion that no history knows."""
    published = {path.parent.parent.name for path in lake.glob("*/predictions/_delta_log")}
    if not published:
        return []
    from mlops_assets.storage.catalog import Lake  # brings Delta's tables, and most lakes say their form

    return sorted(name for name in published if not any(Lake(lake, name).history.glob("[0-9]*.json")))


def see_form(lake: Place) -> None:
    """See that a lake has the form of today.

    Raises
    ------
    OtherForm
        If it has not.
    """
    form = find_form(lake)
    if form > FORM:
        raise newer(lake)
    if form < FORM:
        raise OtherForm(f"{lake} was written by an earlier version: `mlops-assets upgrade` brings it up to date, once.")


def keep_form(lake: Place) -> None:
    """See that a lake has the form of today, and let it say so from now on; errors as of `see_form`."""
    see_form(lake)
    if read_mark(lake) is None:
        with suppress(OSError):  # who writes there next says so
            mark_form(lake)


def newer(lake: Place) -> OtherForm:
    """That a lake is of a form that this version does not know."""
    mark = read_mark(lake) or Mark(FORM)
    return OtherForm(
        f"{lake} was written by {mark.wrote('mlops-assets')}, form {mark.form}; this is {__version__}, which knows "
        f"form {FORM} and leaves it alone: install that version, or a later one."
    )


def mark_form(lake: Place) -> None:
    """Say that a lake has the form of today, and what its stores were made by."""
    write_whole(lake / FILE, document(asdict(mark_of_today())))


def mark_of_today() -> Mark:
    """What a lake says that was made or upgraded by what is installed."""
    found = {"mlops-assets": __version__}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a version by itself runs without it
            continue
    return Mark(FORM, found)
