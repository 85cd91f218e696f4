"""Rows, rejects and features at a target: typed, keyed, as many as were accounted for, whatever is no line."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlops_assets.components.ml_use_case import MlUseCase
from mlops_assets.errors import ConfigError, LakeError, MlopsError
from mlops_assets.journey.deliver.contents import expected_rows, read_contents
from mlops_assets.journey.deliver.delivery import deliver_day
from mlops_assets.journey.deliver.targets import open_target
from mlops_assets.journey.features.day import aggregate_day
from mlops_assets.plugins.targets import TargetError
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import DeliveryRecord
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Delivering, UseCase
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.account_files import ROW, account_file, changed
from mlops_assets_tests.helpers.days import ignore, read_raw
from mlops_assets_tests.helpers.deliveries import messages
from mlops_assets_tests.helpers.postgres import query
from mlops_assets_tests.helpers.toy import toy

DAY = "2026-01-01"
BAD = changed(data="31.02.2026")
FILES = {
    "a.csv": account_file([ROW, BAD, ROW]),
    "b/c.csv": account_file([BAD, ROW, BAD]),
    "empty.csv": b"",
    "other.txt": b"no data",
}
TABLES = pytest.mark.parametrize("table", ["rows", "rejects", "features"])


@pytest.fixture
def lake(transactions: UseCase, settings: Settings) -> Lake:
    """A day with good lines, bad lines and files that are no data; it has no champion and no predictions."""
    for name, data in FILES.items():
        path = settings.raw / transactions.name / f"day={DAY}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    lake = Lake(settings.lake, transactions.name)
    read_raw(transactions, settings.raw, lake, DAY)
    aggregate_day(transactions, lake, DAY, LocalEngine(1), ignore)
    return lake


def taking(use_case: UseCase, use: str, table: str, **parameters: Any) -> UseCase:
    target = Delivering(use=use, table=table, parameters=parameters)
    return use_case.model_copy(update={"targets": {"out": target}})


def deliver(use_case: UseCase, lake: Lake, settings: Settings, *, again: bool = False) -> DeliveryRecord | None:
    return deliver_day(use_case, lake, DAY, "out", open_target(use_case, "out", settings), again=again)


def stored(lake: Lake, table: str) -> list[dict[str, Any]]:
    return lake.table(table).read_all([DAY]).to_pylist()


# -- tables of a database -----------------------------------------------------------------------------------------------


@TABLES
@pytest.mark.parametrize("mode", ["replace", "upsert"])
def test_a_table_of_a_database_holds_what_was_published(
    transactions: UseCase,
    lake: Lake,
    settings: Settings,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    mode: str,
) -> None:
    monkeypatch.setenv("SHOP_URL", database)
    use_case = taking(transactions, "sql", table, url_variable="SHOP_URL", mode=mode)
    record = deliver(use_case, lake, settings)
    rows = stored(lake, table)
    assert record is not None
    assert record.rows == len(rows) == expected_rows(table, lake.table(table).days()[DAY].accounting) > 0
    names = [name for name in rows[0] if name != "day"]
    found = query(database, f"SELECT day, {', '.join(names)} FROM transactions_{table}")
    wanted = [(dt.date.fromisoformat(DAY), *(_there(name, row[name]) for name in names)) for row in rows]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
    assert deliver(use_case, lake, settings) is None
    assert deliver(use_case, lake, settings, again=True).attempt == 2  # type: ignore[union-attr]
    assert query(database, f"SELECT count(*) FROM transactions_{table}") == [(len(rows),)]


def _there(name: str, value: Any) -> Any:
    """A value as a database holds it: the line of a file without one is 0."""
    return 0 if name == "line" and value is None else value


def test_columns_get_the_types_of_the_contract(
    transactions: UseCase, lake: Lake, settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", database)
    deliver(taking(transactions, "sql", "rows", url_variable="SHOP_URL"), lake, settings)
    sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'transactions_rows'"
    types = dict(query(database, sql))
    kinds = {"string": "text", "number": "double precision", "integer": "bigint", "date": "date"}
    assert {name: types[name] for name in transactions.columns} == {
        name: kinds[column.type] for name, column in transactions.columns.items()
    }
    assert (types["day"], types["line"]) == ("date", "integer")


def test_a_column_that_the_contract_got_since_is_told_with_the_statement_that_adds_it(
    transactions: UseCase, lake: Lake, settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", database)
    use_case = taking(transactions, "sql", "rows", url_variable="SHOP_URL")
    deliver(use_case, lake, settings)
    query(database, "ALTER TABLE transactions_rows DROP COLUMN amount")
    with pytest.raises(TargetError) as told:
        deliver(use_case, lake, settings, again=True)
    statement = 'ALTER TABLE "transactions_rows" ADD COLUMN "amount" DOUBLE PRECISION'
    assert f"amount is missing. Mend it ({statement}), or name another one" in str(told.value)
    query(database, statement)
    deliver(use_case, lake, settings)  # what was asked for stands until it is done
    assert query(database, "SELECT count(*) FROM transactions_rows WHERE amount IS NULL") == [(0,)]


def test_a_day_that_was_read_by_another_contract_is_not_delivered_by_this_one(
    transactions: UseCase, lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    columns = {**transactions.columns, "branch": transactions.columns["merchant_city"]}
    use_case = taking(transactions, "files", "rows", place=str(tmp_path / "out"))
    with pytest.raises(MlopsError, match=r"rows of 2026-01-01 was made before there was a column branch; run the day"):
        deliver(use_case.model_copy(update={"columns": columns}), lake, settings)


# -- files and messages -------------------------------------------------------------------------------------------------


def test_files_of_rejects_lie_beside_those_of_predictions_and_whole_files_have_no_line(
    transactions: UseCase, lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    kept = tmp_path / "out" / "transactions" / f"day={DAY}" / "of_predictions.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("of another target")
    deliver(taking(transactions, "files", "rejects", place=str(tmp_path / "out")), lake, settings)
    folder = tmp_path / "out" / "transactions" / "rejects" / f"day={DAY}"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.csv")}
    assert found.keys() == {"a.csv", "b/c.csv", "empty.csv", "other.txt.csv"}
    lines = {name: list(csv.DictReader(path.read_text("utf-8").splitlines())) for name, path in found.items()}
    assert [(one["line"], one["rule"]) for one in lines["b/c.csv"]] == [("1", "type"), ("3", "type")]
    assert [(one["line"], one["rule"]) for one in lines["empty.csv"]] == [("", "empty_file")]
    assert kept.exists()


@TABLES
def test_one_file_a_shard_is_the_table(
    transactions: UseCase, lake: Lake, settings: Settings, tmp_path: Path, table: str
) -> None:
    parameters = {"place": str(tmp_path / "out"), "format": "parquet", "one_file_a": "shard"}
    deliver(taking(transactions, "files", table, **parameters), lake, settings)
    (path,) = (tmp_path / "out").rglob("*.parquet")
    wanted = [{name: value for name, value in row.items() if name != "day"} for row in stored(lake, table)]
    assert pq.ParquetFile(path).read().to_pylist() == wanted


def test_messages_of_rows_are_keyed_by_account_and_those_of_rejects_by_file(
    transactions: UseCase, lake: Lake, settings: Settings, kafka: str
) -> None:
    for table, key in (("rows", transactions.account), ("rejects", "file")):
        deliver(taking(transactions, "kafka", table, servers=kafka, topic=table, timeout=20), lake, settings)
        rows = stored(lake, table)
        found = messages(kafka, table, len(rows))
        assert {found_key.decode() for found_key, _ in found} == {row[key] for row in rows}
        assert {(one["table"], one["file"], one["line"]) for _, one in found} == {
            (table, row["file"], row["line"]) for row in rows
        }


# -- what cannot be -----------------------------------------------------------------------------------------------------


def test_a_day_with_fewer_rows_than_were_accounted_for_is_not_delivered(transactions: UseCase, lake: Lake) -> None:
    published = lake.rejects.days()[DAY]
    wrong = replace(published, accounting=replace(published.accounting, rejected=99))
    with pytest.raises(LakeError, match="rejects of 2026-01-01: 5 rows lie there, 101 are accounted for"):
        read_contents(
            taking(transactions, "kafka", "rejects", servers="h:1", topic="t"), lake, DAY, "out", wrong, print
        )


def test_a_target_of_predictions_of_a_day_without_any_is_told(
    transactions: UseCase, lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(MlopsError, match="no predictions of 2026-01-01 are published"):
        deliver(taking(transactions, "files", "predictions", place=str(tmp_path / "out")), lake, settings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"use": "files", "table": "unpredicted", "parameters": {"place": "/x"}}, "Input should be 'predictions'"),
        ({"use": "notice", "table": "rows", "parameters": {"place": "/x"}}, "a notice brings no rows"),
        (
            {"use": "files", "table": "rows", "probabilities": True, "parameters": {"place": "/x"}},
            "probabilities are those of predictions, and this target gets rows",
        ),
        (
            {"use": "notice", "parameters": {"kafka": {"servers": "h:1", "topic": "t", "end": {}}}},
            "parameters.kafka.end: Extra inputs",
        ),
    ],
)
def test_what_does_not_go_together_is_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Delivering.model_validate(given)
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    ("use", "parameters", "said"),
    [
        ("sql", {"url_variable": "SHOP_URL"}, "name another table"),
        ("sql", {"url_variable": "SHOP_URL", "table": "sales", "mode": "upsert"}, "name another table"),
        ("files", {"place": "/out/"}, "name another place"),
    ],
)
def test_two_targets_of_a_use_case_have_places_of_their_own(use: str, parameters: dict[str, Any], said: str) -> None:
    given = toy().model_dump(by_alias=True, exclude_none=True)
    one = {"use": use, "parameters": parameters}
    given["targets"] = {"first": one, "second": {**one, "retries": 0}}
    with pytest.raises(ValidationError, match=f"its rows would come to lie among those of the target first: {said}"):
        UseCase.model_validate(given)
    apart = {"table": "others"} if use == "sql" else {}
    given["targets"]["second"] = {**one, "table": "rows", "parameters": {**parameters, **apart}}
    UseCase.model_validate(given)


def test_features_of_a_use_case_that_has_none_are_told_when_it_is_loaded(loan_approval: UseCase) -> None:
    use_case = taking(loan_approval, "files", "features", place="/x")
    with pytest.raises(ConfigError, match="targets.out.table: there are no features, for features.sql has no view"):
        MlUseCase(use_case).build_defs()


def test_the_asset_of_a_target_comes_after_the_table_that_it_gets(transactions: UseCase) -> None:
    use_case = taking(transactions, "files", "rejects", place="/x")
    (asset,) = [one for one in MlUseCase(use_case).build_defs().assets or () if _is_delivery(one)]
    assert {key.path[-1] for key in asset.dependency_keys} == {"rejects"}


def _is_delivery(asset: Any) -> bool:
    return getattr(asset, "keys", None) is not None and any(key.path[-1] == "delivery_out" for key in asset.keys)
