"""In: the rows of a window of days. Out: the labelled ones, each once, in one split for all candidates.

Days are enriched with what was stored for them, never by asking now: that would be knowledge which they did not have.
People's corrections change what is learned from, never what is held out: the split is made of the original labels.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.journey.enrich.answers import DayAnswers, read_answers
from mlops_assets.journey.features.blame import Blamed, tell_left_out
from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.shard import compute_good
from mlops_assets.journey.features.sql import describe, read_rows
from mlops_assets.journey.feedback import corrections as feedback
from mlops_assets.journey.feedback.published import Row
from mlops_assets.journey.train.origins import Origin, find_origins, order_of
from mlops_assets.journey.train.profiling import PLACE, RawRows
from mlops_assets.journey.train.splitting import TooLittleData, hold_out, number_folds, unit_of
from mlops_assets.journey.train.window import choose_days
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part, write_table
from mlops_assets.storage.places import Place, parse_place
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import fingerprint_table

CONTENT = "_content"
"""Hash of all columns of a row but its label: copies of a row have the same."""

KEYS = ("_day", "_file", "_line", "_account", "_order", CONTENT, "_label", "_held_out", "_fold", "_weight")
"""Columns of a training set that are not the model's; `features.sql` makes none with such a name."""

ROW = ["_day", "_file", "_line"]
"""Which row it is."""

LEAST_ROWS = 20
"""Fewer labelled rows than this are no training set."""


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows with the model's input, and which of them are held out.

    Attributes
    ----------
    fingerprint
        Hash of all rows: the same fingerprint means the same rows in the same split.
    path
        Parquet file that holds it.
    rows, held_out
        Number of rows, and how many of them are held out.
    duplicates
        Rows dropped because they were exact copies of another one.
    days
        First and last day of the rows.
    classes
        The labels, sorted; none where they are numbers.
    features
        Columns of the model's input: whether it is of text, as `features.sql` made it.
    boundary
        With a split by time, the first held-out date.
    corrected
        Rows to learn from whose label came from people's corrections; see `_weight`.
    feedback
        Fingerprint of all corrections that counted then; see `feedback.keep`.
    left_out
        Days of the window that are not learned from, rows on which the SQL fails, and why; empty if there is none.
    profile
        Parquet file that holds what was counted of its raw rows; empty where days are not watched.
    origins
        The months that choose and test, and what was known as each began; none where folds choose and one held-out part
        tests.
    """

    fingerprint: str
    path: str
    rows: int
    held_out: int
    duplicates: int
    days: tuple[str, str]
    classes: tuple[str, ...]
    features: Mapping[str, bool]
    boundary: str | None
    corrected: int = 0
    feedback: str = ""
    left_out: str = ""
    profile: str = ""
    origins: tuple[Origin, ...] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what a training or a model card wrote of it."""
        origins = tuple(Origin(**one) for one in written.get("origins", ()))
        lists = {"days": tuple(written["days"]), "classes": tuple(written["classes"])}
        return cls(**{**written, **lists, "origins": origins})

    def load(self) -> pa.Table:
        """The rows: `KEYS` and the columns of the model."""
        return read_part(parse_place(self.path))


def find_training_set(lake: Lake, mark: str) -> Place:
    """Where a training set lies, or would, by the fingerprint that a card, or a run of MLflow, names.

    Raises
    ------
    MlopsError
        If that is no fingerprint: a path in its place would lead anywhere.
    """
    if not re.fullmatch(r"[0-9a-f]{8,64}", mark):
        raise MlopsError(f"{mark[:100]!a} is no fingerprint of a training set; somebody changed what was stored.")
    return lake.training_set(mark)


def build_training_set(use_case: UseCase, lake: Lake) -> TrainingSet:
    """Collect the labelled rows of the window, drop duplicates, split them, and store them by their fingerprint.

    Rows to learn from take the label that people gave them, with the weight `feedback.weight`; all others weigh 1.

    Parameters
    ----------
    use_case
        The use case; `training` says window and split.
    lake
        The tables of the use case; the days' rows are published.

    Raises
    ------
    TooLittleData
        If there are fewer than `LEAST_ROWS` labelled rows, one class only, or no way to split them.
    """
    accepted = feedback.read_accepted(lake)
    window, left_out = choose_days(use_case, lake)
    bad, raw = list[Blamed](), RawRows(use_case)
    labelled_rows = _labelled(use_case, lake, window, feedback.corrections(accepted), bad, raw)
    pieces = [piece for piece in labelled_rows if len(piece)]
    left_out += tell_left_out(use_case, bad, sum(rows for rows, _ in window.values()))
    everything = pa.concat_tables(pieces) if pieces else None
    labelled = everything.filter(everything["_labelled"]) if everything else None
    if everything is None or not labelled:
        raise TooLittleData(
            f"{use_case.name}: no day has rows with the label {use_case.label!r}; nothing to learn from."
            + (f" {left_out}" if left_out else "")
        )
    kept = _without_duplicates(labelled, "_hash")
    duplicates = len(labelled) - len(kept)
    _see_that_they_suffice(kept, use_case.name)
    # split by the labels of the files, before any correction: see the decision on held-out rows
    origins = find_origins(order_of(kept), use_case.training)
    held_out, boundary = hold_out(kept, use_case.training.split, use_case.name, origins)
    if _labels(kept.filter(pa.array(~held_out))) < 2:
        raise TooLittleData(f"{use_case.name}: the rows to learn from have one label; training needs 2 labels.")
    kept = _corrected(use_case, kept.append_column("_held_out", pa.array(held_out)), everything)
    corrected = pc.sum(pc.is_valid(kept["_said"])).as_py()
    places, kept = kept[PLACE], _with_folds(use_case, kept, origins)
    mark = fingerprint_table(kept)
    # the same rows are the same file: two trainings on them cannot differ in what they learned from
    path = lake.training_set(mark)
    if not path.exists():
        write_table(path, kept)
    return TrainingSet(
        fingerprint=mark,
        path=str(path),
        rows=len(kept),
        held_out=int(held_out.sum()),
        duplicates=duplicates,
        days=(pc.min(kept["_day"]).as_py(), pc.max(kept["_day"]).as_py()),
        classes=() if use_case.training.says_numbers else tuple(sorted(pc.unique(kept["_label"]).to_pylist())),
        features=dict(describe(use_case).model),
        boundary=boundary,
        corrected=corrected,
        feedback=feedback.keep(lake, accepted),
        left_out=left_out,
        profile=raw.store_profile(lake, mark, places, kept),
        origins=origins,
    )


def _labels(rows: pa.Table) -> int:
    """How many different labels rows have."""
    return len(pc.unique(rows["_label"]))


def _see_that_they_suffice(rows: pa.Table, name: str) -> None:
    if len(rows) < LEAST_ROWS or _labels(rows) < 2:
        raise TooLittleData(
            f"{name}: {len(rows)} labelled rows with {_labels(rows)} labels; training needs "
            f"at least {LEAST_ROWS} rows and 2 labels."
        )


def _with_folds(use_case: UseCase, rows: pa.Table, origins: Sequence[Origin]) -> pa.Table:
    """The rows with their folds, `KEYS` first, and without what they were chosen by."""
    fold = number_folds(rows, use_case.training, rows["_held_out"].to_numpy(), origins)
    rows = rows.append_column("_fold", pa.array(fold)).drop_columns(["_hash", "_said", "_labelled", PLACE])
    return rows.select([*KEYS, *(name for name in rows.column_names if name not in KEYS)])


def _corrected(use_case: UseCase, kept: pa.Table, everything: pa.Table) -> pa.Table:
    """The kept rows with the labels that people gave to those that are learned from, and further corrected rows.

    What is held out stays as it is. A further row has no label of its own, or lies in a file that was not sampled; it
    is left out where it would undo the split: as a copy of a held-out row, or of an account that is held out.
    """
    correction = pc.if_else(kept["_held_out"], pa.scalar(None, kept["_said"].type), kept["_said"])
    kept = kept.set_column(kept.column_names.index("_said"), "_said", correction)
    more = everything.filter(pc.is_valid(everything["_said"]))
    if len(more):
        more = _further(use_case, kept, more)
        kept = pa.concat_tables([kept, more.select(kept.column_names)])
        kept = kept.sort_by([(name, "ascending") for name in ROW])
    label = pc.coalesce(kept["_said"], kept["_label"])
    weight = pc.if_else(pc.is_valid(kept["_said"]), use_case.feedback.weight, 1).cast(pa.int32())
    return kept.set_column(kept.column_names.index("_label"), "_label", label).append_column("_weight", weight)


def _further(use_case: UseCase, kept: pa.Table, corrected: pa.Table) -> pa.Table:
    """Those of the corrected rows that are not among the kept ones and leave the split as it is."""
    more = corrected.join(kept.select(ROW), ROW, join_type="left anti").select(corrected.column_names)
    held_out = kept.filter(kept["_held_out"])
    more = more.filter(pc.invert(pc.is_in(more[CONTENT], value_set=held_out[CONTENT].combine_chunks())))
    if use_case.training.split.by == "account":
        more = more.filter(pa.array(unit_of(more, "account") >= use_case.training.split.held_out))
    more = _without_duplicates(more, CONTENT)
    return more.append_column("_held_out", pa.array(np.zeros(len(more), bool)))


def _labelled(
    use_case: UseCase,
    lake: Lake,
    window: Mapping[str, tuple[int, DayAnswers]],
    corrections: Mapping[str, Mapping[Row, str]],
    bad: list[Blamed],
    raw: RawRows,
) -> Iterator[pa.Table]:
    """The labelled and the corrected rows of the window with the model's input, a shard at a time."""
    table = lake.rows
    # rounded up, for `most_rows` is the most
    keep_one_in = -(-sum(rows for rows, _ in window.values()) // use_case.training.most_rows) or 1
    for day, (_, answers) in window.items():
        labels = corrections.get(day, {})
        for path in sorted(table.parts(day)):
            rows, drawn = _sampled(read_rows(table.folder / path), day, keep_one_in, {file for file, _ in labels})
            labelling = _what_is_known(use_case, rows, drawn, labels)
            if labelling["_labelled"].any() or labelling["_said"].null_count < len(rows):
                yield from _inputs(use_case, rows, day, labelling, read_answers(lake, answers.of(path)), bad, raw)


def _what_is_known(
    use_case: UseCase, rows: pa.Table, drawn: np.ndarray, corrections: Mapping[Row, str]
) -> dict[str, Any]:
    """The labels of rows, those that people gave, and which rows are sampled and have a label of their own."""
    labels, said = as_text(rows[use_case.label]), feedback.said(rows, corrections)
    if use_case.training.says_numbers:
        labels, said = rows[use_case.label].combine_chunks().cast(pa.float64()), said.cast(pa.float64())
    is_labelled = drawn & labels.is_valid().to_numpy(zero_copy_only=False)
    return {"_label": labels, "_said": said, "_labelled": is_labelled}


def _sampled(rows: pa.Table, day: str, keep_one_in: int, also: Collection[str]) -> tuple[pa.Table, np.ndarray]:
    """The rows of one file in so many, chosen by path, and of the files in `also`; and which are of a chosen file.

    Files stay whole, for their aggregates.
    """
    if keep_one_in == 1 or not rows.num_rows:
        return rows, np.ones(len(rows), bool)
    import pandas as pd

    file = rows["file"].chunk(0)
    paths = file.dictionary.to_pylist()
    # by its path a file is in the sample or not, whatever else lies there
    chosen = pd.util.hash_array(np.array([f"{day}/{name}" for name in paths], object)) % keep_one_in == 0
    kept = chosen | np.array([name in also for name in paths], bool)
    positions = file.indices.to_numpy()
    return rows.filter(pa.array(kept[positions])).combine_chunks(), chosen[positions][kept[positions]]


def _inputs(
    use_case: UseCase,
    rows: pa.Table,
    day: str,
    labelling: Mapping[str, Any],
    answers: Mapping[str, Any],
    bad: list[Blamed],
    raw: RawRows,
) -> Iterator[pa.Table]:
    """The labelled and the corrected rows with the model's input; `labelling` has what tells which these are."""
    import pandas as pd

    frame = rows.drop_columns(["line", "file"]).to_pandas()
    order_by = use_case.training.split.column
    order = pa.array([day] * len(rows)) if order_by == "day" else rows[order_by].cast(pa.string()).combine_chunks()
    keys = pa.table(
        {
            "_day": pa.array([day] * len(rows)),
            "_file": rows["file"].cast(pa.string()),
            "_line": rows["line"],
            "_account": as_text(rows[use_case.account]),
            "_order": order,
            **labelling,
            "_hash": pd.util.hash_pandas_object(frame, index=False).to_numpy(),
            # without the label: a row that was corrected is still a copy of the other one
            CONTENT: pd.util.hash_pandas_object(frame.drop(columns=use_case.label), index=False).to_numpy(),
        }
    )
    for batch, positions in compute_good(rows, day, use_case, use_case.features_sql, answers, bad):
        whole = keys.take(pa.array(positions))
        for name in batch.column_names:
            if name not in ("file", "line"):
                whole = whole.append_column(name, batch[name])
        chosen = pc.or_(whole["_labelled"], pc.is_valid(whole["_said"]))
        yield raw.gather(whole.filter(chosen), rows, positions[chosen.to_numpy()])


def _without_duplicates(rows: pa.Table, by: str) -> pa.Table:
    """The first of each set of rows with the same hash, by day, file and line."""
    ordered = rows.sort_by([(name, "ascending") for name in ROW])
    _, first = np.unique(ordered[by].to_numpy(), return_index=True)
    return ordered.take(pa.array(np.sort(first)))


def repeats(rows: pa.Table) -> np.ndarray:
    """Rows by their positions, each as often as it weighs: the one way to weigh that every estimator understands."""
    positions = np.arange(len(rows))
    return np.repeat(positions, rows["_weight"].to_numpy()) if "_weight" in rows.column_names else positions
