"""The catalogue of the lake: what each table and document is called and where it lies, spelled in one place alone."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.settings import PACKAGE
from mlops_assets.storage import catalog
from mlops_assets.storage.accounting import Accounting, EnrichmentAccounting, ReadingAccounting
from mlops_assets.storage.catalog import Lake, TableOf, enrichment_table
from mlops_assets.storage.places import S3Path
from mlops_assets_tests.helpers.paths import ROOT

ROOM = Path("/lake")
TABLES: dict[str, TableOf[Any]] = {name: one for name, one in vars(Lake).items() if isinstance(one, TableOf)}
WHERE = {
    "change": "history/000001.json",
    "history": "history",
    "pin": "history/versions/000001.json",
    "refusal": "history/refusals/000001.json",
    "retro_score": "retro_scores/000001/<name>.json",
    "training": "training",
    "training_run": "training/<run>",
    "training_record": "training/<run>/<step>.json",
    "training_set": "training_sets/<mark>.parquet",
    "training_profile": "training_profiles/<mark>.parquet",
    "accepted": "feedback/accepted.parquet",
    "rejected": "feedback/rejected.parquet",
    "learned": "feedback/learned/<mark>.parquet",
    "audit": "audit/day=<day>.parquet",
    "challenge": "challenges/day=<day>.json",
    "verdict": "verdicts/day=<day>.json",
    "profile": "profiles_of_days/day=<day>.parquet",
    "delivery": "deliveries/<target>/day=<day>.json",
    "answered_days": "requests",
    "forgotten": "requests/forgotten.json",
    "answered": "requests/day=<day>/<mark>.parquet",
    "told": "told",
    "telling": "told/000001.json",
    "behinds": "behind",
    "behind": "behind/<process>.json",
    "heard": "heard",
    "replays": "replays",
    "replay": "replays/<day>-<mark>.json",
    "jobs": "jobs/day=<day>",
    "job": "jobs/day=<day>/000001.json",
    "code": "code/<fingerprint>.json",
    "versions": "versions",
    "version": "versions/000001.json",
    "rhythm": "partitions.json",
    "model": "models/<sha256>",
}
"""Where the documents of homes lie that were written long ago: none of these may change."""

NOT_TABLES = {
    "get": "a number of a report",
    "pop": "a number of a report",
    "_common": "an asset, which may have the name of a table",
    "key": "an asset, which may have the name of a table",
    "page_address": "a page, which may have the name of a table",
    "predictions_asset": "the asset before it",
    "not_there": "an asset, which may have the name of a table",
    "tell_red": "an asset, which may have the name of a table",
    "watch_step": "a step of the daily job",
    "Wrong": "a place in a request",
    "Sum": "what a page counts",
    "_numbers": "a column of what `status` shows",
    "Notice": "a unit in which is counted what is noticed",
    "Column": "a column in the database of a target",
    "Lamp": "where the thing stands that a lamp is of",
    "_page": "a kind of page, to which a cursor belongs",
    "file_of_rows": "the name of a file",
    "_lamp": "where the thing stands that a lamp is of",
}
"""Calls whose arguments may have the name of a table and mean something else."""


def documents() -> dict[str, str]:
    """Every document of the catalogue, with its path below the folder of the use case."""
    lake = Lake(ROOM, "toy")
    found = {}
    for name, member in vars(Lake).items():
        call = member.fget if isinstance(member, property) else member
        if inspect.isfunction(call) and call.__annotations__.get("return") == "Place":
            names = list(inspect.signature(call).parameters)[1:]
            values = [1 if call.__annotations__[one] == "int" else f"<{one}>" for one in names]
            found[name] = str(call(lake, *values).relative_to(lake.folder))
    return found


def called(module: Path) -> Iterator[tuple[str, str, int]]:
    """Every string that is an argument of a call in a module, with the name of what is called, and the line."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield name, argument.value, node.lineno


def test_the_tables_are_these() -> None:
    daily = ["raw_files", "rows", "rejects", "kept_files", "features", "predictions", "unpredicted", "profiles"]
    assert list(TABLES) == [*daily, "challenger_predictions"]


def test_the_documents_lie_where_they_always_lay() -> None:
    assert documents() == WHERE


def test_no_two_tables_or_documents_share_a_place() -> None:
    places = Counter([*(Lake(ROOM, "toy").table(name).name for name in TABLES), *documents().values()])
    assert places.most_common(1)[0][1] == 1


@pytest.mark.parametrize("root", [ROOM, S3Path("bucket", "lake")])
def test_a_table_lies_in_the_folder_of_its_name(root: Path | S3Path) -> None:
    lake = Lake(root, "toy")
    assert {name: lake.table(name).folder for name in TABLES} == {name: root / "toy" / name for name in TABLES}
    assert lake.enrichment("calendar").folder == root / "toy" / "enrichment_calendar"
    assert lake.differences("0123").folder == root / "toy" / "diffs/0123"


def test_a_table_is_one_object_whichever_way_it_is_asked_for() -> None:
    lake = Lake(ROOM, "toy")
    assert lake.rows is lake.rows is lake.table("rows") is Lake.rows.of(lake)
    assert lake.enrichment("a") is lake.table(enrichment_table("a")) is not lake.enrichment("b")
    assert Lake(ROOM, "toy").rows is not lake.rows


@pytest.mark.parametrize(
    ("name", "kind"),
    [("rows", ReadingAccounting), ("enrichment_gone", EnrichmentAccounting), ("of_a_later_version", Accounting)],
)
def test_a_table_that_is_named_at_run_time_is_read_as_what_it_is(name: str, kind: type[Accounting]) -> None:
    assert Lake(ROOM, "toy").table(name).reads is kind


def test_no_other_module_spells_the_name_of_a_table() -> None:
    spelled = [
        f"{module.relative_to(PACKAGE)}:{line}: {call}({value!r})"
        for module in sorted(PACKAGE.rglob("*.py"))
        if module != Path(str(catalog.__file__))
        for call, value, line in called(module)
        if value in TABLES and call not in NOT_TABLES
    ]
    assert spelled == []


def test_no_other_module_spells_the_folder_of_a_document() -> None:
    folders = {path.split("/")[0] for path in WHERE.values()} | {"diffs"}
    spelled = [
        f"{module.relative_to(PACKAGE)}:{node.lineno}"
        for module in sorted(PACKAGE.rglob("*.py"))
        if module != Path(str(catalog.__file__))
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant)
        if node.right.value in folders
    ]
    # copies of versions lie in the home, what people hand in beside the raw files, neither in the lake
    assert [one.partition(":")[0] for one in spelled] == ["journey/model/fetching.py", "workspace.py"]


def test_the_page_of_the_architecture_has_every_table_and_document() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    tables = [f"| `{one.name}` | {one.holds} | `{one.accounting.__name__}` |" for one in TABLES.values()]
    texts = {name: inspect.getdoc(getattr(Lake, name)) or "" for name in WHERE}
    kept = [f"| `{path}` | {texts[name].splitlines()[0]} |" for name, path in WHERE.items()]
    assert [line for line in (*tables, *kept) if line not in page] == []
