"""A day in Redshift: its statements to the letter; the transaction on a real PostgreSQL, the files on a real S3.

No Redshift is here. `helpers/redshift.py` does its COPY; every other statement is PostgreSQL's as well, and is run there.
"""

from __future__ import annotations

import datetime as dt
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from mlops_assets.journey.deliver.targets.redshift import RedshiftTarget
from mlops_assets.journey.deliver.targets.redshift_sql import Statements, type_of
from mlops_assets.plugins.targets import Delivery, TargetDown, TargetError
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case.targets import LEDGER
from mlops_assets.use_case.targets import RedshiftTarget as Parameters
from mlops_assets_tests.helpers import redshift
from mlops_assets_tests.helpers.deliveries import DAY, SOME, Rows, delivery
from mlops_assets_tests.helpers.postgres import query

ROLE = "arn:aws:iam::123456789012:role/loads"


class Cluster:
    """A PostgreSQL with a COPY like Redshift's, and a bucket from which it loads."""

    def __init__(self, url: str, bucket: S3Path) -> None:
        self.url = url
        self.bucket = bucket
        self.copied: list[str] = []

    def target(self, copy: Callable[[Any, str], None] | None = None, **parameters: Any) -> RedshiftTarget:
        def kept(cursor: Any, statement: str) -> None:
            self.copied.append(statement)
            redshift.copy(cursor, statement)

        given = {"url_variable": "SHOP_URL", "place": f"{self.bucket}/load", "iam_role": ROLE, **parameters}
        return RedshiftTarget(Parameters.model_validate(given), copy or kept)

    def deliver(self, what: Delivery, **parameters: Any) -> Mapping[str, Any]:
        return self.target(**parameters).deliver(what)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.url, sql)

    def rows(self, day: str = DAY) -> Rows:
        found = self.ask(f"SELECT file, line, prediction FROM shop_predictions WHERE day = '{day}'")
        assert len({(file, line) for file, line, _ in found}) == len(found)
        return {(file, line): said for file, line, said in found}

    def left(self) -> list[str]:
        """What lies in the bucket."""
        return [str(path) for path, _ in self.bucket.files()]


@pytest.fixture
def cluster(database: str, bucket: S3Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    # the embedded server speaks over a socket, without TLS
    monkeypatch.setenv("SHOP_URL", database.replace("postgresql://", "redshift://") + "&sslmode=prefer")
    return Cluster(database, bucket)


# -- the statements, to the letter --------------------------------------------------------------------------------------


def test_the_statements_are_these() -> None:
    columns = {"day": "date", "file": "character varying(65535)", "Line": "integer"}
    said = Statements("shop_rows", "sales", columns, ("day", "file"))
    assert said.make_table() == (
        'CREATE TABLE IF NOT EXISTS "sales"."shop_rows" ("day" date NOT NULL, "file" character varying(65535) NOT NULL, '
        '"line" integer, PRIMARY KEY ("day", "file"))'
    )
    assert said.make_ledger() == (
        'CREATE TABLE IF NOT EXISTS "sales"."mlops_assets_deliveries" ("table_name" character varying(127) NOT NULL, '
        '"day" date NOT NULL, "use_case" character varying(256), "publication" character varying(256), "published" bigint, '
        '"model_version" integer, "rows" bigint, "delivered" timestamp without time zone, '
        'PRIMARY KEY ("table_name", "day"))'
    )
    assert said.make_stage() == (
        'CREATE TEMPORARY TABLE "mlops_assets_stage" ("day" date, "file" character varying(65535), "line" integer)'
    )
    assert said.copy("s3://b/it's/manifest", ROLE) == (
        f"COPY \"mlops_assets_stage\" FROM 's3://b/it''s/manifest' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST"
    )
    assert said.copy("s3://b/m", "default").endswith("IAM_ROLE default FORMAT AS PARQUET MANIFEST")
    assert said.lock() == 'LOCK TABLE "sales"."mlops_assets_deliveries"'
    assert said.delete() == 'DELETE FROM "sales"."shop_rows" WHERE "day" = %s'
    assert said.insert() == (
        'INSERT INTO "sales"."shop_rows" ("day", "file", "line") SELECT "day", "file", "line" FROM "mlops_assets_stage"'
    )
    assert said.add("file") == 'ALTER TABLE "sales"."shop_rows" ADD COLUMN "file" character varying(65535)'


def test_days_that_are_hours_are_texts_and_noted_apart(cluster: Cluster) -> None:
    hour = "2026-01-01T05-03"
    cluster.deliver(delivery(day=hour))
    cluster.deliver(delivery({("late.csv", 1): "shoes"}, 2, day=hour))
    assert cluster.rows(hour) == {("late.csv", 1): "shoes"}
    assert cluster.ask(f"SELECT day, publication FROM {LEDGER}_hours") == [(hour, "publication 2")]


def test_every_type_has_one_of_redshifts() -> None:
    kinds = {
        pa.bool_(): "boolean",
        pa.int16(): "integer",
        pa.int32(): "integer",
        pa.int64(): "bigint",
        pa.float32(): "real",
        pa.float64(): "double precision",
        pa.decimal128(12, 2): "numeric(12,2)",
        pa.date32(): "date",
        pa.timestamp("us"): "timestamp without time zone",
        pa.timestamp("ns", "UTC"): "timestamp without time zone",
        pa.string(): "character varying(99)",
        # no arrays: JSON in a text
        pa.list_(pa.int64()): "character varying(99)",
        pa.map_(pa.string(), pa.float32()): "character varying(99)",
    }
    assert {kind: type_of(kind, 99) for kind in kinds} == kinds


# -- a day --------------------------------------------------------------------------------------------------------------


def test_a_day_is_in_the_table_as_it_was_published_and_nothing_is_left_on_s3(cluster: Cluster) -> None:
    told = cluster.deliver(delivery())
    assert told == {"table": "shop_predictions", "rows": 4, "changed": 4, "files": 1}
    assert cluster.rows() == SOME
    assert {account for (account,) in cluster.ask("SELECT account_id FROM shop_predictions")} == {"A", None}
    noted = cluster.ask(f"SELECT table_name, CAST(day AS text), publication, rows FROM {LEDGER}")
    assert noted == [("shop_predictions", DAY, "publication 1", 4)]
    assert cluster.left() == []
    place = f"{cluster.bucket}/load/shop/predictions/day={DAY}/publication 1/manifest"
    assert cluster.copied == [
        f"COPY \"mlops_assets_stage\" FROM '{place}' IAM_ROLE '{ROLE}' FORMAT AS PARQUET MANIFEST"
    ]


def test_a_day_that_is_published_again_replaces_it_and_other_days_stay(cluster: Cluster) -> None:
    newer = {("a.csv", 1): "food", ("late.csv", 1): "shoes"}
    cluster.deliver(delivery())
    cluster.deliver(delivery(day="2026-01-02"))
    cluster.deliver(delivery(newer, 2))
    assert (cluster.rows(), cluster.rows("2026-01-02")) == (newer, SOME)
    cluster.deliver(delivery({}, 3))
    assert cluster.rows() == {}, "a day may have none"


def test_what_is_there_is_not_loaded_again_unless_asked_and_an_older_one_never(cluster: Cluster) -> None:
    cluster.deliver(delivery(published=2))
    assert cluster.deliver(delivery(published=2))["changed"] == 0
    with pytest.raises(TargetDown, match="newer publication"):
        cluster.deliver(delivery({}, 1))
    with pytest.raises(TargetError, match="holds days of shop"):
        cluster.deliver(delivery(use_case="bank"), table="shop_predictions")
    assert len(cluster.copied) == 1
    cluster.deliver(delivery(published=2, again=True))
    assert (len(cluster.copied), cluster.rows()) == (2, SOME)


def test_a_day_of_several_files_is_loaded_whole(cluster: Cluster) -> None:
    many = {("a.csv", line): f"v{line}" for line in range(1, 251)}
    target = cluster.target()
    target.rows_a_file = 100
    assert target.deliver(delivery(many, size=50))["files"] == 3
    assert cluster.rows() == many


def test_types_maps_and_lines_of_whole_files(cluster: Cluster) -> None:
    names = ("day", "file", "line", "Amount", "n", "born", "at", "ok", "classes")
    plain = (
        pa.string(),
        pa.string(),
        pa.int32(),
        pa.float64(),
        pa.int64(),
        pa.date32(),
        pa.timestamp("us"),
        pa.bool_(),
    )
    schema = pa.schema(zip(names, [*plain, pa.list_(pa.string())], strict=True))
    values = [DAY, "a.csv", None, 1.5, 1 << 40, dt.date(2001, 2, 3), dt.datetime(2026, 1, 1, 12), True, ["é"]]
    batch = pa.record_batch([[value] for value in values], schema=schema)
    what = replace(delivery(), rows=1, schema=schema, batches=lambda: iter([batch]), table="rejects")
    cluster.deliver(what)
    found = cluster.ask("SELECT * FROM shop_rejects")
    assert found == [(dt.date(2026, 1, 1), "a.csv", 0, *values[3:8], '["\\u00e9"]')]


# -- what it refuses ----------------------------------------------------------------------------------------------------


def test_a_text_of_too_many_bytes_is_told_by_its_place_and_nothing_is_cut(cluster: Cluster) -> None:
    cluster.deliver(delivery({("a.csv", 1): "é"}), text_bytes=10)
    with pytest.raises(TargetError) as told:
        cluster.deliver(delivery({("b.csv", 7): "é" * 6}, 2), text_bytes=65_535)
    assert str(told.value) == (
        f"prediction of {DAY}, file 'b.csv', line 7 has 12 bytes, and the column takes 10; nothing of the day is delivered."
    )
    with pytest.raises(TargetError, match="holds a NUL"):
        cluster.deliver(delivery({("b.csv", 7): "a\0b"}, 2))
    assert (cluster.rows(), cluster.left()) == ({("a.csv", 1): "é"}, [])


def test_a_table_with_other_columns_is_left_alone_and_told_how_to_mend_it(cluster: Cluster) -> None:
    cluster.ask(
        "CREATE TABLE shop_predictions (day date, file varchar(99), line integer, account_id varchar(9), "
        "prediction integer, model_version integer, team text NOT NULL)"
    )
    with pytest.raises(TargetError) as told:
        cluster.deliver(delivery())
    assert "prediction is integer, expected character varying(65535); probability is missing; " in str(told.value)
    assert "team is not ours" in str(told.value)
    assert 'Mend it (ALTER TABLE "shop_predictions" ADD COLUMN "probability" real)' in str(told.value)


def test_two_columns_that_differ_by_capitals_are_one_to_redshift(cluster: Cluster) -> None:
    schema = pa.schema([("day", pa.string()), ("Amount", pa.int32()), ("amount", pa.int32())])
    with pytest.raises(TargetError, match="there would be two columns 'amount'"):
        cluster.deliver(replace(delivery(), schema=schema))


def test_a_load_that_brings_fewer_rows_changes_nothing(cluster: Cluster) -> None:
    cluster.deliver(delivery({("a.csv", 1): "old"}))

    def lossy(cursor: Any, statement: str) -> None:
        redshift.copy(cursor, statement)
        cursor.execute("DELETE FROM mlops_assets_stage WHERE line = 2")

    with pytest.raises(TargetError, match="Redshift loaded 3 rows of 2026-01-01, sent were 4; the table is as it was"):
        cluster.target(lossy).deliver(delivery(published=2))
    assert (cluster.rows(), cluster.left()) == ({("a.csv", 1): "old"}, [])


def test_a_bucket_that_is_away_and_a_server_that_is_away_are_told(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TargetDown, match="no such bucket"):
        cluster.deliver(delivery(), place="s3://there-is-no-such-bucket/load")
    monkeypatch.setenv("SHOP_URL", "redshift://me:pa55-in-the-url@127.0.0.1:1/shop")
    with pytest.raises(TargetDown, match=r"SHOP_URL \(redshift 127.0.0.1:1/shop\) cannot be reached") as down:
        cluster.deliver(delivery())
    assert "pa55" not in str(down.value)


def test_without_the_extra_it_is_told_what_to_install(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(TargetError, match=r"pip install 'mlops-assets\[redshift\]'"):
        cluster.deliver(delivery())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"place": "/tmp/load"}, "String should match pattern '^s3://'"),
        ({"iam_role": "aws_access_key_id=AKIA;aws_secret_access_key=x"}, "String should match pattern"),
        ({"iam_role": f"{ROLE}' CREDENTIALS '"}, "String should match pattern"),
        ({"table": "Shop"}, "String should match pattern"),
        ({"table": LEDGER}, "belongs to the platform"),
        ({"text_bytes": 65_536}, "less than or equal to 65535"),
    ],
)
def test_a_mistake_in_the_parameters_is_told(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Parameters.model_validate({"url_variable": "SHOP_URL", "place": "s3://b/p", **parameters})
    assert said in str(wrong.value)


# -- two at once, and what is killed ------------------------------------------------------------------------------------


def test_two_deliveries_of_a_day_at_once_wait_for_each_other_and_the_newest_stands(cluster: Cluster) -> None:
    cluster.deliver(delivery({("a.csv", 1): "old"}))
    entered, go = threading.Event(), threading.Event()

    class Slow(RedshiftTarget):
        def _replace(self, *given: Any) -> None:
            entered.set()
            assert go.wait(60)
            super()._replace(*given)

    slow = Slow(cluster.target().parameters, redshift.copy)
    newest = cluster.target(redshift.copy)
    threads = [
        threading.Thread(target=lambda: slow.deliver(delivery({("a.csv", 1): "second"}, 2))),
        threading.Thread(target=lambda: newest.deliver(delivery({("a.csv", 1): "third"}, 3))),
    ]
    threads[0].start()
    assert entered.wait(60)
    threads[1].start()
    waiting = f"SELECT count(*) FROM pg_locks WHERE relation = '{LEDGER}'::regclass AND NOT granted"
    deadline = dt.datetime.now() + dt.timedelta(seconds=60)
    while cluster.ask(waiting) == [(0,)]:
        assert dt.datetime.now() < deadline, "the second one does not wait"
    go.set()
    for thread in threads:
        thread.join()
    assert cluster.rows() == {("a.csv", 1): "third"}
    assert cluster.ask(f"SELECT publication FROM {LEDGER}") == [("publication 3",)]
