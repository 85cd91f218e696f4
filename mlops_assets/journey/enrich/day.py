"""In: the rows of a day. Out: what is known elsewhere of their keys, asked for once, stored as it was known then."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa

from mlops_assets.journey.enrich.answers import NotEnriched, stored_schema
from mlops_assets.journey.enrich.asking import Asking, batches
from mlops_assets.journey.enrich.known import FETCHED, LAST_KNOWN, MISSING, Known
from mlops_assets.journey.enrich.lookups import EnrichmentError, open_enrichment
from mlops_assets.journey.enrich.lookups.records import database, query
from mlops_assets.storage.accounting import EnrichmentAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.integrity import Damaged, read_stored
from mlops_assets.storage.parts import Part
from mlops_assets.storage.places import side_by_side
from mlops_assets.storage.tables import Published, Table, write_part
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.partitions import date_of
from mlops_assets.work.shards import fingerprint, fingerprint_table, shard_number

log = logging.getLogger("mlops_assets.enrichment")

PROBLEMS = 10
"""Problems that the accounting lists, the most frequent ones."""


def enrich_day(
    use_case: UseCase, lake: Lake, name: str, day: str, *, refetch: bool = False, run: str = ""
) -> EnrichmentAccounting:
    """Ask for the keys of a day's rows and publish the answers.

    Keys that were answered for that day before are not asked for again, also when the run before was killed.

    Parameters
    ----------
    use_case
        The use case.
    lake
        The tables of the use case; the day's rows are published.
    name
        The enrichment.
    day
        The day.
    refetch
        Whether to ask again for what was answered before.
    run
        The run that asks.

    Returns
    -------
    EnrichmentAccounting
        Keys and rows by how they were answered, and how the asking went.

    Raises
    ------
    NotEnriched
        If there are no rows, the source cannot be asked at all, or a key has no answer though `missing` is `stop`.
    """
    rows, table = lake.rows, lake.enrichment(name)
    state = rows.days().get(day)
    if state is None:
        raise NotEnriched(f"{name} of {day}: there are no rows; materialise rows of this day first")
    work = _Day(use_case, name, table, day)
    # looked at before anybody is asked: who publishes meanwhile makes this publication fail, and is not overwritten
    replaces, published = table.parts(day), table.days().get(day)
    shards = work.keys(rows)
    keys = pa.concat_tables([work.no_keys, *shards.values()])
    try:
        answers, numbers = work.answers(keys, _comparable(replaces, published, work.shape), refetch=refetch)
    except EnrichmentError as error:
        raise NotEnriched(f"{name} of {day}: {error}") from None
    counted: dict[str, Any] = work.count(keys, answers)
    # before anything is published
    if use_case.enrichments[name].missing == "stop":
        _check_complete(f"{name} of {day}", counted, numbers["problems"])
    # a part for each shard of rows: only shards whose answers change are done again
    parts = work.write(shards, answers)
    accounting = EnrichmentAccounting(**counted, **numbers, rows_version=state.version, shape=work.shape)
    nothing_new = not numbers["requests"] and {part.path for part in parts} == replaces
    if published is not None and nothing_new and _same_question(published.accounting, accounting):
        return published.accounting  # what was told of the asking stands
    table.publish(day, parts, stored_schema(use_case, name), accounting, replaces, run)
    return accounting


def _comparable(parts: set[str], published: Published[EnrichmentAccounting] | None, shape: str) -> set[str]:
    """The parts of a day if they are answers of the same source to the same question."""
    return parts if published is not None and published.accounting.shape == shape else set()


def _same_question(then: EnrichmentAccounting, now: EnrichmentAccounting) -> bool:
    """Whether the same source was asked for the same rows."""
    return (then.rows_version, then.shape) == (now.rows_version, now.shape)


def _check_complete(what: str, counted: Mapping[str, int], problems: Mapping[str, int]) -> None:
    """See that every key has an answer."""
    if not counted["missing"]:
        return
    listed = "; ".join(f"{problem} ({times} times)" for problem, times in problems.items())
    raise NotEnriched(
        f"{what}: {counted['missing']} of {counted['keys']} keys have no answer, and `missing` is `stop`. "
        f"{listed or 'The source does not know them'}. Run the day again when the source can answer; those that "
        "were answered are not asked for again"
    )


class _Day(Known):
    """The work on one day of an enrichment.

    Attributes
    ----------
    no_keys
        An empty table of keys: the columns of a key, and `rows_`, the number of rows that have it.
    """

    def __init__(self, use_case: UseCase, name: str, table: Table[EnrichmentAccounting], day: str) -> None:
        super().__init__(use_case, name, table, day)
        keys = [self._schema.field(key) for key in self._enrichment.keys]
        self.no_keys = pa.schema([*keys, pa.field("rows_", pa.int64())]).empty_table()

    def keys(self, rows: Table[Any]) -> dict[int, pa.Table]:
        """The keys of each shard of the day, with the number of rows that have them."""
        names = list(self._enrichment.keys)

        def of(path: str) -> pa.Table:
            part = read_part(rows.folder / path, names, texts_as_codes=True).unify_dictionaries()
            counted = part.group_by(names, use_threads=False).aggregate([([], "count_all")])
            return counted.rename_columns(self.no_keys.schema.names).cast(self.no_keys.schema)

        paths = sorted(rows.parts(self._day))
        return dict(zip(map(shard_number, paths), side_by_side(rows.folder, of, paths), strict=True))

    def answers(self, keys: pa.Table, parts: Iterable[str], *, refetch: bool) -> tuple[pa.Table, dict[str, Any]]:
        """An answer for every key, in the schema of the table, and how the asking went.

        Parameters
        ----------
        keys
            The keys of all shards.
        parts
            Parts of the table whose fetched answers are those of the same source for the same day. One that is damaged
            is an error where it is too late to ask again.
        refetch
            Whether to leave these aside.
        """
        wanted = self._wanted(keys)
        cached = self._schema.empty_table() if refetch else self._cached(parts, wanted)
        rest = self.without(wanted, cached)
        fetched, numbers = self._ask(rest)
        at_hand = pa.concat_tables([cached, fetched])
        answered = self.as_stored(at_hand, FETCHED, date_of(self._day))
        if self._enrichment.missing == "last_known":
            answered = pa.concat_tables([answered, self.last_known(self.without(wanted, answered))])
        nothing = self.as_stored(self.without(wanted, answered), MISSING, None)
        asked = len(rest) - numbers["not_asked"]
        return pa.concat_tables([answered, nothing]), {"asked": asked, "cached": len(cached), **numbers}

    def _wanted(self, keys: pa.Table) -> pa.Table:
        """The distinct whole keys, in their order."""
        valid = " AND ".join(f'"{key}" IS NOT NULL' for key in self._enrichment.keys)
        wanted = query(f"SELECT DISTINCT {self._using} FROM keys WHERE {valid} ORDER BY ALL", keys=keys)
        most = self._enrichment.most_keys
        if len(wanted) > most:
            raise EnrichmentError(f"the rows have {len(wanted):,} distinct keys, more than `most_keys`, {most:,}")
        return wanted.cast(pa.schema([self._schema.field(key) for key in self._enrichment.keys]))

    def _cached(self, parts: Iterable[str], wanted: pa.Table) -> pa.Table:
        """What was fetched before, published or left by a kill."""
        published = self.fetched(parts if self.is_too_late() else self._intact(parts), wanted)
        return pa.concat_tables([published, *self._left_by_a_kill(self.without(wanted, published))])

    def _intact(self, parts: Iterable[str]) -> list[str]:
        """The parts that are as they were written: what the others said may be asked for again."""
        intact = []
        for path in parts:
            try:
                read_stored(self._table.folder / path)
            except Damaged as error:
                log.warning("%s of %s: the file %s %s; its keys are asked for again.", *error.told())
            else:
                intact.append(path)
        return intact

    def _ask(self, keys: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
        """What the source answers for some keys, and how the asking went."""
        asking = Asking(self._enrichment, self._fetcher(), self._schema, self._day)
        late = self.is_too_late()
        answers = asking.ask(keys, self._keep) if len(keys) and not late else self._schema.empty_table()
        numbers = {name: asking.counts[name] for name in ("not_asked", "requests", "retries", "failed", "refused")}
        if not late:
            return answers, {**numbers, "problems": dict(asking.problems.most_common(PROBLEMS))}
        why = f"asked for later than {self._enrichment.ask_within_days} days after the day"
        return answers, {**numbers, "not_asked": len(keys), "problems": {why: len(keys)}}

    def count(self, keys: pa.Table, answers: pa.Table) -> dict[str, int]:
        """Keys and rows by how they were answered."""
        counts = query(
            f'SELECT "{self._name}_status" AS status, count(DISTINCT ({self._using})) AS keys, '
            f"sum(rows_)::BIGINT AS rows FROM keys LEFT JOIN answers USING ({self._using}) GROUP BY ALL",
            keys=keys,
            answers=answers,
        )
        by = {record["status"]: record for record in counts.to_pylist()}
        nothing = {"keys": 0, "rows": 0}
        counted = {"keys": len(answers), "rows": sum(record["rows"] for record in by.values())}
        for status in (FETCHED, LAST_KNOWN, MISSING):
            name = status.replace(" ", "_")
            counted[name], counted[f"rows_{name}"] = by.get(status, nothing)["keys"], by.get(status, nothing)["rows"]
        return {**counted, "rows_without_key": by.get(None, nothing)["rows"]}

    def write(self, shards: Mapping[int, pa.Table], answers: pa.Table) -> list[Part]:
        """Write the answers for the keys of each shard, in the order of the keys."""
        columns = ", ".join(f'"{name}"' for name in self._stored.names)
        sql = f"SELECT {columns} FROM answers SEMI JOIN keys USING ({self._using}) ORDER BY {self._using}"
        parts = []
        # one for all shards: to open a database takes as long as a query over a million rows
        with database(answers=answers) as opened:
            for shard, keys in shards.items():
                content = opened.register("keys", keys).sql(sql).to_arrow_table().cast(self._stored)
                parts.append(write_part(self._table, self._day, f"{shard:05d}-{fingerprint_table(content)}", content))
        return parts

    def _fetcher(self) -> Any:
        return open_enrichment(self._enrichment, self._schema, self._use_case.folder)

    def _stem(self, keys: pa.Table) -> str:
        return f"asked-{fingerprint(self.shape, fingerprint_table(keys))}"

    def _keep(self, keys: pa.Table, answers: pa.Table) -> None:
        """Keep a batch beside the published parts, so that after a kill it is not asked for again."""
        write_part(self._table, self._day, self._stem(keys), answers, {})

    def _left_by_a_kill(self, keys: pa.Table) -> list[pa.Table]:
        """The batches that were kept."""
        kept = []
        for batch in batches(self._enrichment, keys):
            with suppress(Damaged):  # then it is asked for again
                kept.append(read_part(self._table.place(self._day, self._stem(batch))).cast(self._schema))
        return kept
