"""In: the stored answers of enrichments. Out: those that belong to the rows of a shard, as `features.sql` sees them.

A day of the table `enrichment_NAME` has one part for every part of `rows`, with the answers for the keys of that shard.
The name of a part is the fingerprint of its content: a shard is done again if, and only if, what it was enriched with
changed. `day` makes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.contract import ARROW_TYPES
from mlops_assets.storage.accounting import EnrichmentAccounting, ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import shard_number

Marks = Mapping[str, str]
"""Of one shard: enrichment, and the path of the part with its answers."""


NOTHING: Mapping[str, Any] = MappingProxyType({})


class NotEnriched(MlopsError):
    """There are no answers for a day that one may go on with."""


@dataclass(frozen=True)
class DayAnswers:
    """What the rows of a day are enriched with; empty where nothing is configured.

    Attributes
    ----------
    shards
        The marks of every shard.
    accounting
        By enrichment, the accounting of its day.
    versions
        By enrichment, the version of its table.
    """

    shards: Mapping[int, Marks]
    accounting: Mapping[str, EnrichmentAccounting]
    versions: Mapping[str, int]

    def of(self, part: str) -> Marks:
        """The marks of the shard that a part of `rows` belongs to."""
        return self.shards.get(shard_number(part), {})


def answer_schema(use_case: UseCase, name: str) -> pa.Schema:
    """Keys and columns of an answer."""
    enrichment = use_case.enrichments[name]
    types = {**{key: use_case.columns[key].type for key in enrichment.keys}, **enrichment.columns}
    return pa.schema({column: _plain(ARROW_TYPES[kind]) for column, kind in types.items()})


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def stored_schema(use_case: UseCase, name: str) -> pa.Schema:
    """Schema of the table `enrichment_NAME`, which is the one that SQL sees.

    `NAME_status` says how an answer was obtained, `NAME_day` for which day; where there is none, the columns are null.
    """
    own = [pa.field(f"{name}_status", pa.string()), pa.field(f"{name}_day", pa.date32())]
    return pa.schema([*answer_schema(use_case, name), *own])


def names_table(sql: str, name: str) -> bool:
    """Whether a `features.sql` names a table; a comment that does is taken for it, too, which does no harm."""
    return re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE) is not None


def needed(use_case: UseCase, sql: str) -> list[str]:
    """The enrichments that a `features.sql` names."""
    return [name for name in sorted(use_case.enrichments) if names_table(sql, name)]


def find_answers(
    use_case: UseCase, lake: Lake, day: str, rows: Published[ReadingAccounting], names: Sequence[str]
) -> DayAnswers:
    """The stored answers for the published rows of a day.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables.
    day
        The day.
    rows
        The publication of its rows.
    names
        The enrichments.

    Raises
    ------
    NotEnriched
        If an enrichment was not asked for these rows.
    """
    shards: dict[int, dict[str, str]] = {}
    states: dict[str, Published[EnrichmentAccounting]] = {}
    for name in names:
        table = lake.enrichment(name)
        state = table.days().get(day)
        # answers for other rows may lack keys of these
        if state is None or state.accounting.rows_version != rows.version:
            raise NotEnriched(
                f"{use_case.name}: the enrichment {name!r} was not asked for the rows of {day} as they are now; "
                f"materialise {use_case.name}/{table.name} of this day, and look there why if it fails"
            )
        states[name] = state
        for path in table.parts(day):
            shards.setdefault(shard_number(path), {})[name] = path
    accounting = {name: state.accounting for name, state in states.items()}
    return DayAnswers(shards, accounting, {name: state.version for name, state in states.items()})


def answers_then(lake: Lake, day: str, versions: Mapping[str, int], part: str) -> Marks:
    """The marks of a shard as they were when the tables had these versions.

    Parameters
    ----------
    lake, day
        Where and when.
    versions
        As `DayAnswers.versions` had them.
    part
        Path of the part with the shard's rows.

    Raises
    ------
    LakeError
        If they were cleaned up since.
    """
    marks = {}
    for name, version in versions.items():
        table = lake.enrichment(name)
        (state,) = (publication for publication in table.publications()[day] if publication.version == version)
        paths = [stored.path for stored in table.parts_at(day, state)]
        marks[name] = next(path for path in paths if shard_number(path) == shard_number(part))
    return marks


def read_answers(lake: Lake, marks: Marks) -> dict[str, pa.Table]:
    """The answers for the keys of a shard, by enrichment."""
    return {name: read_part(lake.enrichment(name).folder / path) for name, path in marks.items()}
