"""The training job through Dagster: from labelled rows to a champion, or to a refusal with its reasons."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets import running
from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import Candidate, Gate, load_use_case
from mlops_assets_tests.helpers.account_files import ROW
from mlops_assets_tests.helpers.paths import REAL_DATA
from mlops_assets_tests.helpers.stage import SMALL_TRAINING, Stage, small

DAYS = ("2026-01-01", "2026-01-02")
CANDIDATES = ("linear", "majority")
METRICS = ("accuracy", "macro_f1", "weighted_f1", "log_loss", "roc_auc")


@pytest.fixture(scope="module")
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the training is started."""
    return tmp_path_factory.mktemp("working_folder")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, working_folder: Path) -> Iterator[Stage]:
    """Two labelled sample days and a champion learned from them."""
    with (
        Stage.of(small(), tmp_path_factory.mktemp("trained") / "home") as stage,
        pytest.MonkeyPatch.context() as process,
    ):
        process.chdir(working_folder)
        for day in DAYS:
            stage.sample(day)
        stage.run(*DAYS, train=True)
        yield stage


@pytest.fixture(scope="module")
def trained_again(trained: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same with a second training on the same rows."""
    with trained.copy(tmp_path_factory.mktemp("trained_again") / "home") as stage:
        assert stage.execute("training").success
        yield stage


def champion_of(stage: Stage) -> Version | None:
    with stage.settings() as settings:
        return Registry(settings).champion(stage.use_case.name)


def evaluation(stage: Stage) -> Evaluation:
    """What the newest training run found."""
    record = TrainingRuns(stage.home / "lake", stage.use_case.name).newest(Evaluation)
    assert record is not None
    return record


# -- what may train -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tags",
    [
        {"dagster/partition": DAYS[0]},
        {"dagster/asset_partition_range_start": DAYS[0], "dagster/asset_partition_range_end": DAYS[1]},
        {"dagster/backfill": "abcdefgh"},
    ],
)
def test_a_run_over_days_trains_nothing_and_says_what_to_choose(
    trained: Stage, tmp_path: Path, tags: dict[str, str]
) -> None:
    with trained.copy(tmp_path / "home") as stage:
        with stage.settings():
            job = stage.definitions.resolve_job_def("transactions_training")
            done = job.execute_in_process(instance=stage.instance, tags=tags, raise_on_error=False)
        assert [event.step_key for event in done.all_events if event.is_step_failure] == ["transactions__training_set"]
        (failed,) = (event for event in done.all_events if event.is_step_failure)
        said = failed.step_failure_data.user_failure_data.description
        assert "choose the assets of the group transactions alone" in said
        assert "to train, launch the job transactions_training" in said
        with stage.stores() as stores:
            assert [change.version for change in stores.history.changes()] == [1]


def test_the_training_assets_are_a_group_of_their_own_without_days(trained: Stage) -> None:
    graph = trained.definitions.resolve_asset_graph()
    groups = {key.path[-1]: graph.get(key).group_name for key in graph.get_all_asset_keys()}
    training = {name for name, group in groups.items() if group == "transactions_training"}
    assert training == {"training_set", "candidates", "evaluation", "model_version", "champion"}
    assert {group for name, group in groups.items() if name not in training} == {
        "transactions",
        "transactions_monitoring",
    }


# -- from rows to a champion --------------------------------------------------------------------------------------------


def test_a_training_ends_with_a_champion(trained: Stage) -> None:
    champion = champion_of(trained)
    assert champion is not None
    assert champion.version == 1
    assert champion.about.candidate == "linear"


def test_the_training_set_tells_its_rows_its_split_and_its_fingerprint(trained: Stage) -> None:
    shown = trained.metadata("training_set")
    labelled = sum(len(trained.published("rows", day)) for day in DAYS)
    assert shown["dagster/row_count"] == shown["rows"] == labelled - shown.get("duplicates", 0)
    assert 0 < shown["held_out"] < shown["rows"] / 2
    assert shown["days"] == " to ".join(DAYS)
    assert "| city | category |" in shown["features"]
    assert "| cents | number |" in shown["features"]
    event = trained.instance.get_latest_materialization_event(dg.AssetKey(["transactions", "training_set"]))
    assert event is not None
    assert event.asset_materialization is not None
    assert shown["fingerprint"] in event.asset_materialization.tags.values()


def test_pages_begin_with_what_a_person_asks_and_show_neither_zeros_nor_what_is_empty(trained: Stage) -> None:
    """Also those of feedback, before anybody has said anything."""
    assert trained.execute("monitoring").success
    for name in ("training_set", "candidates", "evaluation", "champion", "feedback", "live_metrics", "scored_days"):
        shown = trained.metadata(name)
        first = next(iter(shown.values()))
        assert isinstance(first, str), name
        assert " " in first, (name, first)  # words, and no fingerprint, path or number
        # figures over time have their zeros, and so has the count of rows that Dagster shows apart
        empty = {key for key, value in shown.items() if value in (None, "", "none", 0) and "/" not in key}
        assert {key for key in empty if not isinstance(shown[key], bool)} == set(), name


def test_the_candidates_tell_class_parameters_time_and_size(trained: Stage) -> None:
    head, _, *rows = trained.metadata("candidates")["candidates"].splitlines()
    assert head == "| candidate | class | parameters | fit seconds | bytes |"
    assert [row.split(" | ")[:2] for row in rows] == [
        ["| majority", "sklearn.dummy.DummyClassifier"],
        ["| linear", "sklearn.linear_model.LogisticRegression"],
    ]


def test_the_leaderboard_has_every_candidate_with_its_metrics_the_chosen_one_first(trained: Stage) -> None:
    head, _, *rows = trained.metadata("evaluation")["leaderboard"].splitlines()
    for metric in (*METRICS, "rounds", "accuracy, tested", "rows a CPU second"):
        assert metric in head
    assert [row.split(" | ")[0] for row in rows] == ["| linear", "| majority"]


def test_the_verdict_of_the_gate_says_what_was_asked_and_found(trained: Stage) -> None:
    reason, *_ = said = trained.metadata("evaluation")["verdict"].splitlines()
    assert reason.startswith("**linear passes: accuracy ")
    assert any("linear" in line and "baseline" in line and "accuracy" in line for line in said[1:])
    assert not any("NO" in line for line in said)


def test_the_confusion_matrix_is_a_picture(trained: Stage) -> None:
    found = re.fullmatch(r"!\[.*\]\(data:image/png;base64,(.*)\)", trained.metadata("evaluation")["confusion"])
    assert found is not None
    assert base64.b64decode(found.group(1)).startswith(b"\x89PNG")


def test_the_evaluation_shows_every_class(trained: Stage) -> None:
    head, _, *rows = trained.metadata("evaluation")["classes"].splitlines()
    assert head == "| class | precision | recall | f1 | rows |"
    assert sorted(row.split(" | ")[0].strip("| ") for row in rows) == sorted(
        trained.metadata("training_set")["classes"].split(", ")
    )


def test_the_evaluation_shows_the_metric_beside_the_baseline(trained: Stage) -> None:
    shown = trained.metadata("evaluation")
    assert shown["accuracy"] > shown["baseline"] + 0.05


def test_the_champion_shows_version_candidate_metrics_reason_and_hash(trained: Stage) -> None:
    shown, champion = trained.metadata("champion"), champion_of(trained)
    assert champion is not None
    assert (shown["version"], shown["candidate"]) == (1, "linear")
    assert {metric: shown[metric] for metric in METRICS} == champion.about.metrics
    assert shown["reason"].startswith("linear passes")
    assert shown["serving_sha256"] == champion.serving_sha256


# -- MLflow -------------------------------------------------------------------------------------------------------------


def test_mlflow_has_one_run_for_the_dagster_run_and_a_nested_one_for_each_candidate(trained: Stage) -> None:
    (dagster_run,) = (run for run in trained.instance.get_runs() if run.job_name == "transactions_training")
    with trained.settings() as settings:
        registry = Registry(settings)
        runs = registry.client().search_runs([registry.experiment("transactions")])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    nested = {run.info.run_name: run for run in runs if run is not parent}
    assert parent.data.tags["dagster_run_id"] == dagster_run.run_id
    assert parent.data.tags["winner"] == "linear"
    assert parent.data.params["training_set"] == trained.metadata("training_set")["fingerprint"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(nested) == list(CANDIDATES)
    for run in nested.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert {*METRICS, "rows_per_second", "fit_seconds", "bytes"} <= run.data.metrics.keys()
    assert nested["linear"].data.params["C"] == "10.0"


def test_the_champion_lies_under_the_home_and_no_pickle_is_in_it(trained: Stage) -> None:
    champion = champion_of(trained)
    assert champion is not None
    assert champion.folder.is_relative_to(trained.home / "mlflow" / "artifacts")
    files = {path.name for path in champion.folder.rglob("*") if path.is_file()}
    assert files == {
        *("model.skops", "meaning.json", "features.sql", "about.json", "reference.parquet", "card.md", "card.html")
    }


def test_a_training_writes_nothing_into_the_working_folder(trained: Stage, working_folder: Path) -> None:
    assert list(working_folder.iterdir()) == []


# -- a second training --------------------------------------------------------------------------------------------------


def test_a_second_training_on_the_same_days_has_the_same_training_set(trained_again: Stage, trained: Stage) -> None:
    fingerprints = {stage.metadata("training_set")["fingerprint"] for stage in (trained, trained_again)}
    assert len(fingerprints) == 1


def test_a_second_training_measures_the_present_champion_on_the_same_rows(trained_again: Stage, trained: Stage) -> None:
    contest = evaluation(trained_again).contest
    first = champion_of(trained)
    assert contest is not None
    assert first is not None
    assert (contest.version, contest.rows) == (1, first.about.held_out), "neither has learned any of them"
    assert contest.champion == contest.candidates["linear"] == first.about.metrics
    assert "| champion, version 1 |" in trained_again.metadata("evaluation")["beside_champion"]


def test_a_second_training_that_is_as_good_becomes_version_2(trained_again: Stage) -> None:
    champion = champion_of(trained_again)
    assert champion is not None
    assert champion.version == 2
    reason = trained_again.metadata("evaluation")["verdict"].splitlines()[0]
    assert "; the recipe is that of champion 1; on " in reason
    assert "difference 0.000 (0.000 to 0.000): no more than noise" in reason


def test_a_worse_candidate_leaves_the_champion_in_place(trained: Stage, tmp_path: Path) -> None:
    worse = {
        **SMALL_TRAINING.candidates,
        "linear": Candidate(use="sklearn.dummy.DummyClassifier", parameters={"strategy": "uniform", "random_state": 0}),
    }
    training = SMALL_TRAINING.model_copy(update={"candidates": worse, "gate": Gate(tolerance={"accuracy": 0.02})})
    with (
        trained.copy(tmp_path / "home") as copy,
        Stage.of(small().model_copy(update={"training": training}), copy.home) as stage,
    ):
        assert stage.execute("training").success
        assert re.search(
            "linear, fails champion 1 less tolerance in accuracy on .* rows that neither has learned: found 0",
            stage.skipped("champion")[0],
        )
        champion = champion_of(stage)
        assert champion is not None
        assert champion.version == 1


def test_where_it_is_not_known_what_the_champion_learned_a_person_decides_about_another_recipe(
    trained: Stage, tmp_path: Path
) -> None:
    training = SMALL_TRAINING.model_copy(update={"half_life": 30.0})
    with (
        trained.copy(tmp_path / "home") as copy,
        Stage.of(small().model_copy(update={"training": training}), copy.home) as stage,
        stage.stores() as stores,
    ):
        for path in (stage.home / "lake" / "transactions" / "training_sets").iterdir():
            path.unlink()
        stage.sample("2026-01-03")
        stage.run("2026-01-03", train=True)
        (reason,) = stage.skipped("champion")
        assert reason.startswith("linear passes all else: accuracy ")
        assert "it could not be compared with champion 1: what champion 1 has learned is not known any more: " in reason
        assert reason.endswith("; waits for `mlops-assets promote transactions 2 --why ...`")
        assert stores.history.champion() == 1
        waiting = stores.registry.version("transactions", 2)
        assert waiting.about.passed, "no --override is needed"


def test_days_predicted_before_keep_their_model_version_until_they_are_run_again(trained_again: Stage) -> None:
    assert {one["model_version"] for one in trained_again.published("predictions", DAYS[0])} == {1}
    trained_again.run(DAYS[1])
    assert {one["model_version"] for one in trained_again.published("predictions", DAYS[1])} == {2}
    assert {one["model_version"] for one in trained_again.published("predictions", DAYS[0])} == {1}


# -- the gate refuses ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Loan applications, whose labels are noise."""
    use_case = load_use_case(OWN_USE_CASES / "loan_approval")
    with Stage.of(use_case, tmp_path_factory.mktemp("refused") / "home") as stage:
        stage.sample(DAYS[0], files=2, rows=300)
        stage.run(DAYS[0], train=True)
        yield stage


def test_a_refusal_leaves_no_run_and_no_check_red(refused: Stage) -> None:
    assert {run.status for run in refused.instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    for asset, name in (
        ("rows", "accounting_adds_up"),
        ("rows", "reject_rate"),
        ("predictions", "every_row_predicted"),
    ):
        assert refused.check(asset, name).passed


@pytest.mark.long
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
def test_the_published_loan_table_is_read_whole_and_its_models_are_refused(tmp_path: Path) -> None:
    use_case = load_use_case(OWN_USE_CASES / "loan_approval")
    with Stage.of(use_case, tmp_path / "home") as stage:
        stage.folder(DAYS[0]).mkdir(parents=True)
        data = (REAL_DATA / "loan_approval" / "dataset.csv").read_bytes()
        assert data.startswith(b",Age"), "the index has no name"
        (stage.folder(DAYS[0]) / "dataset.csv").write_bytes(data)
        stage.run(DAYS[0], train=True)
        rows = stage.published("rows", DAYS[0])
        assert [row["application_id"] for row in rows] == [str(number) for number in range(1_000)]
        assert stage.published("rejects", DAYS[0]) == []
        assert sum(None in row.values() for row in rows) == 142
        (reason,) = stage.skipped("champion")
        assert "floor of roc_auc, on rows that choose: found 0." in reason
        assert champion_of(stage) is None
        assert stage.table("predictions").days() == {}


def test_a_refusal_skips_the_champion_with_the_reason(refused: Stage) -> None:
    (reason,) = refused.skipped("champion")
    assert reason.startswith("refused: the best candidate, ")
    assert "floor of roc_auc, on rows that choose: found 0." in reason
    assert champion_of(refused) is None
    assert not refused.instance.fetch_materializations(dg.AssetKey(["loan_approval", "champion"]), limit=1).records


def test_a_refusal_skips_the_predictions_with_the_reason(refused: Stage) -> None:
    (reason,) = refused.skipped("predictions")
    assert reason.startswith("loan_approval has no champion: the gate refused: ")
    assert refused.table("predictions").days() == {}


def test_the_verdict_of_a_refusal_marks_the_conditions_that_failed(refused: Stage) -> None:
    reason, *conditions = refused.metadata("evaluation")["verdict"].splitlines()
    assert reason.startswith("**refused: ")
    assert any("floor of roc_auc" in line and "NO" in line for line in conditions)


# -- trainings that cannot be -------------------------------------------------------------------------------------------


def training_error(stage: Stage) -> str:
    with pytest.raises(running.RunFailed) as error:
        stage.run(DAYS[0], train=True)
    assert isinstance(error.value, MlopsError)
    return str(error.value)


def test_a_training_without_labels_is_red_and_says_so(tmp_path: Path) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        stage.sample(DAYS[0], labelled=False)
        assert "no day has rows with the label 'category'; nothing to learn from" in training_error(stage)


def test_a_training_on_a_handful_of_rows_is_red_and_says_how_many_it_needs(tmp_path: Path) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        stage.deliver(DAYS[0], "a.csv", [ROW])
        assert "1 labelled rows with 1 labels; training needs at least 20 rows and 2 labels" in training_error(stage)


def test_a_candidate_that_cannot_be_imported_is_red_and_named(trained: Stage, tmp_path: Path) -> None:
    wrong = {**SMALL_TRAINING.candidates, "linear": Candidate(use="sklearn.linear_model.LogisticRegresion")}
    use_case = small().model_copy(update={"training": SMALL_TRAINING.model_copy(update={"candidates": wrong})})
    with trained.copy(tmp_path / "home") as copy, Stage.of(use_case, copy.home) as stage:
        assert "'sklearn.linear_model.LogisticRegresion' cannot be imported" in training_error(stage)


def test_a_training_that_cannot_reach_mlflow_says_why(tmp_path: Path) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        stage.sample(DAYS[0])
        (tmp_path / "home" / "mlflow").write_text("a file where the folder should be")
        said = training_error(stage)
    assert str(tmp_path / "home" / "mlflow") in said
    assert "Stack Trace" not in said
