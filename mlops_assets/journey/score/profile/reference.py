"""The profile of what a version learned from: by it days are counted, and with it they are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, reduce
from io import BytesIO
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.version import REFERENCE_FILE, Version
from mlops_assets.journey.score.profile.counts import SOURCES, Bins, Column, Profile
from mlops_assets.storage.catalog import PROFILES
from mlops_assets.work.printable import printable

Unit = Literal["file", "account", "row"]
"""What is never parted when rows are put into random groups."""

Kind = Literal["number", "category", "text"]
Stored = tuple[str, str, Kind, tuple[FiniteFloat, ...], tuple[str, ...], Annotated[FiniteFloat, Field(gt=0)]]
"""A column and its bins: source, name, and the fields of `Bins`."""

STORED = PROFILES.append(pa.field("group", pa.int32()))
"""The columns in which it is stored: the entries of its groups."""

HEAD = "mlops_assets"
"""Key of the metadata under which the rest of it stands."""

MOST_ENTRIES = 4_000_000
"""Entries that a stored one may have."""

GROUPS = 40
"""Random groups of the training rows: from how they differ follows how a day of any number of files may."""

LEAST_UNITS = 2
"""Units that a group has at least, on average: where there are fewer, there are fewer groups."""

LEAST_A_DAY = 20
"""Files that a day has on average for files to be the units; with fewer, accounts are, or else rows: what is drawn by
files of which a day has one could tell nothing of that day."""


@dataclass(frozen=True)
class Reference:
    """The profile of the rows that a version learned from.

    Attributes
    ----------
    bins
        How columns are counted, here and on every day that the version scores.
    classes
        The labels of the model by their number.
    groups
        Profiles of random groups of rows, at most `GROUPS`; what they say of answers (`Profile.said`) is of the
        held-out rows among them, by the judged model. Files are counted whole, in the group that their path falls into.
    units
        How many units each group has.
    unit
        What is never parted: rows of a file, or of an account where there are too few files, or a single row.
    days
        First and last day of the rows.
    """

    bins: Mapping[Column, Bins]
    classes: tuple[str, ...]
    groups: tuple[Profile, ...]
    units: tuple[int, ...]
    unit: Unit
    days: tuple[str, str]

    @cached_property
    def profile(self) -> Profile:
        """All groups together."""
        return reduce(add, self.groups)

    def to_table(self) -> pa.Table:
        """It in the form in which it is stored: the entries of every group, and the rest in the metadata."""
        head = {
            "bins": [[*name, each.kind, each.edges, each.values, each.unit] for name, each in self.bins.items()],
            **{name: getattr(self, name) for name in ("classes", "units", "unit", "days")},
        }
        tables = [group.to_table() for group in self.groups]
        numbers = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
        table = pa.concat_tables(tables).append_column("group", pa.array(numbers))
        return table.replace_schema_metadata({HEAD: json.dumps(head)})

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """What `to_table` told.

        Raises
        ------
        ValueError
            If it is another table, such as a forged one.
        """
        bins, head = read_head(table.schema)
        _check(table, len(head.units))
        group = table["group"].to_numpy()
        classes = len(head.classes)
        groups = (Profile.from_table(table.filter(pa.array(group == n)), bins, classes) for n in range(len(head.units)))
        return cls(bins, head.classes, tuple(groups), head.units, head.unit, head.days)


class Head(BaseModel):
    """What stands in the metadata of a stored reference: its fields but for the groups."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bins: tuple[Stored, ...]
    classes: tuple[str, ...]
    units: Annotated[tuple[NonNegativeInt, ...], Field(max_length=GROUPS)]
    unit: Unit
    days: tuple[str, str]


def read_head(schema: pa.Schema) -> tuple[dict[Column, Bins], Head]:
    """The bins of a stored reference, and what else stands beside its entries.

    Raises
    ------
    ValueError
        If they are none.
    """
    head = Head.model_validate_json((schema.metadata or {}).get(HEAD.encode(), b""))
    bins = {(source, name): Bins(kind, edges, values, unit) for source, name, kind, edges, values, unit in head.bins}
    for (source, name), each in bins.items():
        if source not in SOURCES:
            raise ValueError(f"it tells of {source[:50]!a}, which are no columns")
        if any(one >= other for one, other in pairwise(each.edges)):
            raise ValueError(f"the edges of {name[:50]!a} do not rise")
    return bins, head


def _check(table: pa.Table, groups: int) -> None:
    """See that the entries of a stored reference are some.

    Raises
    ------
    ValueError
        If they are not.
    """
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in table.schema.types]
    if (table.schema.names, kinds) != (STORED.names, STORED.types):
        raise ValueError(f"it has the columns {', '.join(table.schema.names)[:200]}")
    group = table["group"]
    if group.null_count or not np.isin(group.to_numpy(), np.arange(groups)).all():
        raise ValueError("it has entries of a group that there is not")
    counted = table.filter(pc.not_equal(table["what"].cast(pa.string()), "total"))["number"].drop_null()
    if len(counted) and pc.min(counted).as_py() < 0:
        raise ValueError("a number of it is negative")
    if pc.any(pc.is_nan(table["value"])).as_py():
        raise ValueError("a value of it is no number")


def open_reference(content: bytes) -> pq.ParquetFile:
    """A stored reference; of its entries, nothing is read.

    Raises
    ------
    ValueError, OSError, pa.ArrowException
        If it is none, or would unfold to more than `MOST_ENTRIES`.
    """
    texts = [each.name for each in STORED if pa.types.is_string(each.type)]
    # as dictionaries: a text that comes a million times is held once
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
    if file.metadata.num_rows > MOST_ENTRIES:
        raise ValueError(f"it has {file.metadata.num_rows:,} entries, allowed are {MOST_ENTRIES:,}")
    return file


def write_reference(reference: Reference, folder: Path) -> str:
    """Write the reference of a version into its folder; returns its SHA-256."""
    buffer = BytesIO()
    pq.write_table(reference.to_table(), buffer, compression="zstd")
    content = buffer.getvalue()
    (folder / REFERENCE_FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_reference(version: Version) -> Reference | None:
    """The reference of a version; None of one that was made before there were profiles.

    Raises
    ------
    ModelRefused
        If it is not the one that was registered, or is none.
    """
    content = version.reference_bytes()
    if content is None:
        return None
    with _refusing(version):
        return Reference.from_table(open_reference(content).read())


def read_bins(version: Version) -> dict[Column, Bins]:
    """How the days of a version are counted: the bins of its reference, without reading the rest; errors as there.

    None are there of a version without a reference.
    """
    content = version.reference_bytes()
    if content is None:
        return {}
    with _refusing(version):
        return read_head(open_reference(content).schema_arrow)[0]


def read_classes(version: Version) -> tuple[str, ...]:
    """The classes in the order in which the answers of a version are counted; as `read_bins`."""
    content = version.reference_bytes()
    if content is None:
        return ()
    with _refusing(version):
        return tuple(read_head(open_reference(content).schema_arrow)[1].classes)


@contextmanager
def _refusing(version: Version) -> Iterator[None]:
    """What is wrong with a file that is no reference becomes an error for people."""
    try:
        yield
    except Exception as error:  # whatever a forged file makes Parquet, JSON or NumPy say
        reason = " ".join(printable(str(error)).split())[:200]
        raise ModelRefused(
            f"{version.folder / REFERENCE_FILE}: this is no reference of a version: {reason}. Train it again."
        ) from None


def no_reference(version: Version) -> str:
    """What to say of a version without a reference, and what to do."""
    return f"version {version.version} was made before there were profiles: its days are not watched. Train again."
