"""What Dagster's catalogue says of a use case's assets before anything has run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components import MlUseCase
from mlops_assets.components.lineage import kept_lineage
from mlops_assets.journey.features.sql import describe
from mlops_assets.settings import OWN_USE_CASES, Settings
from mlops_assets.use_case import UseCase, load_use_case


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("catalogue")


@pytest.fixture(scope="module")
def graph(home: Path) -> dg.AssetGraph:
    """The use case as it is drawn where no loader of folders refers to its YAML."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLOPS_HOME", str(home))
        environment.setenv("MLOPS_API_PAGES", "https://predictions.example.com/")
        drawn = MlUseCase(load_use_case(OWN_USE_CASES / "transactions")).build_defs()
        return dg.Definitions.merge(drawn, dg.Definitions(resources=_NOTHING)).resolve_asset_graph()


_NOTHING = dict.fromkeys(("workspace", "engines", "mlflow"), dg.ResourceDefinition.none_resource())


def said(graph: dg.AssetGraph, name: str) -> dict[str, object]:
    return dict(graph.get(dg.AssetKey(["transactions", name])).metadata)


def sources(graph: dg.AssetGraph, name: str, column: str) -> set[str]:
    """The columns that a column comes from."""
    lineage = said(graph, name)["dagster/column_lineage"]  # type: ignore[attr-defined]
    return {f"{dep.asset_key.path[-1]}.{dep.column_name}" for dep in lineage.deps_by_column.get(column, ())}


TABLES = (
    *("raw_files", "rows", "rejects", "enrichment_calendar", "features", "model_input", "predictions"),
    *("audit_sample", "feedback"),
)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_its_name_and_columns(graph: dg.AssetGraph, name: str) -> None:
    told = said(graph, name)
    assert told["dagster/table_name"] == f"transactions.{name}"
    assert len(told["dagster/column_schema"].columns) > 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "column", "came_from"),
    [
        ("rows", "file", {"raw_files.path"}),
        ("enrichment_calendar", "date", {"rows.date"}),
        ("features", "file_mean", {"rows.amount"}),
        ("features", "file_holidays", {"enrichment_calendar.holiday"}),
        ("model_input", "amount_deviation", {"features.file_mean", "features.file_deviation", "rows.amount"}),
        ("model_input", "roundness", {"rows.amount"}),
        ("predictions", "account_id", {"rows.account_id"}),
        ("audit_sample", "prediction", {"predictions.prediction"}),
    ],
)
def test_columns_are_followed_back_to_the_raw_ones(
    graph: dg.AssetGraph, name: str, column: str, came_from: set[str]
) -> None:
    assert sources(graph, name, column) == came_from


def test_a_prediction_comes_from_all_that_the_model_sees_and_never_from_the_label(graph: dg.AssetGraph) -> None:
    use_case = load_use_case(OWN_USE_CASES / "transactions")
    assert sources(graph, "predictions", "prediction") == {f"model_input.{name}" for name in describe(use_case).model}
    for name in ("features", "model_input"):
        deps = said(graph, name)["dagster/column_lineage"].deps_by_column.values()  # type: ignore[attr-defined]
        assert use_case.label not in {dep.column_name for some in deps for dep in some}


def test_every_asset_has_an_owner_tags_links_and_the_files_that_make_it(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        node, told = graph.get(key), said(graph, key.path[-1])
        assert [*node.owners] == ["team:enrichment"], key
        assert node.tags["mlops_assets/use_case"] == "transactions"
        assert node.tags["mlops_assets/layer"] != "other", key
        assert told["pages"] == dg.MetadataValue.url("https://predictions.example.com/pages/transactions/days")
        files = [Path(one.file_path) for one in told["dagster/code_references"].code_references]  # type: ignore[attr-defined]
        assert all(file.is_file() for file in files)
        assert "defs.yaml" in {file.name for file in files}, key
    features = said(graph, "features")["dagster/code_references"].code_references  # type: ignore[attr-defined]
    assert "features.sql" in {one.label for one in features}


def test_a_check_says_its_threshold_and_whether_it_keeps_a_day_back(graph: dg.AssetGraph) -> None:
    def of(asset: str, name: str) -> dg.AssetCheckSpec:
        return graph.get_check_spec(dg.AssetCheckKey(dg.AssetKey(["transactions", asset]), name))

    assert "At most 20.0 % of the lines are rejected" in (of("rows", "reject_rate").description or "")
    # a red check of rows stops nothing: in a range of days the good ones go on
    assert not of("rows", "reject_rate").blocking
    assert of("predictions", "every_row_predicted").blocking
    daily = [key for key in graph.asset_check_keys if key.asset_key.path[-1] in TABLES and "yesterday" not in key.name]
    assert all(of(key.asset_key.path[-1], key.name).description for key in daily)
    assert all(of(key.asset_key.path[-1], key.name).partitions_def is not None for key in daily)


# -- what was found is kept ---------------------------------------------------------------------------------------------


@pytest.fixture
def use_case() -> UseCase:
    return load_use_case(OWN_USE_CASES / "topics")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return Settings.from_environment()


def test_to_load_definitions_makes_no_home(use_case: UseCase, settings: Settings) -> None:
    settings.home.rmdir()
    assert kept_lineage(use_case, describe(use_case), settings).views
    assert not settings.home.exists()


@pytest.mark.parametrize("harm", [b"", b"[]", b'{"views": 1, "why_not": 2}', b'{"views": {"a": {"b": [1]}}}', b"\xff"])
def test_what_was_kept_and_is_not_ours_is_found_anew(use_case: UseCase, settings: Settings, harm: bytes) -> None:
    found = kept_lineage(use_case, describe(use_case), settings)
    (file,) = (settings.home / "lineage").iterdir()
    whole = file.read_bytes()
    file.write_bytes(harm)
    assert kept_lineage(use_case, describe(use_case), settings) == found
    assert file.read_bytes() == whole


def test_a_home_that_cannot_be_written_to_is_no_failure(use_case: UseCase, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = kept_lineage(use_case, describe(use_case), replace(settings, home=tmp_path / "file"))
    assert found.of("model_input")["text"] == (("rows", "text"),)


def test_what_was_found_before_is_not_looked_for_again(use_case: UseCase, settings: Settings) -> None:
    kept_lineage(use_case, describe(use_case), settings)
    (file,) = (settings.home / "lineage").iterdir()
    file.write_text('{"views": {}, "why_not": "as it was kept"}')
    assert kept_lineage(use_case, describe(use_case), settings).why_not == "as it was kept"
    # of another SQL nothing is kept yet
    other = use_case.model_copy(update={"features_sql": use_case.features_sql + "-- other"})
    assert kept_lineage(other, describe(other), settings).why_not == ""
