"""In: a use case. Out: what of its recipe decides a model, key by key, so that a change can be named.

The whole configuration is stored with a version (`UseCase.recipe`). Less of it decides what a training makes: not what
people read, not who is told, not the gate, which judges the same model. Of `features.sql` its words count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from mlops_assets.journey.train.retraining import Decision
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.references import as_written
from mlops_assets.work.shards import fingerprint

DECIDES = ("source", "files", "columns", "account", "label", "enrichments", "checks", "training")
"""Keys of a `defs.yaml` that decide what is learned, and how."""

PASSED_OVER = {"training": ("gate", "promotion", "trusted")}
"""Keys within them that do not."""

FOR_PEOPLE = ("about", "unit")
"""Keys of a column that change no row."""

SQL = "features.sql"

MOST_KEYS = 8
"""Keys that are named; a changed contract may have hundreds."""


def deciding(use_case: UseCase) -> dict[str, str]:
    """A hash for each key that decides, by its name, such as `training.candidates.forest.use`.

    Parameters
    ----------
    use_case
        The use case; what it has of the environment counts by the names of variables.
    """
    # without what has its default: a release that brings a further key changes no recipe
    whole = as_written(use_case.model_dump(mode="json", by_alias=True, exclude_defaults=True), use_case.written)
    told = {name: _without(whole.get(name), PASSED_OVER.get(name, ())) for name in DECIDES}
    told["columns"] = {name: _without(column, FOR_PEOPLE) for name, column in whole["columns"].items()}
    told["feedback"] = {"weight": use_case.feedback.weight}
    leaves = {".".join(keys): fingerprint(value) for keys, value in _leaves(told, ())}
    return dict(sorted({**leaves, SQL: fingerprint(*words(use_case.features_sql))}.items()))


def mark_of(recipe: Mapping[str, str]) -> str:
    """One fingerprint of a whole recipe."""
    return fingerprint(*(part for item in sorted(recipe.items()) for part in item))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The keys that are not what they were, in order."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def decide_by_recipe(now: Mapping[str, str], last: Mapping[str, str] | None) -> Decision:
    """Whether a recipe asks for a training: it is another one than that of the last training.

    Parameters
    ----------
    now
        The recipe; see `deciding`.
    last
        That of the last training: empty where an earlier release kept none, None where there was no training.
    """
    if last is None:
        return Decision(False, "nothing was trained yet; start the first training by hand")
    if not last:
        return Decision(False, "the last training kept no recipe, so this one is taken for it")
    keys = changed(last, now)
    if not keys:
        return Decision(False, "the last training has learned by this recipe")
    more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    return Decision(True, f"recipe changed: {', '.join(keys[:MOST_KEYS])}{more}")


def words(sql: str) -> list[str]:
    r"""What stands in a text of SQL beside blanks and comments.

    Examples
    --------
    >>> words("SELECT  a -- not b\nFROM t /* or u */")
    ['SELECT', 'a', 'FROM', 't']
    """
    data = sql.encode()  # its places are those of bytes
    tokens = duckdb.tokenize(sql)
    ends = [*(start for start, _ in tokens), len(data)][1:]
    texts = [
        data[start:end].decode().strip()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
    return [text for text in texts if text]


def _without(value: Any, names: tuple[str, ...]) -> Any:
    return {name: part for name, part in value.items() if name not in names} if isinstance(value, Mapping) else value


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What stands at the ends of nested mappings; a list is one value, for its order counts."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(part, (*keys, str(name)))
    else:
        yield keys, value
