"""In: a candidate of the configuration and the columns of the model. Out: its pipeline of scikit-learn, not fitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ConfigError
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.flavours import made_of
from mlops_assets.plugins import PluginError, import_object
from mlops_assets.plugins.estimators import PART, check_estimator
from mlops_assets.use_case import Candidate, Preparation, Step

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline


KINDS = {"all": (True, False), "categories": (True,), "numbers": (False,)}
"""For each word that a preparation may say instead of columns: whether a column is a category."""


def build_pipeline(
    candidate: Candidate, columns: Mapping[str, Known], others: Mapping[str, Candidate] | None = None
) -> Pipeline:
    """An unfitted pipeline for a candidate.

    Parameters
    ----------
    candidate
        What the configuration says.
    columns
        Columns of the model's input in order, each with what is known of it; see `Known`.
    others
        All candidates by name, for the members of an ensemble.

    Raises
    ------
    ConfigError
        If a class cannot be imported, an argument is wrong or a column is unknown.
    """
    from sklearn.pipeline import Pipeline

    steps: list[tuple[str, Any]] = []
    if candidate.prepare:
        steps.append(("prepare", _column_transformer(candidate, columns)))
    steps += [(f"then_{number}", _make(step)) for number, step in enumerate(candidate.then)]
    members = {}
    if candidate.members and others is not None:
        members["estimators"] = _members(candidate, columns, others)
    return Pipeline([*steps, ("model", _make(candidate, **members))])


def _members(
    candidate: Candidate, columns: Mapping[str, Known], others: Mapping[str, Candidate]
) -> list[tuple[str, Pipeline]]:
    """The pipelines of an ensemble's members, each with its own preparation."""
    for name in candidate.members:
        if name not in others:
            raise ConfigError(f"members: there is no candidate {name!r}; there are {', '.join(others)}")
    return [(name, build_pipeline(others[name], columns)) for name in candidate.members]


def _column_transformer(candidate: Candidate, columns: Mapping[str, Known]) -> ColumnTransformer:
    """The transformers of columns; one of a text gets its column as a list of texts, all others get numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    positions = {name: position for position, name in enumerate(columns)}
    texts = {position for name, position in positions.items() if columns[name] == TEXT}
    # a matrix with a text is one of objects: what sees no text must make numbers of its columns first
    as_numbers = [_make(Step(use="mlops_assets.encoders.AsNumbers"))] if texts else []
    parts: list[tuple[str, Any, list[int] | int]] = []
    passed = set(positions.values()) if candidate.others == "pass" else set()
    for number, item in enumerate(candidate.prepare):
        chosen = _positions(item, positions, columns)
        parts.append((f"{number}_{item.use.rpartition('.')[2]}", *_transformer(item, chosen, texts, as_numbers)))
        if not item.keep:
            passed -= set(chosen)
    numbers = sorted(passed - texts)
    parts.append(("as_they_are", make_pipeline(*as_numbers) if texts and numbers else "passthrough", numbers))
    return ColumnTransformer(parts)


def _transformer(
    item: Preparation, chosen: list[int], texts: Collection[int], as_numbers: Sequence[Any]
) -> tuple[Any, list[int] | int]:
    """What one preparation does, and with which columns."""
    from sklearn.pipeline import make_pipeline

    if item.use == "drop":
        return "drop", chosen
    steps = [_make(item), *map(_make, item.then)]
    if set(chosen).isdisjoint(texts):
        return make_pipeline(*as_numbers, *steps), chosen
    # by a number that is in no list, scikit-learn hands over one column: a vectorizer wants texts, not rows
    return make_pipeline(*steps), chosen[0]


def _positions(item: Preparation, positions: Mapping[str, int], columns: Mapping[str, Known]) -> list[int]:
    """The numbers of the columns that a preparation names; `all` are categories and numbers."""
    if isinstance(item.columns, str):
        kinds = KINDS[item.columns]
        prepared = [name for name in positions if columns[name] != TEXT]
        return [positions[name] for name in prepared if (columns[name] is not None) in kinds]
    for name in item.columns:
        if name not in positions:
            raise ConfigError(f"prepare: features.sql makes no column {name!r}; it makes {', '.join(positions)}")
    return [positions[name] for name in item.columns]


def _make(step: Step, **further: Any) -> Any:
    """The object that a step describes; an argument may be a step itself."""
    # `a__b`, which a search may choose, is the argument b of what the argument a holds
    nested = {name for name in step.parameters if "__" in name}
    try:
        # looked at when the configuration was loaded, and here once more: nothing else is ever called
        check_estimator(step.use, PART, {*step.parameters, *further} - nested)
        path, defaults = made_of(step.use)
        given = {**defaults, **{name: _argument(value) for name, value in step.parameters.items()}}
        made = import_object(path)(**{name: given[name] for name in given if name not in nested}, **further)
        return made.set_params(**{name: given[name] for name in nested}) if nested else made
    except (TypeError, PluginError) as error:
        raise ConfigError(f"{step.use}: {error}") from None


def _argument(value: Any) -> Any:
    if isinstance(value, Mapping) and "use" in value:
        return _make(Step.model_validate(value))
    return value
