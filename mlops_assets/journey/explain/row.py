"""In: day, file and line of a row. Out: where it lies in the lake, in the state that its prediction was made from."""

from __future__ import annotations

import bisect
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import LakeError, MlopsError, UsageError
from mlops_assets.journey.features.blame import FAILING, WAYS_OUT
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.read.listing import ATTACHMENT, manifest_path, shard_of, shard_of_path, shards_listed
from mlops_assets.journey.score.unpredicted import left_out, without
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Published
from mlops_assets.work.printable import printable
from mlops_assets.work.shards import shard_number

NEIGHBOURS = 2_000
"""Names before and after a mistyped one, in their order, among which similar ones are looked for."""


Scored = Published[PredictionsAccounting]


class NotPredicted(MlopsError):
    """A line has no prediction, for a reason that is known."""


@dataclass(frozen=True)
class Row:
    """Where a row lies.

    Attributes
    ----------
    entry
        The entry of its file in the manifest.
    part
        Its part of `rows`.
    rows
        The rows of that part that were scored.
    position
        Its place among them.
    prediction
        Its published prediction.
    scored
        The part of `predictions` that has it.
    whole
        Whether no row of the part was left out when it was scored; else it was scored by aggregates of its own.
    """

    entry: dict[str, Any]
    part: Path
    rows: pa.Table
    position: int
    prediction: dict[str, Any]
    scored: str
    whole: bool = True

    @property
    def line(self) -> int:
        """Its number in its file."""
        return int(self.prediction["line"])

    @property
    def lines(self) -> list[int]:
        """The rows of its file that were scored, itself among them."""
        of_file = pc.equal(self.rows["file"], self.entry["path"])
        return sorted(self.rows.filter(of_file)["line"].to_pylist())

    def stored(self) -> dict[str, Any]:
        """Its columns as they were stored."""
        return _record(self.rows, self.position)


def find_row(lake: Lake, day: str, published: Scored, file: str, line: int) -> Row:
    """Find a row in the state of the day that its prediction was made from.

    Parameters
    ----------
    lake
        The tables of the use case.
    day
        The day.
    published
        The publication of its predictions.
    file, line
        The row, as `predictions` names it.

    Raises
    ------
    NotPredicted
        If the line or the whole file was rejected, or SQL or the model fails on it.
    UsageError
        If the day has no such file or line.
    LakeError
        If what the day was made of was cleaned up since.
    """
    entry = _entry(lake, day, published, file)
    file = entry["path"]
    part = next(path for path in _parts(lake, day, published) if shard_number(path) == entry["shard"])
    _see_that_it_was_read(lake.rejects.folder / part, file, line)
    rows = read_rows(lake.rows.folder / part)
    if _position(rows, file, line) is None:
        last = pc.max(rows.filter(pc.equal(rows["file"], file))["line"]).as_py()
        raise UsageError(
            f"{file} of {day} has no line {line}: lines count from 1 after the header, the last is {last}."
        )
    prediction, scored = _prediction(lake, day, published, entry["shard"], file, line)
    kept = without(rows, left_out(lake, scored))
    position = _position(kept, file, line)
    assert position is not None, "what has a prediction was not left out"  # noqa: S101
    return Row(entry, Path(part), kept, position, prediction, scored, whole=len(kept) == len(rows))


def _see_that_it_was_read(rejects: Place, file: str, line: int) -> None:
    """Tell why a line was rejected, if it was."""
    if not rejects.exists():
        return
    lines = read_part(rejects)
    for reject in lines.filter(pc.equal(lines["file"], file)).to_pylist():
        why = f"{reject['rule']}: {reject['message']}."
        if reject["line"] is None:
            raise NotPredicted(f"{file} was refused as a whole: {why}")
        if reject["line"] == line:
            raise NotPredicted(f"Line {line} of {file} was rejected: {why}\n{reject['raw']}")


def _prediction(
    lake: Lake, day: str, published: Scored, shard: int, file: str, line: int
) -> tuple[dict[str, Any], str]:
    """The published prediction of a row, and the part that has it."""
    table = lake.predictions
    now = table.days()[day].version == published.version
    for path in table.parts(day) if now else [part.path for part in table.parts_at(day, published)]:
        if shard_number(path) == shard:  # a shard of predictions has the number of its shard of rows
            predictions = read_rows(table.folder / path)
            position = _position(predictions, file, line)
            if position is not None:
                return _record(predictions, position), path
            _see_that_it_was_scored(left_out(lake, path), file, line)
    raise LakeError(f"{file}, line {line} of {day} has no prediction, though the day is published. Run the day again.")


def _see_that_it_was_scored(unpredicted: pa.Table, file: str, line: int) -> None:
    """Tell why a row was left out when its shard was scored, if it was."""
    position = _position(unpredicted, file, line)
    if position is not None:
        rule, reason = (unpredicted[name][position].as_py() for name in ("rule", "message"))
        raise NotPredicted(
            f"Line {line} of {file} has no prediction, for {FAILING[rule]} fails on it: {reason}\n"
            f"Mend or remove that line, or {WAYS_OUT[rule]}; then run the day again."
        )


def _position(table: pa.Table, file: str, line: int) -> int | None:
    """Position of a row in a part."""
    mask = pc.and_(pc.equal(table["file"], file), pc.equal(table["line"], line))
    positions = pc.indices_nonzero(mask).to_pylist()
    return positions[0] if positions else None


def _record(table: pa.Table, position: int) -> dict[str, Any]:
    record: dict[str, Any] = table.slice(position, 1).to_pylist()[0]
    return record


def manifest_of(lake: Lake, day: str, published: Scored) -> Place:
    """The list of files that a published day was read from."""
    return manifest_path(lake.raw_files, day, published.accounting.manifest)


def _entry(lake: Lake, day: str, published: Scored, file: str) -> dict[str, Any]:
    """The entry of a file in the manifest that the day was read from."""
    manifest = manifest_of(lake, day, published)
    if not manifest.exists():
        raise LakeError(f"{day}: the list of its files was cleaned up since (`keep_days`). Run the day again.")
    shards = shards_listed(lake.raw_files, day, published.accounting.manifest)
    if shards:  # of millions of names, those of one shard
        few = shard_of(manifest, shard_of_path(file, shards))
        known: list[dict[str, Any]] = few.filter(pc.equal(few["path"], file)).to_pylist()
        if known:
            return known[0]
    entries = read_part(manifest)
    # files that records refer to have no rows
    entries = entries.filter(pc.not_equal(entries["shard"], ATTACHMENT))
    entries_of_file: list[dict[str, Any]] = entries.filter(pc.equal(entries["path"], file)).to_pylist()
    if entries_of_file:
        return entries_of_file[0]
    # among millions of names, difflib alone would take minutes: similar ones begin alike, so they lie near
    names = sorted(entries["path"].to_pylist())
    shown = [name for name in names if printable(name) == file]
    if shown:  # it was copied from a terminal
        return _entry(lake, day, published, shown[0])
    near = bisect.bisect(names, file)
    close = difflib.get_close_matches(file, names[max(0, near - NEIGHBOURS) : near + NEIGHBOURS])
    hint = f" Did you mean {', '.join(map(printable, close))}?" if close else f" It has {len(names):,} others."
    raise UsageError(f"{day} has no file {file}.{hint}")


def _parts(lake: Lake, day: str, published: Scored) -> list[str]:
    """Paths of the parts of `rows` that the day was scored from: the rows may have been read again since."""
    rows = lake.rows
    for state in reversed(rows.publications().get(day, [])):
        if state.version == published.accounting.rows_version:
            return [part.path for part in rows.parts_at(day, state)]
    raise LakeError(f"{day}: the rows that its predictions were made from are not known. Run the day again.")


def origin(lake: Lake, day: str, published: Scored) -> Scored:
    """The publication that a restored day was made by; that of the day itself where nothing was restored."""
    publications = {state.version: state for state in lake.predictions.publications()[day]}
    while (earlier := published.accounting.restored_from) in publications:
        published = publications[earlier]
    return published
