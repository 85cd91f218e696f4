"""That a day is done, for other pipelines: a row, an object or a message of Kafka, with the accounting."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import S3Error
from mlops_assets.journey.deliver.targets.days import kind_of, of_hours, value_of
from mlops_assets.journey.deliver.targets.kafka import KafkaTarget
from mlops_assets.journey.deliver.targets.sql import connected, prepare, transaction
from mlops_assets.plugins.targets import Delivery, Guarantee, TargetDown
from mlops_assets.storage.modes import for_others
from mlops_assets.storage.places import parse_place, write_whole
from mlops_assets.use_case.targets import DAYS_DONE
from mlops_assets.use_case.targets import NoticeTarget as Parameters

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


class NoticeTarget:
    """Says that a day can be read, once for each publication of it.

    Parameters
    ----------
    parameters
        What the configuration says.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def guarantee(self) -> Guarantee:
        """A row has the publication in its key, an object is replaced by itself; a message may come again."""
        return "at least once" if self.parameters.kafka else "exactly once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Say it."""
        notice = {
            "use_case": delivery.use_case,
            "day": delivery.day,
            "publication": delivery.publication,
            "published": delivery.published,
            "model_version": delivery.model_version,
            "predictions": delivery.rows,
            "numbers": dict(delivery.numbers),
        }
        if self.parameters.kafka:
            # days of a use case keep their order
            return KafkaTarget(self.parameters.kafka).send([(delivery.use_case, notice)], delivery.tell)
        if self.parameters.url_variable:
            return self._write_row(self.parameters.url_variable, notice)
        return self._write_object(str(self.parameters.place), notice)

    def _write_object(self, place: str, notice: Mapping[str, Any]) -> dict[str, Any]:
        path = parse_place(place) / str(notice["use_case"]) / f"day={notice['day']}.json"
        try:
            with for_others():
                write_whole(path, (json.dumps(notice, indent=1, sort_keys=True) + "\n").encode())
        except OSError as error:
            raise TargetDown(
                f"{path} cannot be written: {error.strerror or error}. Make room or give access."
            ) from None
        except S3Error as error:
            raise TargetDown(str(error)) from None
        return {"place": str(path)}

    def _write_row(self, variable: str, notice: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(notice["day"])
        # two days may be done at once, and only one of them makes the table
        with connected(variable) as engine, transaction(engine, table.fullname) as connection:
            prepare(connection, table)
            return {"table": table.fullname, "changed": _insert(connection, table, notice)}

    def _table(self, day: str) -> Table:
        import sqlalchemy as sa

        return sa.Table(
            of_hours(DAYS_DONE, day),
            sa.MetaData(schema=self.parameters.db_schema),
            sa.Column("use_case", sa.Text, primary_key=True),
            sa.Column("day", kind_of(day), primary_key=True),
            sa.Column("publication", sa.Text, primary_key=True),
            sa.Column("published", sa.BigInteger, nullable=False),
            sa.Column("model_version", sa.Integer, nullable=False),
            sa.Column("predictions", sa.BigInteger, nullable=False),
            sa.Column("numbers", sa.Text, nullable=False),
            sa.Column("told", sa.DateTime(timezone=True), nullable=False),
        )


def _insert(connection: Connection, table: Table, notice: Mapping[str, Any]) -> int:
    """Write the row unless it is there; how many were written."""
    import sqlalchemy as sa

    day = value_of(notice["day"])
    names = ("use_case", "publication")
    same = sa.and_(table.c.day == day, *(table.c[name] == notice[name] for name in names))
    if connection.execute(sa.select(table.c.day).where(same)).first() is not None:
        return 0
    numbers = json.dumps(notice["numbers"], sort_keys=True)
    row = {**notice, "day": day, "numbers": numbers, "told": dt.datetime.now(dt.UTC)}
    connection.execute(table.insert().values(**row))
    return 1
