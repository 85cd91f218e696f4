"""In: a use case and the columns that its SQL makes. Out: nothing, if the configuration names those that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain

from mlops_assets.errors import ConfigError
from mlops_assets.journey.score.profile.bins import BEYOND_ASCII
from mlops_assets.use_case import UseCase


def check_columns(use_case: UseCase, columns: Mapping[str, bool]) -> None:
    """See that the columns which the configuration names are there, and are of the right kind.

    Parameters
    ----------
    use_case
        The use case.
    columns
        The columns of `model_input`: whether one is of text.

    Raises
    ------
    ConfigError
        If one is not; the message has its key and the columns that there are.
    """
    unknown, not_alone = _unknown_columns(use_case, columns), _texts_with_company(use_case)
    for key, problem in chain(unknown, not_alone, _misused_texts(use_case, columns), _unwatched(use_case, columns)):
        raise ConfigError(f"{use_case.name}: {key}: {problem}")  # the first is enough: the next may follow from it


def _unknown_columns(use_case: UseCase, columns: Collection[str]) -> Iterator[tuple[str, str]]:
    """Keys that name a column which `features.sql` does not make, each with the problem."""
    named = [("checks.unseen_share", tuple(use_case.checks.unseen_share)), ("training.texts", use_case.training.texts)]
    for key, names in (*named, *_prepared(use_case)):
        for name in names:
            if name not in columns:
                yield key, f"features.sql makes no column {name!r}; it makes {', '.join(columns)}"


def _texts_with_company(use_case: UseCase) -> Iterator[tuple[str, str]]:
    """Preparations of a text and something else, each with the problem."""
    texts = use_case.training.texts
    for key, names in _prepared(use_case):
        among = [name for name in names if name in texts]
        if among and len(names) > 1:  # scikit-learn's vectorizers take one column of texts, and nothing beside it
            problem = f"{among[0]!r} is among `training.texts`, so it is prepared alone: one preparation a text"
            yield key, f"{problem}; columns: [{', '.join(names)}]"


def _misused_texts(use_case: UseCase, columns: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """Keys that take a text for something else, each with the problem."""
    texts = use_case.training.texts
    for name in use_case.checks.unseen_share:
        if name in texts:
            problem = f"{name!r} is among `training.texts`, and a text is no category whose values could be unseen"
            yield "checks.unseen_share", problem
    for name in texts:
        if not columns[name]:
            yield "training.texts", f"features.sql makes a number of {name!r}; a text is needed"


def _unwatched(use_case: UseCase, columns: Collection[str]) -> Iterator[tuple[str, str]]:
    """Columns that `drift` names and nobody counts, each with the problem: its floor would hold for nothing."""
    counted = [*dict.fromkeys([*use_case.columns, *columns])]
    known = {*counted, *(name + BEYOND_ASCII for name in counted)}
    for key, names in {"columns": use_case.drift.columns, "ignore": use_case.drift.ignore}.items():
        for name in names:
            if name not in known:
                near = " or ".join(map(repr, get_close_matches(name, counted, 3)))
                problem = f"neither the contract nor features.sql has a column {name!r}"
                yield f"drift.{key}", problem + (f"; is it {near}?" if near else f"; they have {', '.join(counted)}")


def _prepared(use_case: UseCase) -> Iterator[tuple[str, Sequence[str]]]:
    """The keys of all preparations that name columns, with these."""
    for name, candidate in use_case.training.candidates.items():
        for preparation in candidate.prepare:
            if not isinstance(preparation.columns, str):
                yield f"training.candidates.{name}.prepare", preparation.columns
