"""In: the rows of a training set and the models of a version. Out: the reference, by which its days are watched.

It is made in two steps: the raw columns with the training set, for only then their rows are at hand; the columns of the
model's input and the answers when a version is made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.score.profile.bins import (
    count_columns,
    count_numbers,
    make_bins,
    number_bins,
    text_bins,
    whole,
)
from mlops_assets.journey.score.profile.counts import ANSWER, Bins, Column, Profile
from mlops_assets.journey.score.profile.reference import (
    GROUPS,
    LEAST_A_DAY,
    LEAST_UNITS,
    Reference,
    Unit,
    write_reference,
)
from mlops_assets.journey.score.profile.shard import Counting, count_answers, count_sizes
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part, write_table
from mlops_assets.storage.places import parse_place
from mlops_assets.use_case import UseCase

PLACE = "_place"
"""Column with the place of a row among those that `RawRows` has taken up."""


class RawRows:
    """The rows of a training set as their files had them, taken up while it is made.

    Parameters
    ----------
    use_case
        The use case; where nothing is watched, nothing is taken up.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._use_case = use_case
        self._pieces: list[pa.Table] = []
        self._number = 0

    def gather(self, keys: pa.Table, rows: pa.Table, positions: np.ndarray) -> pa.Table:
        """Take up some rows of a shard, and say by `PLACE` which they are.

        Parameters
        ----------
        keys
            The same rows, as the set has them.
        rows
            The rows of the shard.
        positions
            Where the rows of `keys` stand among them.

        Returns
        -------
        pa.Table
            The keys with the column `PLACE`.
        """
        if self._use_case.drift.watch:
            self._pieces.append(rows.drop_columns(["file", "line", self._use_case.label]).take(pa.array(positions)))
        first, self._number = self._number, self._number + len(keys)
        return keys.append_column(PLACE, pa.array(np.arange(first, self._number)))

    def store_profile(self, lake: Lake, mark: str, places: pa.ChunkedArray, keys: pa.Table) -> str:
        """Count the rows of a set and store that under the set's mark.

        Parameters
        ----------
        lake
            The tables of the use case.
        mark
            Fingerprint of the set.
        places
            What `PLACE` said of its rows.
        keys
            Its rows.

        Returns
        -------
        str
            Where it is stored; empty where nothing is watched.
        """
        if not self._use_case.drift.watch:
            return ""
        # a part that is older than a column of the contract lacks it
        raw = pa.concat_tables(self._pieces, promote_options="default").unify_dictionaries().combine_chunks()
        path = lake.training_profile(mark)
        # anew each time: columns that the model does not see may have changed, of which the mark knows nothing
        write_table(path, profile_rows(self._use_case, raw.take(places), keys).to_table())
        return str(path)


def profile_rows(use_case: UseCase, raw: pa.Table, keys: pa.Table) -> Reference:
    """What can be counted of a training set before there is a model.

    Parameters
    ----------
    use_case
        The use case.
    raw
        The rows as their files had them, without their label.
    keys
        The same rows in the training set.
    """
    days = keys["_day"].to_numpy().astype("U10").astype("datetime64[D]")
    bins = make_bins(raw, days, use_case.training.texts)
    groups, unit, units = group_rows(keys)
    sizes = _files(keys, groups, len(units))
    profiles = []
    for number in range(len(units)):
        mine = groups == number
        counts = count_columns(raw.filter(pa.array(mine)), bins, days[mine])
        profiles.append(Profile(counts, None, sizes[number]))
    return Reference(bins, (), tuple(profiles), units, unit, (str(days.min()), str(days.max())))


def group_rows(keys: pa.Table) -> tuple[np.ndarray, Unit, tuple[int, ...]]:
    """Random groups of whole files; of accounts, or of rows, where a day has too few files to be told of by them.

    Parameters
    ----------
    keys
        Rows of a training set.

    Returns
    -------
    tuple
        The group of every row, of shape `(rows,)`; what is never parted; and how many of it each group has. By its
        name a file is always in the same group.
    """
    unit, hashes, number = _units(keys)
    groups = (hashes % np.uint64(min(GROUPS, max(1, number // LEAST_UNITS)))).astype(np.int64)
    # none is empty, for its share of anything would be nothing
    _, groups = np.unique(groups, return_inverse=True)
    _, first = np.unique(hashes, return_index=True)
    return groups, unit, tuple(np.bincount(groups[first]).tolist())


def _units(keys: pa.Table) -> tuple[Unit, np.ndarray, int]:
    """What is never parted, a hash of it for every row, and how many there are."""
    import pandas as pd

    row = pc.binary_join_element_wise(_file(keys), keys["_line"].cast(pa.string()), "/")
    of: dict[Unit, pa.ChunkedArray] = {"file": _file(keys), "account": keys["_account"].fill_null(""), "row": row}
    days = len(pc.unique(keys["_day"]))
    for unit, names in of.items():
        coded = whole(names).dictionary_encode()
        # rows of a file are alike: taken for units of their own, they would make chance look small
        a_day = len(pc.unique(pc.binary_join_element_wise(keys["_day"], names, "/"))) / days
        if a_day >= LEAST_A_DAY or unit == "row":
            break
    hashes = pd.util.hash_array(coded.dictionary.to_numpy(zero_copy_only=False))
    return unit, hashes[coded.indices.to_numpy()], len(coded.dictionary)


def _file(keys: pa.Table) -> pa.ChunkedArray:
    """The file of each row, which with its day is one of all days."""
    return pc.binary_join_element_wise(keys["_day"], keys["_file"], "/")


def _files(keys: pa.Table, groups: np.ndarray, number: int) -> np.ndarray:
    """Files of each group by their number of rows, of shape `(groups, FILE_SIZES)`.

    Where files are parted, one is in the group of its first row.
    """
    coded = whole(_file(keys)).dictionary_encode().indices.to_numpy()
    _, first, rows = np.unique(coded, return_index=True, return_counts=True)
    return np.array([count_sizes(rows[groups[first] == n]) for n in range(number)])


def store_reference(profile: str, rows: pa.Table, judged: Model, serving: Model, folder: Path) -> str:
    """Write the reference of a version into its folder.

    Parameters
    ----------
    profile
        Where `profile_rows` of its training set was stored; empty if it was not.
    rows
        The training set.
    judged, serving
        The models of the version: the answers are those of `judged` to held-out rows, the columns those of `serving`.
    folder
        The folder.

    Returns
    -------
    str
        Its SHA-256; empty where the training set was not counted, so that there is none.
    """
    if not profile or not parse_place(profile).exists():
        return ""
    of_rows = Reference.from_table(read_part(parse_place(profile)))
    return write_reference(_with_models(of_rows, rows, judged, serving), folder)


def _with_models(of_rows: Reference, rows: pa.Table, judged: Model, serving: Model) -> Reference:
    groups, _, _ = group_rows(rows)
    bins = {**of_rows.bins, **dict(_input_bins(serving, rows))}
    if not judged.classes:
        held_out = rows.filter(rows["_held_out"])
        bins[ANSWER] = number_bins(judged.decide(judged.probabilities(judged.matrix(held_out))))
    profiles = []
    for number, group in enumerate(of_rows.groups):
        mine = rows.filter(pa.array(groups == number))
        counting = Counting(serving, bins)
        counting.see_input(mine, serving.matrix(mine))
        held_out = mine.filter(mine["_held_out"])
        columns, said = counting.told()
        if len(held_out):
            probabilities = judged.probabilities(judged.matrix(held_out))
            decided = judged.decide(probabilities)
            if ANSWER in bins:
                columns[ANSWER] = count_numbers(decided, bins[ANSWER])
            else:
                said = count_answers(probabilities, decided)
        profiles.append(Profile({**group.columns, **columns}, said, group.rows_a_file))
    return replace(of_rows, bins=bins, classes=serving.classes, groups=tuple(profiles))


def _input_bins(model: Model, rows: pa.Table) -> Iterator[tuple[Column, Bins]]:
    """How the columns of a model's input are counted: categories by the model's own codes."""
    matrix = model.matrix(rows)
    for place, (name, known) in enumerate(model.columns.items()):
        column = ("model_input", name)
        if known == TEXT:
            yield from text_bins(column, whole(rows[name])).items()
        elif known is None:
            yield column, number_bins(matrix[:, place].astype(np.float64, copy=False))
        else:
            yield column, Bins("category", values=tuple(known))
