"""The life of a model by its commands: versions from edits of YAML, gate, promotion, diff, rollback, scoring again."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlops_assets.journey.model.files import SQL_FILE
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.registry import Registry
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import LINKED, place_visits

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
LATER = "2099-01-01"

VALUED = LINKED.replace("  label: returned\n", "  label: returned\n  value: minutes\n")
TIMID = "        parameters: {max_iter: 500, C: 0.01}\n"
BY_HAND = VALUED.replace("        parameters: {max_iter: 500}\n", TIMID).replace(
    "    folds: 2\n", "    folds: 2\n    promotion: manual\n"
)
WORSE = """\
      always:
        use: sklearn.dummy.DummyClassifier
        parameters: {strategy: constant, constant: 0}
      linear:
"""
GUESSING = (
    VALUED.replace("      linear:\n", WORSE)
    .replace("sklearn.linear_model.LogisticRegression", "sklearn.dummy.DummyClassifier")
    .replace("        parameters: {max_iter: 500}\n", "        parameters: {strategy: uniform, random_state: 0}\n")
)


def edit(shop: Shop, yaml: str) -> None:
    """What an engineer does before a training."""
    (shop.home.parent / "use_cases" / "visits" / "defs.yaml").write_text(yaml, encoding="utf-8")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Three days, and three versions by three edits: one champion, one that waits, one that the gate refused."""
    folder = tmp_path_factory.mktemp("life")
    place_visits(folder / "use_cases", VALUED)
    shop = Shop(folder / "home")
    shop("sample", "visits", "--day", DAYS[0], "--days", "3", "--files", "2", "--rows", "60")
    assert shop("run", "visits", "--train").code == 0
    for yaml in (BY_HAND, GUESSING):
        edit(shop, yaml)
        assert shop("run", "visits", "--train", "--from", DAYS[2], "--to", DAYS[2]).code == 0
    edit(shop, VALUED)
    return shop


@pytest.fixture
def shop(story: Shop, tmp_path: Path) -> Shop:
    """A copy of the story that a test may go on with."""
    shutil.copytree(story.home.parent, tmp_path / "life", ignore=shutil.ignore_patterns(story.home.name))
    copy_home(story.home, tmp_path / "life" / story.home.name)
    return Shop(tmp_path / "life" / "home")


def told(done: Done) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


def history(shop: Shop) -> Any:
    return told(shop("history", "visits", "--format", "json"))


def predictions(shop: Shop, day: str, *options: str) -> list[dict[str, Any]]:
    rows = told(shop("predictions", "visits", "--day", day, "--format", "json", *options))
    return sorted(rows, key=lambda row: (row["file"], row["line"]))


def versions(shop: Shop) -> list[int]:
    """Which version scored each of the days."""
    return [predictions(shop, day)[0]["model_version"] for day in DAYS]


# -- versions, gate, promotion ------------------------------------------------------------------------------------------


def test_every_training_makes_a_version_and_the_gate_says_why_one_is_refused(story: Shop) -> None:
    found = history(story)
    assert [one["passed"] for one in found["versions"]] == [True, True, False]
    refused = found["versions"][2]
    assert refused["reason"].startswith(f"refused: the best candidate, {refused['candidate']}, fails ")
    assert (found["champion"], [change["version"] for change in found["changes"]]) == (1, [1])


def test_the_history_reads_as_a_table(story: Shop) -> None:
    done = story("history", "visits")
    assert [line.split()[0] for line in done.out.splitlines()[2:5]] == ["1", "2", "3"]
    assert done.out.splitlines()[2].startswith("1 *")
    assert "gate, Dagster run" in done.out


def test_a_promotion_tells_who_and_why_and_changes_the_champion(shop: Shop) -> None:
    done = shop("promote", "visits", "2", "--why", "calmer", MLOPS_USER="ana")
    assert (done.code, done.out) == (
        0,
        "Version 2 is champion of visits now, before it was 1. Days are scored by it from now on.\n",
    )
    change = history(shop)["changes"][-1]
    assert {name: change[name] for name in ("who", "action", "version", "before", "why")} == {
        "who": "ana",
        "action": "promote",
        "version": 2,
        "before": 1,
        "why": "calmer",
    }


def test_a_refused_version_is_promoted_only_against_the_gate_and_the_history_says_so(shop: Shop) -> None:
    done = shop("promote", "visits", "3", "--why", "try")
    assert done.code == 2
    assert done.err.startswith("Error: Version 3 of visits did not pass the gate (refused: ")
    assert shop("promote", "visits", "3", "--why", "try", "--override").code == 0
    assert history(shop)["changes"][-1]["why"] == "try (against the gate)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("promote visits 9 --why x", "There is no version 9 of visits; there are: 1, 2, 3"),
        ("rollback visits --why x", "There is no champion before this one to go back to"),
        ("run visits --model best", "--model best: say current, as-of, or the number of a version"),
        ("run visits --model 9", "There is no version 9 of visits"),
        ("diff visits --day 2026-01-01 --candidate 9", "There is no version 9 of visits"),
        ("diff visits --day 2026-01-09 --candidate 2", "there are no rows of 2026-01-09"),
        ("diff visits --day 2026-01-01 --candidate 2 --format html", "name a file with -o FILE"),
        ("restore visits --day 2026-01-01 --as-published-on 2020-01-01", "it was first published on "),
        ("restore visits --day 2026-01-09 --as-published-on 2099-01-01", "it was never published"),
        ("predictions visits --as-published-on 2099-01-01", "name it with --day"),
        ("predictions visits --day 2026-01-01 --as-published-on soon", "'soon' is no time"),
        ("rebuild visits 9", "There is no version 9 of visits"),
    ],
)
def test_what_cannot_be_done_is_told(story: Shop, arguments: str, said: str) -> None:
    done = story(*arguments.split())
    assert done.code in (1, 2)
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_rollback_sets_the_champion_before_and_days_stay_until_they_are_run(shop: Shop) -> None:
    shop("promote", "visits", "2", "--why", "calmer")
    assert shop("run", "visits", "--from", DAYS[1], "--to", DAYS[1]).code == 0
    assert shop("rollback", "visits", "--why", "too calm").code == 0
    assert history(shop)["champion"] == 1
    assert versions(shop) == [1, 2, 1]


# -- card and rebuild ---------------------------------------------------------------------------------------------------


def test_the_card_has_all_that_is_needed_to_judge_a_version(story: Shop, tmp_path: Path) -> None:
    text = story("card", "visits", "3").out
    for part in ("# visits: linear, version 3", "**Refused by the gate.**", "### Classes", "### Confusion matrix"):
        assert part in text
    for part in ("### Calibration", "### Importance", "## Cost", "| training set |", "```sql", "mlops-assets rebuild"):
        assert part in text
    assert story("card", "visits", "-o", str(tmp_path / "card.html")).code == 0
    page = (tmp_path / "card.html").read_text()
    assert "<h1>visits: linear, version 1</h1>" in page
    assert "<script" not in page


def test_the_importance_names_the_column_that_decides(story: Shop) -> None:
    lines = story("card", "visits", "1").out.partition("### Importance")[2].splitlines()
    assert next(line for line in lines if line.startswith(("| minutes", "| channel")))


def test_a_version_is_made_again_byte_by_byte_whatever_the_yaml_says_now(shop: Shop) -> None:
    edit(shop, GUESSING)
    for version in ("1", "2", "3"):
        done = shop("rebuild", "visits", version)
        assert (done.code, "both models are the same, byte by byte" in done.out) == (0, True)


def test_a_version_whose_training_set_is_gone_cannot_be_made_again(shop: Shop) -> None:
    shutil.rmtree(shop.home / "lake" / "visits" / "training_sets")
    done = shop("rebuild", "visits", "1")
    assert done.code == 1
    assert "the training set of version 1 is gone; restore it" in done.err


# -- diff ---------------------------------------------------------------------------------------------------------------


def test_a_diff_counts_what_the_published_predictions_of_both_versions_differ_in(shop: Shop) -> None:
    found = told(shop("diff", "visits", "--day", DAYS[0], "--candidate", "3", "--format", "json"))
    before = predictions(shop, DAYS[0])
    assert shop("run", "visits", "--model", "3", "--from", DAYS[0], "--to", DAYS[0]).code == 0
    after = predictions(shop, DAYS[0])
    pairs = [(a["prediction"], b["prediction"]) for a, b in zip(before, after, strict=True)]
    changed = [pair for pair in pairs if pair[0] != pair[1]]
    assert (found["rows"], found["changed"]) == (len(pairs), len(changed)) != (len(pairs), 0)
    assert {(one["before"], one["after"]): one["rows"] for one in found["transitions"]} == {
        pair: changed.count(pair) for pair in set(changed)
    }
    assert found["labelled"] == len(pairs)
    assert found["right_before"] > found["right_after"]
    assert 0 < found["changed_value"] < found["value"]
    assert sum(one["value"] for one in found["transitions"]) == pytest.approx(found["changed_value"])


def test_a_version_does_not_differ_from_itself_and_is_not_compared_so_unless_both_are_named(story: Shop) -> None:
    words = ("diff", "visits", "--day", DAYS[0], "--candidate", "1")
    assert story(*words, "--against", "1").out.startswith("0 of 120 rows (0.00%) get another answer.")
    done = story(*words)
    assert (done.code, done.out) == (2, "")
    assert "Version 1 is the champion, and would be compared with itself" in done.err


def test_a_diff_publishes_nothing_and_leaves_nothing_behind(shop: Shop) -> None:
    lake = Lake(shop.home / "lake", "visits")
    before = {day: lake.table("predictions").days()[day].version for day in DAYS}
    assert shop("diff", "visits", "--day", DAYS[0], "--candidate", "3").code == 0
    assert {day: lake.table("predictions").days()[day].version for day in DAYS} == before
    assert not list((shop.home / "lake" / "visits" / "diffs").rglob("*.parquet"))


def test_a_diff_is_a_page_with_the_figures_of_both_versions(story: Shop, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    done = story("diff", "visits", "--day", DAYS[0], "--candidate", "3", "--format", "html", "-o", str(page))
    assert done.code == 0
    text = page.read_text()
    assert "<h1>visits, 2026-01-01: version 3 against version 1</h1>" in text
    assert "On held-out rows" in text
    assert "<td>no</td>" in text


def test_the_gate_can_bound_what_a_version_changes(shop: Shop) -> None:
    strict = VALUED.replace("      margin: {accuracy: 0.1}\n", "      margin: {accuracy: 0.01}\n      changes: 0.0\n")
    edit(shop, strict.replace("        parameters: {max_iter: 500}\n", TIMID))
    assert shop("run", "visits", "--train", "--from", DAYS[2], "--to", DAYS[2]).code == 0
    found = history(shop)
    changed = "share of predictions of 2026-01-03 that change against the champion"
    assert changed in shop("card", "visits", "4").out
    if found["versions"][-1]["passed"]:
        assert found["champion"] == 4  # it says of every row what the champion says
    else:
        assert f"fails {changed}: found" in found["versions"][-1]["reason"]
        assert found["champion"] == 1


def test_what_was_done_already_is_said_and_done_no_second_time(shop: Shop) -> None:
    """As after a kill: whoever asks again cannot know whether it was done."""
    before = len(history(shop)["changes"])
    done = shop("promote", "visits", "1", "--why", "x")
    assert done.code == 0
    assert "Version 1 is champion of visits already, since 20" in done.out
    assert shop("promote", "visits", "2", "--why", "better").code == 0
    for _ in range(2):
        done = shop("rollback", "visits", "--why", "too calm")
        assert done.code == 0
    assert "Version 1 is champion of visits again already" in done.out
    assert len(history(shop)["changes"]) == before + 2
    done = shop("restore", "visits", "--day", DAYS[0], "--as-published-on", LATER)
    assert done.out == "120 predictions of 2026-01-01 by version 1 are what is published now.\n"


# -- past days after a promotion ------------------------------------------------------------------------------------------


def test_past_days_are_scored_again_compared_and_put_back_by_commands(shop: Shop, tmp_path: Path) -> None:
    edit(shop, VALUED.replace("    folds: 2\n", "    folds: 2\n    promotion: {retro_score: 30d, most_changed: 0}\n"))
    span = ("--from", DAYS[0], "--to", DAYS[2])
    before = {day: shop("predictions", "visits", "--day", day, "--format", "csv").out for day in DAYS}
    done = shop("promote", "visits", "3", "--why", "to see", "--override")
    assert "are scored again by it: by Dagster's daemon" in done.out
    # the days of this test are older than its 30 days
    assert "no day was published" in shop("retro-score", "visits").out
    done = shop("retro-score", "visits", *span)
    assert done.code == 0
    assert "3 scored again, and not published yet" in done.out
    assert "What was published stays: " in done.out
    assert "done in" in done.err or "the newest first" in done.err
    assert versions(shop) == [1, 1, 1]
    done = shop("retro-score", "visits", "--publish", "seen it")
    assert "3 days were scored again and published: 2026-01-01 to 2026-01-03." in done.out
    assert versions(shop) == [3, 3, 3]
    assert shop("retro-score", "visits", "--publish", "again").code == 2
    found = told(shop("diff", "visits", *span, "--format", "json"))
    by_model = told(shop("diff", "visits", *span, "--candidate", "3", "--against", "1", "--format", "json"))
    assert found == by_model  # what was published by both is what both say
    assert (found["before"], found["after"], found["rows"]) == ([1], [3], 360)
    assert sum(flow["rows"] for flow in found["flows"]) == found["changed"] == sum(d["changed"] for d in found["days"])
    page = tmp_path / "span.html"
    assert shop("diff", "visits", *span, "-o", str(page)).code == 0
    assert "<h1>visits, 2026-01-01 to 2026-01-03: version 3 against version 1</h1>" in page.read_text()
    assert history(shop)["retro_scores"][0]["days"] == {"scored": 3}
    done = shop("rollback", "visits", "--why", "seen enough")
    assert "3 days are published again as they were: 2026-01-01 to 2026-01-03." in done.out
    assert {day: shop("predictions", "visits", "--day", day, "--format", "csv").out for day in DAYS} == before
    assert "of 3 published days 3 put back by a rollback" in shop("history", "visits").out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("diff visits", "Which days? Give --day, or --from and --to."),
        ("diff visits --day 2026-01-01", "2026-01-01: it was published by version 1, never by another version"),
        ("diff visits --day 2026-01-01 --from 2026-01-01", "not both"),
        ("retro-score visits --from 2026-01-01", "Give --from and --to"),
        ("retro-score visits --from 2026-01-03 --to 2026-01-01", "Give --from and --to"),
        ("retro-score visits --publish x", "no day was scored again and waits to be published"),
    ],
)
def test_what_is_asked_of_past_days_wrongly_is_told(story: Shop, command: str, said: str) -> None:
    done = story(*command.split())
    assert done.code != 0
    assert said in done.err


# -- without MLflow -----------------------------------------------------------------------------------------------------

READING = (
    "status visits",
    "history visits",
    f"predictions visits --day {DAYS[0]}",
    "rejects visits",
    "card visits",
    "preview visits",
    f"audit visits --day {DAYS[0]}",
)


def mlflow_says(shop: Shop, how: str) -> str:
    """Lose the champion in MLflow, in some way; what is said of it."""
    file = shop.home / "mlflow" / "mlflow.db"
    if how == "a deleted version":
        with closing(sqlite3.connect(file)) as store, store:
            store.execute("UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = 1")
        return "version 1 of visits, the champion, is gone from MLflow's store"
    if how == "a lost file":
        file.unlink()
        return "is gone"
    file.write_bytes(bytes(range(256)) * 100)
    return "cannot be read: file is not a database"


@pytest.mark.parametrize("how", ["a deleted version", "a lost file", "a file that is none"])
def test_who_reads_goes_on_from_the_lake_and_is_told_what_mlflow_lost(shop: Shop, how: str) -> None:
    said = mlflow_says(shop, how)
    for command in READING:
        done = shop(*command.split())
        assert done.code == 0, (command, done.err)
        assert "not expected" not in done.err
    status = shop("status", "visits").out
    assert DAYS[2] in status
    assert said in status
    assert said in shop("history", "visits").err
    assert told(shop("status", "visits", "--format", "json"))["champion"]["version"] == 1


@pytest.mark.parametrize("how", [pytest.param("a deleted version", marks=pytest.mark.long), "a lost file"])
def test_a_training_makes_it_well_again(shop: Shop, how: str) -> None:
    said = mlflow_says(shop, how)
    edit(shop, BY_HAND.replace("    promotion: manual\n", "").replace("C: 0.01", "C: 2.0"))
    span = ("--from", DAYS[2], "--to", DAYS[2])
    done = shop("run", "visits", *span)
    assert done.code == (1 if how == "a deleted version" else 0), done.err
    assert said in done.err
    done = shop("run", "visits", "--train", *span)
    assert done.code == 0, done.err
    assert history(shop)["champion"] == 4
    assert told(shop("status", "visits", "--format", "json"))["champion"]["trouble"] == ""


# -- scoring again ------------------------------------------------------------------------------------------------------


def dated(shop: Shop) -> None:
    """A history in which version 1 was champion from the first day on, and version 2 from the second."""
    folder = shop.home / "lake" / "visits" / "history"
    shutil.rmtree(folder)
    past = History(shop.home / "lake", "visits")
    for version, day in ((1, DAYS[0]), (2, DAYS[1])):
        past.append("promote", version, "ana", "better", "", dt.datetime.fromisoformat(f"{day}T09:00:00+00:00"))


def test_past_days_are_scored_by_the_champion_of_then_or_of_now_and_each_day_says_so(shop: Shop) -> None:
    dated(shop)
    span = ("--from", DAYS[0], "--to", DAYS[1])
    assert shop("run", "visits", *span, "--model", "as-of").code == 0
    assert versions(shop) == [1, 2, 1]
    as_of = [predictions(shop, day) for day in DAYS]
    assert shop("run", "visits", *span, "--model", "current").code == 0
    assert versions(shop) == [2, 2, 1]
    days = Lake(shop.home / "lake", "visits").table("predictions").publications()
    assert [[one.accounting.model_choice for one in days[day]][-2:] for day in DAYS[:2]] == [["as-of", "current"]] * 2
    assert all(one.run for day in DAYS for one in days[day])
    # what was replaced stays readable, and comes back exactly
    then = dt.datetime.fromtimestamp(days[DAYS[0]][-2].time / 1000, dt.UTC)
    assert predictions(shop, DAYS[0], "--as-published-on", then.isoformat()) == as_of[0]
    differs = ("diff", "visits", "--day", DAYS[0], "--as-published-on")
    assert json.loads(shop(*differs, then.isoformat(), "--format", "json").out)["days"][0]["before"] == 1
    assert "it is published as it was then" in shop(*differs, LATER).err
    assert "give it without --candidate and --against" in shop(*differs, LATER, "--candidate", "2").err
    done = shop("restore", "visits", "--day", DAYS[0], "--as-published-on", then.isoformat())
    first, judged = done.out.splitlines()
    assert first == "120 predictions of 2026-01-01 by version 1 are published again."
    assert judged.startswith(f"{DAYS[0]}: "), "what is published has a verdict of its own"
    assert predictions(shop, DAYS[0]) == as_of[0]
    assert versions(shop) == [1, 2, 1]


def test_a_day_before_the_first_champion_cannot_be_scored_as_of_then(shop: Shop) -> None:
    done = shop("run", "visits", "--model", "as-of", "--from", DAYS[0], "--to", DAYS[0])
    assert done.code == 1
    assert f"{DAYS[0]}: visits had no champion on that day" in done.err


def test_restoring_what_is_published_changes_nothing(shop: Shop) -> None:
    before = Lake(shop.home / "lake", "visits").table("predictions").parts(DAYS[0])
    done = shop("restore", "visits", "--day", DAYS[0], "--as-published-on", LATER)
    assert done.code == 0
    assert Lake(shop.home / "lake", "visits").table("predictions").parts(DAYS[0]) == before


def test_a_publication_whose_files_were_cleaned_up_is_told(shop: Shop) -> None:
    assert shop("run", "visits", "--model", "2", "--from", DAYS[0], "--to", DAYS[0]).code == 0
    table = Lake(shop.home / "lake", "visits").table("predictions")
    first = table.publications()[DAYS[0]][0]
    table.clean(hours=0)
    moment = dt.datetime.fromtimestamp(first.time / 1000, dt.UTC).isoformat()
    done = shop("restore", "visits", "--day", DAYS[0], "--as-published-on", moment)
    assert done.code == 1
    assert "of its 1 files were cleaned up" in done.err


# -- challenger ---------------------------------------------------------------------------------------------------------


def test_a_challenger_scores_beside_the_champion_and_is_stored_apart(shop: Shop) -> None:
    edit(shop, VALUED.replace("  value: minutes\n", "  value: minutes\n  challenger: 3\n"))
    assert shop("run", "visits").code == 0
    beside = Lake(shop.home / "lake", "visits").table("challenger_predictions").read_all([DAYS[0]]).to_pylist()
    assert versions(shop) == [1, 1, 1]
    assert {row["model_version"] for row in beside} == {3}
    edit(shop, VALUED)
    assert shop("run", "visits", "--model", "3", "--from", DAYS[0], "--to", DAYS[0]).code == 0
    own = {(row["file"], row["line"]): row["prediction"] for row in predictions(shop, DAYS[0])}
    assert {(row["file"], row["line"]): row["prediction"] for row in beside} == own


@pytest.mark.parametrize("challenger", ["9", "2"])
def test_a_challenger_that_cannot_score_does_not_keep_the_day_from_its_champion(
    shop: Shop, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(shop.home))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # a training in this process may have set it
    tampered = Registry(Settings.from_environment()).version("visits", 2).folder / "serving" / SQL_FILE
    tampered.write_text("-- another one")
    edit(shop, VALUED.replace("  value: minutes\n", f"  value: minutes\n  challenger: {challenger}\n"))
    shop("sample", "visits", "--day", DAYS[0], "--files", "3", "--rows", "60")
    done = shop("run", "visits", "--from", DAYS[0], "--to", DAYS[0])
    assert done.code == 0
    assert "the challenger does not score" in done.err
    assert len(predictions(shop, DAYS[0])) > 120


def test_what_the_command_writes_as_parquet_is_what_was_published_then(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "then.parquet"
    done = shop(
        "predictions", "visits", "--day", DAYS[0], "--as-published-on", LATER, "--format", "parquet", "-o", str(file)
    )
    assert done.code == 0
    assert pq.read_table(file).num_rows == len(predictions(shop, DAYS[0]))
