"""A day as files: the rows of each input file with what is predicted for them, or what another table has of it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from mlops_assets.errors import S3Error
from mlops_assets.journey.deliver.targets.columns import has_nested, nested_as_json
from mlops_assets.plugins.targets import Delivery, Guarantee, TargetDown, TargetError
from mlops_assets.storage.modes import for_others
from mlops_assets.storage.places import Place, S3Path, below, parse_place, remove, side_by_side, write_whole
from mlops_assets.use_case.targets import PREDICTIONS
from mlops_assets.use_case.targets import FilesTarget as Parameters
from mlops_assets.work.spreadsheets import marked_reader

DONE = "_SUCCESS"
"""The file beside those of a day that says which publication they are; it is there only while they are complete."""


class FilesTarget:
    """Writes a file for each input file, or for each shard; every one is whole or absent.

    Parameters
    ----------
    parameters
        What the configuration says.
    suffix
        End of the names of the input files.
    raw
        Where the raw files lie: no output may come to lie among them.
    """

    def __init__(self, parameters: Parameters, suffix: str, raw: Place) -> None:
        self.parameters = parameters
        self.suffix = suffix
        self.place = parse_place(parameters.place)
        self.raw = raw

    def guarantee(self) -> Guarantee:
        """The same files hold the same rows, however often they are written."""
        return "exactly once"

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Write the day's files, then remove those that an earlier delivery of the day wrote and this one did not."""
        if _lies_in(self.place, self.raw):
            raise TargetError(f"{self.place}: the raw files lie there; name another place.")
        folder = self.place / delivery.use_case
        # below the use case: at the same place, the targets of two tables must not remove each other's files
        folder = (folder if delivery.table == PREDICTIONS else folder / delivery.table) / f"day={delivery.day}"
        try:
            with for_others():
                report = self._replace(folder, delivery)
        except OSError as error:
            why = f"{error.filename or folder}: {error.strerror or error}"
            raise TargetDown(f"files cannot be written to {folder}: {why}. Make room or give access.") from None
        except S3Error as error:
            raise TargetDown(str(error)) from None
        return {"place": str(folder), **report}

    def _replace(self, folder: Place, delivery: Delivery) -> dict[str, int]:
        """Write, clean up, and mark the day as complete; the mark is away while it is not."""
        kept: list[int] = []
        rows = 0
        remove(folder, [DONE])
        for name, count in side_by_side(folder, lambda output: self._write(folder, *output), self._outputs(delivery)):
            kept.append(_hash(name))
            rows += count
            delivery.tell(rows)
        removed = self._remove_others(folder, np.unique(np.array(kept, np.uint64)))
        done = {"publication": delivery.publication, "files": len(kept), "rows": rows}
        write_whole(folder / DONE, json.dumps(done).encode())
        return {"files": len(kept), "removed": removed, "rows": rows}

    def _outputs(self, delivery: Delivery) -> Iterator[tuple[str, pa.Table]]:
        """Name and rows of every output."""
        for shard, table in delivery.shards():
            if self.parameters.one_file_a == "shard":
                yield f"{shard}.{self.parameters.format}", table
                continue
            for file, rows in _by_file(table):
                yield f"{self._stem(file)}.{self.parameters.format}", rows.drop_columns(["file"])

    def _stem(self, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts:
            raise TargetError(f"{file!r}: this input file has a name that leads out of the day's folder.")
        return file.removesuffix(self.suffix)

    def _write(self, folder: Place, name: str, table: pa.Table) -> tuple[str, int]:
        buffer = io.BytesIO()
        if self.parameters.format == "csv":
            table = (
                pa.Table.from_batches(map(nested_as_json, table.to_batches())) if has_nested(table.schema) else table
            )
            exact = not self.parameters.spreadsheet
            pacsv.write_csv(table if exact else marked_reader(table.to_reader()).read_all(), buffer)
        else:
            pq.write_table(table, buffer, compression="zstd")
        write_whole(folder / name, buffer.getbuffer())
        return name, len(table)

    def _remove_others(self, folder: Place, kept: np.ndarray) -> int:
        """Remove the day's files whose names are not among those kept; their number."""
        # by their ending, for the folder may hold files of other people
        ours = (name for name in below(folder) if name.endswith(f".{self.parameters.format}"))
        return remove(folder, (name for name in ours if not _holds(kept, _hash(name))))


def _by_file(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each file of a shard."""
    if not len(table):
        return
    file = table["file"].combine_chunks()
    starts = np.flatnonzero(pc.not_equal(file[1:], file[:-1]).to_numpy(zero_copy_only=False)) + 1
    # the rows of a file follow each other, but nothing promises it
    if len(starts) + 1 != pc.count_distinct(file).as_py():
        yield from _by_file(table.sort_by([("file", "ascending"), ("line", "ascending")]))
        return
    for start, end in zip([0, *starts.tolist()], [*starts.tolist(), len(table)], strict=True):
        yield file[start].as_py(), table.slice(start, end - start)


def _hash(name: str) -> int:
    """A name of a file in eight bytes: a day may have millions."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def _holds(ordered: np.ndarray, number: int) -> bool:
    """Whether a number is in an ordered array; a set of millions would need twelve times the memory."""
    position = int(np.searchsorted(ordered, np.uint64(number)))
    return position < len(ordered) and ordered[position] == number


def _lies_in(location: Place, other: Place) -> bool:
    """Whether a place is another one or below it."""
    if isinstance(location, S3Path) or isinstance(other, S3Path):
        return f"{location}/".startswith(f"{other}/")
    resolved = location.resolve()
    return other.resolve() in (resolved, *resolved.parents)
