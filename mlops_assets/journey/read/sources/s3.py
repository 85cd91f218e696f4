"""Raw files on S3, at `<raw>/<use case>/day=YYYY-MM-DD/**/<file>`, hours in `hour=HH/` below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa

from mlops_assets.journey.read.sources.entries import Lying, days_of, is_hidden
from mlops_assets.plugins.sources import Entry, SourceError
from mlops_assets.storage import places, s3
from mlops_assets.storage.places import S3Path
from mlops_assets.storage.s3_small import Wanted, get_small
from mlops_assets.use_case.partitions import DAYS, Partitions, folder_of


class S3Source:
    """Lists and reads the objects of a use case, a day at a time.

    Parameters
    ----------
    root
        The place `<raw>/<use case>`.
    partitions
        Which of its prefixes are days.
    """

    readers = 16
    """Threads of a process that should wait for the server side by side."""

    def __init__(self, root: S3Path, partitions: Partitions = DAYS) -> None:
        self.root = root
        self.partitions = partitions

    def entries(self, folder: str = "") -> list[Lying]:
        """What lies beside each other below the prefix, or one below it, in order.

        Names that begin with `.` or `_` are no data.
        """
        place = self.root / folder if folder else self.root
        prefixes, objects = s3.level(place.bucket, place.key)
        first = len(place.key) + 1
        folders = {Lying(key[first:], folder=True) for key in prefixes}
        files = {Lying(key[first:], folder=False) for key, size in objects.items() if _is_data(key[first:], size)}
        return sorted(entry for entry in folders | files if not is_hidden(entry.name))

    def below(self, folders: Sequence[str]) -> Iterator[list[Lying]]:
        """What lies below each of some prefixes; asked for side by side."""
        return places.side_by_side(self.root, self.entries, folders)

    def count(self, name: str, most: int) -> int:
        """How many data files an entry holds, up to a number."""
        top = self.root / name
        found = (status for path, status in top.files() if _is_data(path.key[len(top.key) + 1 :], status.st_size))
        return sum(1 for _ in islice(found, most)) or 1

    def days(self) -> list[str]:
        """The days that have objects, in order."""
        return days_of(self.partitions, self.entries(), self.below)

    def place(self, day: str) -> str:
        """The prefix of a day, whether there is anything below it or not."""
        return str(self._day(day))

    def delivered(self, day: str) -> bool:
        """Whether there is anything of the day."""
        return any(True for _ in self._day(day).files())

    def has(self, day: str, name: str) -> bool:
        """Whether an object of that name lies beside those of a day."""
        return (self._day(day) / name).exists()

    def _day(self, day: str) -> S3Path:
        return self.root / folder_of(day)

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """Every object below the day's prefix; names that begin with `.` or `_`, or lie below one, are no data.

        Nothing else is passed over but the empty objects, with no dot in their name, that some tools leave where a
        folder would be.

        Parameters
        ----------
        day
            The day.
        after
            Path of an entry: only what comes behind it, in the order of the keys.
        """
        top = self._day(day)
        for batch in s3.listed(top.bucket, top.key, f"{top.key}/{after}" if after else ""):
            times = batch["last_modified"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
            columns = (batch[name].to_pylist() for name in ("path", "size", "e_tag"))
            for key, size, etag, modified in zip(*columns, times, strict=True):
                path = key[len(top.key) + 1 :]
                if _is_data(path, size):
                    yield Entry(path, size, modified, etag=etag or "")

    def read_listed(self, day: str, entries: pa.Table, largest: int) -> Sequence[bytes | None]:
        """The bytes of objects that are as they were listed, else None: what `sources.read_listed` asks for."""
        top = self._day(day).key
        listed = zip(*(entries[name].to_pylist() for name in ("path", "etag", "size")), strict=True)
        return get_small(
            self.root.bucket, [Wanted(f"{top}/{path}", etag, size) for path, etag, size in listed], largest
        )

    def read(self, day: str, entry: Entry) -> bytes:
        """The bytes of an object as it was listed.

        Raises
        ------
        SourceError
            If it is not what was listed: gone, or changed since.
        S3Error
            If the server cannot be reached, or refuses.
        """
        path = self._day(day) / entry.path
        try:
            # the server compares the ETag itself, so that no byte of another version is read
            data = s3.get(path.bucket, path.key, entry.etag or None)
        except FileNotFoundError:
            raise SourceError(f"{path}: vanished after the day was listed. Run {day} again.") from None
        except s3.Changed:
            data = None
        if data is None or len(data) != entry.size:
            raise SourceError(f"{path}: changed after the day was listed. Run {day} again.")
        return data


def _is_data(path: str, size: int) -> bool:
    """Whether an object is a file of the day; an empty one without a dot stands for a folder."""
    if path.startswith((".", "_")) or "/." in path or "/_" in path:
        return False
    return size > 0 or "." in path.rpartition("/")[2]
