"""Probabilities of every class: kept where the use case wants them, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.read.contract import rows_schema
from mlops_assets.journey.score.day import scores_mark
from mlops_assets.journey.score.predict import predict
from mlops_assets.journey.score.vectors import NotKept, Vectors, keepers, predictions_of, read_vectors, vectors_of
from mlops_assets.storage.accounting import ListingAccounting
from mlops_assets.storage.catalog import MANIFEST, PREDICTIONS, Lake
from mlops_assets.storage.files import write_parquet
from mlops_assets.use_case import Scoring
from mlops_assets_tests.helpers.models import as_version
from mlops_assets_tests.helpers.toy import DAY, purchases, put
from mlops_assets_tests.helpers.vectors import HOSTILE, keeping, says, score

ROWS = purchases(60)
ALL = keeping("all")
HALF_A_STEP = 1 / 131_072 + 1e-7  # and what float32 rounds


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake", "toy")
    put(lake, ALL, ROWS, parts=2)
    lake.raw_files.publish(DAY, [], MANIFEST, ListingAccounting(), set())
    return lake


@pytest.fixture
def rows(lake: Lake) -> pa.Table:
    return read_rows(lake.rows.folder / min(lake.rows.parts(DAY)))


def vectors(lake: Lake, table: str = "predictions") -> tuple[tuple[str, ...], np.ndarray]:
    classes, batches = read_vectors("toy", lake.table(table), DAY, ["file", "line"])
    return classes, np.concatenate([array for _, array in batches])


def exact(lake: Lake, classes: tuple[str, ...]) -> np.ndarray:
    """What the model says of the published rows, in their order."""
    model, found = says(classes), lake.rows.read_all([DAY])
    return np.concatenate([model.probabilities(model.matrix(found.slice(at, 1))) for at in range(len(found))])


# -- said: as it always was -------------------------------------------------------------------------------------------


def test_the_bytes_of_predictions_are_those_of_six_columns_unless_more_is_asked_for(
    rows: pa.Table, tmp_path: Path
) -> None:
    model = says(("no", "yes"))
    (answers,) = predict([model], rows, DAY, ALL, witnesses=keepers(Scoring())).answers
    six = [rows["file"], rows["line"], rows["account"], answers.predicted()]
    six += [pa.array(answers.beside["probability"]), pa.array([7] * len(rows), pa.int32())]
    plain = pa.table([column.cast(field.type) for column, field in zip(six, PREDICTIONS, strict=True)], PREDICTIONS)
    path, written = tmp_path / "part.parquet", []
    for table in (predictions_of(answers, rows, ALL, 7), plain):
        write_parquet(path, table)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_a_shard_is_scored_again_only_where_another_choice_is_made(tmp_path: Path) -> None:
    version = as_version(says(("no", "yes")), tmp_path)
    unsaid, *chosen = (keeping(said) for said in ("said", "all", {"top": 1}, {"top": 2}))
    marks = [scores_mark("part", use_case, version) for use_case in chosen]
    assert unsaid.scoring.mark == ()
    assert len({*marks, scores_mark("part", unsaid, version)}) == 4


def test_who_watches_changes_no_answer(rows: pa.Table) -> None:
    model = says(("a", "b", "c"))
    (plain,) = predict([model], rows, DAY, ALL).answers
    (watched,) = predict([model], rows, DAY, ALL, witnesses=keepers(ALL.scoring)).answers
    assert watched.numbers.tobytes() == plain.numbers.tobytes()
    assert watched.beside["probability"].tobytes() == plain.beside["probability"].tobytes()


# -- all --------------------------------------------------------------------------------------------------------------


def test_each_row_keeps_what_the_model_says_of_every_class(lake: Lake, tmp_path: Path) -> None:
    classes = ("a", "b", "c")
    assert score(ALL, lake, as_version(says(classes), tmp_path)).problems == ""
    named, found = vectors(lake)
    assert named == classes
    assert np.abs(found - exact(lake, classes)).max() <= HALF_A_STEP
    published = lake.predictions.read_all([DAY])
    said = [classes.index(name) for name in published["prediction"].to_pylist()]
    assert np.abs(found[np.arange(60), said] - published["probability"].to_numpy()).max() <= HALF_A_STEP
    assert np.abs(found.sum(axis=1) - 1).max() <= 3 * HALF_A_STEP


@pytest.mark.parametrize(("classes", "seen"), [(("only",), 1), (HOSTILE, 6), (("a", "b", "never"), 2)])
def test_any_classes_come_back_under_their_names(
    lake: Lake, tmp_path: Path, classes: tuple[str, ...], seen: int
) -> None:
    score(ALL, lake, as_version(says(classes, seen), tmp_path))
    named, found = vectors(lake)
    assert (named, found.shape) == (classes, (60, len(classes)))
    assert (found[:, seen:] == 0).all(), "a class that the model never saw"


def test_rows_on_which_sql_fails_have_no_probabilities_and_the_others_have_theirs(lake: Lake, tmp_path: Path) -> None:
    sql = "CREATE VIEW model_input AS SELECT file, line, amount + IF(line = 2, 'bad', '0')::INTEGER AS amount FROM rows"
    scored = score(ALL, lake, as_version(says(("a", "b"), sql=sql), tmp_path))
    assert (scored.accounting.sql_rejected, scored.accounting.predictions) == (10, 50)
    _, found = vectors(lake)
    kept = [row["line"] != 2 for row in lake.rows.read_all([DAY]).to_pylist()]
    assert np.abs(found - exact(lake, ("a", "b"))[kept]).max() <= HALF_A_STEP


def test_the_challenger_keeps_its_own(lake: Lake, tmp_path: Path) -> None:
    champion, challenger = (as_version(says(names), tmp_path / names[0]) for names in (("a", "b"), ("x", "y", "z")))
    score(ALL, lake, champion, challenger)
    (_, first), (named, second) = vectors(lake), vectors(lake, "challenger_predictions")
    assert (first.shape, named, second.shape) == ((60, 2), ("x", "y", "z"), (60, 3))


# -- top --------------------------------------------------------------------------------------------------------------


def seen(probabilities: list[list[float]], most: int) -> list[Any]:
    table = np.array(probabilities)
    witness = Vectors([str(number) for number in range(table.shape[1])], len(table), most)
    numbers = np.zeros(len(table), np.int64)
    witness.see(pa.table({}), table, table, numbers, np.arange(len(table)))
    column: list[Any] = witness.column().to_pylist()
    return column


def test_the_likeliest_are_kept_and_of_equal_ones_the_first() -> None:
    assert seen([[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]], 2) == [[0.25, 0.5, None], [0.0, None, 1.0]]


def test_more_than_there_are_is_all_of_them() -> None:
    assert seen([[0.25, 0.75]], 9) == [[0.25, 0.75]]


def test_what_was_not_kept_is_no_number(lake: Lake, tmp_path: Path) -> None:
    score(keeping({"top": 2}), lake, as_version(says(("a", "b", "c")), tmp_path))
    _, found = vectors(lake)
    assert (np.isnan(found).sum(axis=1) == 1).all()


# -- from one to the other --------------------------------------------------------------------------------------------


def test_a_use_case_that_changes_its_mind_reads_its_older_days_as_they_are(lake: Lake, tmp_path: Path) -> None:
    version, said = as_version(says(("a", "b")), tmp_path), keeping("said")
    score(said, lake, version)
    plain = lake.predictions.days()
    with pytest.raises(NotKept, match=r"`scoring: \{probabilities: all\}` in the defs.yaml of toy .* run toy --from"):
        vectors(lake)
    score(ALL, lake, version)
    assert vectors(lake)[1].shape == (60, 2)
    (_, first, second) = [None, *lake.predictions.publications()[DAY]]
    assert first == plain[DAY]
    before = lake.predictions.read_publication(DAY, first, ["prediction", "probabilities"]).read_all()
    assert before["probabilities"].null_count == 60
    again = score(said, lake, version)
    assert again.reused == 2, "its shards were kept"
    assert lake.predictions.days()[DAY].accounting == first.accounting
    lake.predictions.restore(DAY, second, PREDICTIONS)
    assert vectors(lake)[0] == ("a", "b"), "a restored day has what it had"


def test_a_rerun_publishes_nothing_new(lake: Lake, tmp_path: Path) -> None:
    version = as_version(says(("a", "b")), tmp_path)
    score(ALL, lake, version)
    before = lake.predictions.days()
    assert score(ALL, lake, version).reused == 2
    assert lake.predictions.days() == before


def test_a_day_without_rows_in_a_shard_is_read_like_any_other() -> None:
    rows = rows_schema(ALL).empty_table()
    (answers,) = predict([says(("a", "b"))], rows, DAY, ALL, witnesses=keepers(ALL.scoring)).answers
    assert predictions_of(answers, rows, ALL, 1)["probabilities"].to_pylist() == []
    kept = vectors_of(answers)
    assert kept is not None
    assert kept.values.shape == (0, 2)
