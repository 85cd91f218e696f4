"""In: the table of an enrichment's answers. Out: what is known of some keys on a day, by what was stored so far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from mlops_assets.journey.enrich.answers import answer_schema, stored_schema
from mlops_assets.journey.enrich.lookups.records import query
from mlops_assets.plugins import plugin_modules
from mlops_assets.storage.accounting import EnrichmentAccounting
from mlops_assets.storage.files import read_part
from mlops_assets.storage.tables import Table
from mlops_assets.use_case import Enrichment, UseCase, as_written, back, date_of
from mlops_assets.work.code import code_of
from mlops_assets.work.shards import fingerprint

FETCHED, LAST_KNOWN, MISSING = "fetched", "last known", "missing"
"""How the answer for a key was obtained: the column `NAME_status`."""


class Known:
    """What the table of an enrichment knows, seen from a day.

    Parameters
    ----------
    use_case
        The use case.
    name
        The enrichment.
    table
        Its answers.
    day
        The day.

    Attributes
    ----------
    shape
        Hash of what decides what an answer is: answers of another shape are asked for again.
    """

    def __init__(self, use_case: UseCase, name: str, table: Table[EnrichmentAccounting], day: str) -> None:
        self._use_case = use_case
        self._name = name
        self._enrichment = use_case.enrichments[name]
        self._table = table
        self._day = day
        self._schema = answer_schema(use_case, name)
        self._stored = stored_schema(use_case, name)
        self._using = ", ".join(f'"{key}"' for key in self._enrichment.keys)
        self.shape = _shape(self._enrichment, use_case.at("enrichments", name, "parameters"))

    def is_too_late(self) -> bool:
        """Whether an answer of now would be later knowledge than the day may have."""
        within = self._enrichment.ask_within_days
        age = dt.datetime.now(self._use_case.partitions.zone).date() - date_of(self._day)
        return within is not None and age.days > within

    def without(self, keys: pa.Table, known: pa.Table) -> pa.Table:
        """The keys that are not among the known ones, in their order."""
        sql = f"SELECT * FROM keys ANTI JOIN known USING ({self._using}) ORDER BY ALL"
        return query(sql, keys=keys, known=known).cast(keys.schema)

    def fetched(self, parts: Iterable[str], keys: pa.Table) -> pa.Table:
        """What stands in published parts as fetched, for those of some keys that are there."""
        columns = ", ".join(f'"{name}"' for name in self._schema.names)
        status = f"\"{self._name}_status\" = '{FETCHED}'"
        pieces = [self._schema.empty_table()]
        for path in sorted(parts):
            part = read_part(self._table.folder / path)
            # a part of another configuration has other columns, and answers another question
            if set(self._schema.names) <= set(part.column_names):
                sql = f"SELECT {columns} FROM part SEMI JOIN keys USING ({self._using}) WHERE {status}"
                pieces.append(query(sql, part=part, keys=keys).cast(self._schema))
        several = pa.concat_tables(pieces)  # shards may share keys, never with another answer
        return query(f"SELECT DISTINCT ON ({self._using}) * FROM several", several=several).cast(self._schema)

    def last_known(self, keys: pa.Table) -> pa.Table:
        """The newest answers of earlier days that are not too old, never those of later ones."""
        oldest = back(self._day, self._enrichment.max_age_days)
        answers = [self._stored.empty_table()]
        # the newest first, and only for keys that no newer day answers
        for earlier in reversed([date for date in self._table.days() if oldest <= date < self._day]):
            if not len(keys):
                break
            of_the_day = self.fetched(self._table.parts(earlier), keys)
            answers.append(self.as_stored(of_the_day, LAST_KNOWN, date_of(earlier)))
            keys = self.without(keys, of_the_day)
        return pa.concat_tables(answers)

    def as_stored(self, answers: pa.Table, status: str, day: dt.date | None) -> pa.Table:
        """Answers, or keys alone, in the schema of the table."""
        own: Mapping[str, Any] = {f"{self._name}_status": status, f"{self._name}_day": day}
        columns = []
        for field in self._stored:
            if field.name in answers.column_names:
                columns.append(answers[field.name])
            else:
                columns.append(pa.repeat(pa.scalar(own.get(field.name), field.type), len(answers)))
        return pa.table(columns, schema=self._stored)


def _shape(enrichment: Enrichment, written: Mapping[str, Any]) -> str:
    """Hash of what decides what an answer is, its parameters as they are written: a new password asks nobody again.

    The code of a class of one's own belongs to it where the past may be asked: else a changed line would take away
    answers that nobody can ask for again. The kinds that we bring answer with what others know, not with code.
    """
    shape = enrichment.model_dump(include={"use", "parameters", "keys", "columns"})
    shape["parameters"] = as_written(enrichment.parameters, written)
    if enrichment.own is None or enrichment.ask_within_days is not None:
        return fingerprint(shape)
    return fingerprint(shape, code_of(*plugin_modules(enrichment.own)).fingerprint)
