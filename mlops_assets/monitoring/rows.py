"""In: a red lamp, and the day as it lies in the lake. Out: the rows behind it: how many, whose, and three of them.

Of each shard the columns are read that are needed, and all columns of the one that has the first examples: what this
takes of memory does not grow with the day. What was found is remembered, for parts are never written anew: of a day of
300,000 files a process looks once.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.score.profile.bins import BEYOND_ASCII, as_numbers, is_text, text_numbers, whole
from mlops_assets.journey.score.profile.counts import TOP, Bins
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import UseCase
from mlops_assets.work.printable import printable
from mlops_assets.work.shards import fingerprint

EXAMPLES = 3
NAMED = 5
"""Files, accounts and values that are named."""
KEPT = 200
"""Of each that are kept from shard to shard: one that is rarer in every shard is not among the most frequent."""

REMEMBERED = 64
"""Lamps whose rows a process remembers, those that were asked for last."""

ACCOUNT = "account_id"
"""The account of a prediction."""

UNSURE, SURE = 0.5, 0.95
"""Probabilities below and above which answers are shown where the confidence fell or rose."""


@dataclass(frozen=True)
class Evidence:
    """The rows behind a red lamp.

    Attributes
    ----------
    lamp
        The lamp.
    sentence
        That of the lamp, with files and since when.
    rows
        How many rows carry it.
    files
        In how many files they are.
    most_files, most_accounts, most_values
        The files, accounts and values that have most of them, each with its rows.
    examples
        Three of the rows, all columns of each.
    """

    lamp: Lamp
    sentence: str
    rows: int = 0
    files: int = 0
    most_files: Mapping[str, int] = field(default_factory=dict)
    most_accounts: Mapping[str, int] = field(default_factory=dict)
    most_values: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Mapping[str, Any], ...] = ()


Mask = Callable[[pa.Table], np.ndarray]
"""Which rows of a part carry a lamp."""


@dataclass(frozen=True)
class _Asked:
    """Where to look: parts of a table, which rows, the columns of accounts and values, and what else has to be read."""

    paths: Sequence[Place]
    mask: Mask
    account: str | None
    value: str | None = None
    further: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All that is read."""
        names = ["file", "line", self.account, self.value, *self.further]
        return list(dict.fromkeys(name for name in names if name))


def evidence(lake: Lake, use_case: UseCase, day: str, lamp: Lamp, reference: Reference | None) -> Evidence:
    """The rows behind a red lamp.

    Parameters
    ----------
    lake
        The tables of the use case; the day's rows are published, its predictions where the lamp is of answers.
    use_case
        The use case.
    day
        The day.
    lamp
        A red lamp.
    reference
        By whose bins the day was counted.

    Returns
    -------
    Evidence
        Its sentence alone where no stored row tells more: of columns that only `features.sql` makes.
    """
    asked = _where(lake, use_case, day, lamp, reference)
    if asked is None:
        return Evidence(lamp, _told(lamp))
    # the names of parts have the fingerprint of all that they hold; the rest is which of their rows are meant
    mark = fingerprint(*map(str, asked.paths), asked.columns, lamp, reference and _bins(lamp, reference))
    return _remembered(mark) or _remember(mark, _look(asked).evidence(lamp))


_found = OrderedDict[str, Evidence]()
_lock = threading.Lock()


def _remembered(mark: str) -> Evidence | None:
    with _lock:
        if mark in _found:
            _found.move_to_end(mark)
        return _found.get(mark)


def _remember(mark: str, found: Evidence) -> Evidence:
    with _lock:
        _found[mark] = found
        while len(_found) > REMEMBERED:
            _found.popitem(last=False)
    return found


def _look(asked: _Asked) -> _Found:
    """What the parts say, one after the other."""
    found = _Found()
    for path in asked.paths:
        found.add(path, read_rows(path, asked.columns), asked)
    return found


class _Found:
    """What was found so far, shard by shard."""

    def __init__(self) -> None:
        self.rows = self.files = 0
        self.most: dict[str, Counter[str]] = {"file": Counter(), "account": Counter(), "value": Counter()}
        self.examples: list[dict[str, Any]] = []

    def add(self, path: Place, part: pa.Table, asked: _Asked) -> None:
        """Look at a part."""
        if not len(part):
            return
        carrying = np.flatnonzero(asked.mask(part))
        if not len(carrying):
            return
        self.rows += len(carrying)
        # files lie in one shard alone, so that their number is exact
        self.files += int(np.count_nonzero(np.bincount(whole(part["file"]).indices.to_numpy()[carrying])))
        for what, name in (("file", "file"), ("account", asked.account), ("value", asked.value)):
            if name is not None:
                self.most[what] = _merged(self.most[what], part[name].take(pa.array(carrying)))
        missing = EXAMPLES - len(self.examples)
        if missing > 0:
            places = pa.array(carrying[:missing])
            self.examples += read_part(path).take(places).to_pylist()

    def evidence(self, lamp: Lamp) -> Evidence:
        """What was found of all parts."""
        most = {what: dict(counter.most_common(NAMED)) for what, counter in self.most.items()}
        sentence = _told(lamp, self.rows, self.files, most["file"])
        examples = tuple(self.examples)
        return Evidence(lamp, sentence, self.rows, self.files, most["file"], most["account"], most["value"], examples)


def _merged(before: Counter[str], values: pa.ChunkedArray) -> Counter[str]:
    coded = whole(values if pa.types.is_dictionary(values.type) else _coded(values))
    counted = pc.value_counts(coded.indices.drop_null())
    codes, numbers = (counted.field(at).to_numpy() for at in (0, 1))
    # thousands of files and accounts a shard: Python is given those alone that may be among the most frequent
    most = np.argsort(-numbers, kind="stable")[:KEPT]
    known = pc.index_in(pa.array(list(before), pa.string()), value_set=coded.dictionary).drop_null().to_numpy()
    chosen = np.union1d(most, np.flatnonzero(np.isin(codes, known)))
    names = coded.dictionary.take(pa.array(codes[chosen])).to_pylist()
    found = before + Counter(dict(zip(names, numbers[chosen].tolist(), strict=True)))
    return Counter(dict(found.most_common(KEPT)))


def _coded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([as_text(values)]).dictionary_encode()


def _told(lamp: Lamp, rows: int = 0, files: int = 0, most: Mapping[str, int] | None = None) -> str:
    """The sentence of a lamp, with its files, and since when."""
    told = [lamp.sentence.removesuffix(".")]
    if files:
        name, number = next(iter((most or {}).items()))
        where = f"{rows:,} rows in {files:,} {'file' if files == 1 else 'files'}"
        told.append(where + (f", most in `{printable(name)}` ({number:,})" if files > 1 else f", `{printable(name)}`"))
    if lamp.since:
        told.append(f"since {lamp.since}")
    return "; ".join(told) + "."


def _where(lake: Lake, use_case: UseCase, day: str, lamp: Lamp, reference: Reference | None) -> _Asked | None:
    """Where the rows of a lamp are to be found; None where they are not stored."""
    if lamp.source == "rejects":
        rule = lamp.name.removeprefix("rejects.")
        return _Asked(_paths(lake.rejects, day), lambda part: _are(part["rule"], rule), None, None, ("rule",))
    if lamp.source == "files":
        return _Asked(_paths(lake.rows, day), lambda part: np.ones(len(part), bool), use_case.account)
    if lamp.source == "predictions":
        return _of_answers(lake, day, lamp, reference)
    bins = None if reference is None else _bins(lamp, reference)
    if lamp.source not in ("rows", "answers") or bins is None:
        return None
    table, account = (lake.rows, use_case.account) if lamp.source == "rows" else (lake.predictions, ACCOUNT)
    name = lamp.column.removesuffix(BEYOND_ASCII)
    return _Asked(
        _paths(table, day),
        lambda part: np.isin(places(part[name], lamp.column, bins, day), lamp.bins),
        account,
        name,
    )


def _bins(lamp: Lamp, reference: Reference) -> Bins | None:
    """How the column of a lamp is counted."""
    return reference.bins.get((lamp.source, lamp.column))


def _of_answers(lake: Lake, day: str, lamp: Lamp, reference: Reference | None) -> _Asked | None:
    """Rows of the classes that come more often, or whose answers are as sure as they were not before."""
    if reference is None:
        return None
    paths = _paths(lake.predictions, day)
    if lamp.what == "class_mix":
        classes = pa.array([reference.classes[number] for number in lamp.bins], pa.string())
        return _Asked(paths, lambda part: _among(part["prediction"], classes), ACCOUNT, "prediction")
    column = "probability"

    def mask(part: pa.Table) -> np.ndarray:
        sure = part[column].to_numpy()
        chosen: np.ndarray = sure < UNSURE if lamp.figures["now"] < lamp.figures["then"] else sure >= SURE
        return chosen

    return _Asked(paths, mask, ACCOUNT, "prediction", (column,))


def _paths(table: Table[Any], day: str) -> list[Place]:
    return [table.folder / path for path in sorted(table.parts(day))]


def _are(values: pa.ChunkedArray, value: str) -> np.ndarray:
    return _among(values, pa.array([value], pa.string()))


def _among(values: pa.ChunkedArray, chosen: pa.Array) -> np.ndarray:
    found: np.ndarray = pc.is_in(as_text(values), value_set=chosen).to_numpy(zero_copy_only=False)
    return found


def places(values: pa.ChunkedArray, column: str, bins: Bins, day: str) -> np.ndarray:
    """The position in `Counts.spread` of each value, int64 of shape `(rows,)`: the bin that it was counted in.

    Parameters
    ----------
    values
        The column.
    column
        Its name among the bins.
    bins
        How it is counted.
    day
        The day of the rows.
    """
    array = whole(values)
    if bins.kind == "category":
        codes = pc.index_in(as_text(values), value_set=pa.array(bins.values, pa.string())).fill_null(-1).to_numpy()
        known = np.where(codes < 0, bins.number, np.minimum(codes, TOP))
        return np.where(array.is_null().to_numpy(zero_copy_only=False), bins.number + 1, known)
    if is_text(array.type):
        lengths, beyond = text_numbers(array)
        numbers = beyond if column.endswith(BEYOND_ASCII) else lengths
    else:
        numbers = as_numbers(array, day)
    return np.where(np.isnan(numbers), bins.number + 1, np.searchsorted(np.array(bins.edges), numbers, side="right"))
