"""One row on which SQL or the model fails: the day names it, or goes on without it; nothing is unexplained."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.deliver.delivery import deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.explain.row import NotPredicted
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Checks, Delivering
from mlops_assets.views.output import joined
from mlops_assets_tests.helpers.days import DAY
from mlops_assets_tests.helpers.one_row import BAD, BAD_LINE, EMPTY_SEVEN, TOO_MUCH, Place, a_version, open_place
from mlops_assets_tests.helpers.toy import built, purchases, toy


@pytest.fixture
def lenient(tmp_path: Path) -> Place:
    """A day with one amount that the SQL cannot cast, of which a tenth may be left out."""
    place = open_place(tmp_path, 0.1)
    place.read(TOO_MUCH, rejected=True)
    return place


def test_by_default_the_day_ends_with_file_line_reason_and_ways_out_and_is_not_published(tmp_path: Path) -> None:
    place = open_place(tmp_path, 0)
    place.read()
    version = a_version(tmp_path / "version")
    assert not place.score(version).problems
    before = place.lake.predictions.days()[DAY]
    place.read(TOO_MUCH)
    with pytest.raises(ConfigError, match=f"{BAD}, line {BAD_LINE}: .*1000000(.|\n)*checks.sql_rejects"):
        place.score(version)
    assert place.lake.predictions.days()[DAY] == before


def test_where_it_may_be_left_out_the_day_is_published_and_adds_up(lenient: Place, tmp_path: Path) -> None:
    done = lenient.score(a_version(tmp_path / "version"))
    told = done.accounting
    assert not done.problems
    assert (told.lines, told.rows, told.rejected) == (46, 45, 1)
    assert (told.predictions, told.sql_rejected) == (44, 1)
    assert told.lines_add_up
    ((at, row),) = lenient.published("unpredicted").items()
    assert (at, row["rule"]) == ((BAD, BAD_LINE), "sql")
    assert "1000000" in str(row["message"])
    assert lenient.published("predictions").keys() == lenient.published("rows").keys() - {at}


def test_the_other_rows_are_predicted_as_if_the_line_had_been_a_reject(lenient: Place, tmp_path: Path) -> None:
    version = a_version(tmp_path / "version")
    lenient.score(version)
    other = open_place(tmp_path / "other", 0)
    other.read("no amount", rejected=True)
    other.score(version)
    assert lenient.published("predictions") == other.published("predictions")


def test_why_tells_the_reason_and_explains_the_other_rows_of_the_file(lenient: Place, tmp_path: Path) -> None:
    version = a_version(tmp_path / "version")
    lenient.score(version)
    for file, line in lenient.published("predictions"):
        assert lenient.why(version, file, line).agrees
    with pytest.raises(NotPredicted, match=f"Line {BAD_LINE} of {BAD} has no prediction, for features.sql fails on it"):
        lenient.why(version, BAD, BAD_LINE)


def test_a_row_on_which_the_model_fails_is_left_out_too_and_why_knows_it(tmp_path: Path) -> None:
    place = open_place(tmp_path, 0.1, EMPTY_SEVEN)
    place.read("7,00")
    version = a_version(tmp_path / "version", sql=EMPTY_SEVEN, takes_nan=False)
    assert not place.score(version).problems
    ((at, row),) = place.published("unpredicted").items()
    assert (at, row["rule"]) == ((BAD, BAD_LINE), "model")
    assert "NaN" in str(row["message"])
    assert all(place.why(version, file, line).agrees for file, line in place.published("predictions"))
    with pytest.raises(NotPredicted, match="the model fails on it"):
        place.why(version, *at)


def test_a_row_on_which_the_model_fails_is_named_where_none_may_be_left_out(tmp_path: Path) -> None:
    place = open_place(tmp_path, 0, EMPTY_SEVEN)
    place.read("7,00")
    with pytest.raises(ConfigError, match=f"the model fails .*{BAD}, line {BAD_LINE}: .*NaN"):
        place.score(a_version(tmp_path / "version", sql=EMPTY_SEVEN, takes_nan=False))


@pytest.mark.parametrize("sql", ["same", "other"])
def test_the_challenger_answers_for_the_same_rows(lenient: Place, tmp_path: Path, sql: str) -> None:
    text = EMPTY_SEVEN if sql == "other" else lenient.use_case.features_sql
    challenger = a_version(tmp_path / "challenger", 2, text)
    done = lenient.score(a_version(tmp_path / "version"), challenger)
    assert done.challenger_version == 2
    assert lenient.published("challenger_predictions").keys() == lenient.published("predictions").keys()


def test_a_challenger_that_fails_on_rows_that_the_champion_takes_is_left_out_and_no_row_is(
    lenient: Place, tmp_path: Path
) -> None:
    champion = a_version(tmp_path / "version", sql=EMPTY_SEVEN)
    done = lenient.score(champion, a_version(tmp_path / "challenger", 2))
    assert (done.challenger_version, done.accounting.sql_rejected, done.accounting.predictions) == (None, None, 45)


def test_a_mended_day_has_no_row_without_a_prediction(lenient: Place, tmp_path: Path) -> None:
    version = a_version(tmp_path / "version")
    lenient.score(version)
    lenient.read("5,00", rejected=True)
    done = lenient.score(version)
    assert (done.accounting.sql_rejected, done.accounting.predictions) == (None, 45)
    assert lenient.lake.unpredicted.parts(DAY) == set()


def test_more_rows_than_may_be_left_out_keep_the_day_from_being_published(tmp_path: Path) -> None:
    place = open_place(tmp_path, 0.1)
    place.read(*[TOO_MUCH] * 9)
    done = place.score(a_version(tmp_path / "version"))
    assert "9 left out because SQL or model fail on them: 21.95%, allowed 10.00%" in done.problems
    assert DAY not in place.lake.predictions.days()


def test_what_is_published_is_delivered(lenient: Place, tmp_path: Path, settings: Settings) -> None:
    target = {"out": Delivering(use="files", parameters={"place": str(tmp_path / "out")})}
    use_case = lenient.use_case.model_copy(update={"targets": target})
    lenient.score(a_version(tmp_path / "version"))
    told = deliver_day(use_case, lenient.lake, DAY, "out", open_target(use_case, "out", settings))
    assert told is not None
    assert told.rows == 44


@pytest.mark.parametrize("share", [0, 0.1])
def test_a_training_names_the_row_or_leaves_it_out_and_says_so(tmp_path: Path, share: float) -> None:
    sql = (
        "CREATE VIEW model_input AS SELECT file, line, (CASE amount WHEN 42 THEN 'x' ELSE '1' END)::INT AS x FROM rows"
    )
    use_case = toy().model_copy(update={"features_sql": sql, "checks": Checks(sql_rejects=share)})
    lake = Lake(tmp_path, "toy")
    if not share:
        with pytest.raises(ConfigError, match=r"002\.csv, line 5: "):
            built(lake, use_case, purchases(60))
        return
    found = built(lake, use_case, purchases(60))
    assert found.rows == 59
    assert "Left out: 1 of 60 rows, on which features.sql fails, such as 002.csv, line 5" in found.left_out


def test_it_is_read_behind_the_rejects_of_its_day(lenient: Place, tmp_path: Path) -> None:
    lenient.score(a_version(tmp_path / "version"))
    lake, columns = lenient.lake, ["day", "file", "line", "rule", "raw"]
    told = joined(lake.rejects, [lake.unpredicted], [DAY], columns).read_all().to_pylist()
    assert [(one["file"], one["line"], one["rule"]) for one in told] == [("i.csv", 13, "type"), (BAD, BAD_LINE, "sql")]
    assert told[1]["raw"] == ""
