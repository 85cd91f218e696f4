"""Raw files in a folder of this machine, at `<raw>/<use case>/day=YYYY-MM-DD/**/<file>`, hours in `hour=HH/` below."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from mlops_assets.journey.read.sources import listed
from mlops_assets.journey.read.sources.entries import LEADS_OUT, Lying, days_of, is_hidden
from mlops_assets.plugins.sources import Entry, SourceError
from mlops_assets.storage.inside import QUIETLY, lies_inside, was_inside
from mlops_assets.use_case.partitions import DAYS, Partitions, folder_of

CHUNK = 64 << 10

AMBIGUOUS = re.compile(r"\\+(?=[\udc80-\udcff]|udc[89a-f][0-9a-f])")
"""Backslashes of a name that could be taken for one of ours."""


class Below(NamedTuple):
    """A folder of a day: where it is, its path within the day, and behind which path in it a listing goes on."""

    folder: str
    path: str
    after: Sequence[str]


class FolderSource:
    """Lists and reads the files of a use case, a day at a time.

    Parameters
    ----------
    root
        The folder `<raw>/<use case>`.
    suffix
        End of the name of a data file; a folder that is named so is no place for files, but a mistake.
    follow_links
        Whether links to files and days outside of the folder are followed. Whoever may write into it could else have
        this process read what only it may.
    partitions
        Which of its folders are days.
    """

    def __init__(
        self,
        root: Path,
        suffix: str,
        follow_links: bool = False,
        partitions: Partitions = DAYS,
    ) -> None:
        self.root = root
        self.suffix = suffix
        self.follow_links = follow_links
        self.partitions = partitions

    def __reduce__(self) -> tuple[type[FolderSource], tuple[Path, str, bool, Partitions]]:
        # another machine follows its own links to it
        return FolderSource, (self.root, self.suffix, self.follow_links, self.partitions)

    @cached_property
    def _real(self) -> str:
        """Where the folder really is: it may be a link itself."""
        return os.path.realpath(self.root)

    def _leads_out(self, path: str) -> bool:
        return not self.follow_links and not lies_inside(path, self._real)

    def entries(self, folder: str = "") -> list[Lying]:
        """What lies beside each other in the folder, or in one of it, in order.

        Names that begin with `.` or `_` are not data; what is behind a link that is not followed is not looked at.

        Raises
        ------
        SourceError
            If the folder cannot be listed.
        """
        place = str(self.root / folder)
        if folder and self._leads_out(place):
            return [Lying(".", folder=False)]
        try:
            with os.scandir(place) as found:
                return sorted(Lying(one.name, _is_folder(one)) for one in found if not is_hidden(one.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise SourceError(f"{place}: a folder that cannot be listed: {error.strerror}. Give access.") from None

    def below(self, folders: Sequence[str]) -> Iterator[list[Lying]]:
        """What lies in each of some folders; see `entries`."""
        return map(self.entries, folders)

    def count(self, name: str, most: int) -> int:
        """How many data files an entry holds, up to a number."""
        path = self.root / name
        is_ours = path.is_dir() and not self._leads_out(str(path))
        return sum(1 for _ in islice(_files(path), most)) if is_ours else 1

    def days(self) -> list[str]:
        """The days that have a folder, in order."""
        return days_of(self.partitions, self.entries(), self.below)

    def place(self, day: str) -> str:
        """The folder of a day, whether it exists or not."""
        return str(self.root / folder_of(day))

    def delivered(self, day: str) -> bool:
        """Whether the day has a folder."""
        return Path(self.place(day)).is_dir()

    def has(self, day: str, name: str) -> bool:
        """Whether a file of that name lies in the day's folder."""
        return (self.root / folder_of(day) / name).is_file()

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """Every entry of the day's folder and below; names that begin with `.` or `_` are not data.

        A folder that cannot be listed is an entry with a problem, so that it is missed by nobody.

        Parameters
        ----------
        day
            The day.
        after
            Path of an entry: only what comes behind it. Names are in order within each folder.
        """
        for found in self.top(day, after):
            if isinstance(found, Below):
                yield from self.walk(found)
            else:
                yield found

    def top(self, day: str, after: str = "") -> Iterator[Entry | Below]:
        """The entries right in the day's folder, and the folders in it, which `walk` lists; arguments as in `list`."""
        if self._leads_out(self.place(day)):
            yield Entry(".", 0, 0, LEADS_OUT)
        elif Path(self.place(day)).exists():
            yield from self._beside(Below(self.place(day), "", after.split("/") if after else ()))

    def walk(self, below: Below) -> Iterator[Entry]:
        """The entries of a folder and below; without recursion: folders may be nested as deeply as paths are long."""
        begun = [self._beside(below)]
        while begun:
            found = next(begun[-1], None)
            if found is None:
                begun.pop()
            elif isinstance(found, Below):
                begun.append(self._beside(found))
            else:
                yield found

    def _beside(self, below: Below) -> Iterator[Entry | Below]:
        """The entries of one folder, and the folders in it."""
        try:
            names = os.listdir(below.folder)  # names alone: objects of `scandir` would take several times the memory
        except OSError as error:
            yield Entry(_shown(below.path) or ".", 0, 0, f"a folder that cannot be listed: {error.strerror}")
            return
        # by what is stored of a name, so that a listing can go on behind any entry
        names.sort(key=_shown)
        first, *rest = below.after or [""]
        prefix = below.path and f"{below.path}/"
        for name in islice(names, bisect_left(names, first, key=_shown), None):
            # a folder that was begun is gone on with, a file of that name was listed then
            begun = _shown(name) == first
            if not is_hidden(name) and (rest or not begun):
                place, path = f"{below.folder}/{name}", prefix + name
                yield self._entry(place, path) or Below(place, path, rest if begun else ())

    def _entry(self, name: str, path: str) -> Entry | None:
        """A file, or None for a folder to look into."""
        try:
            status = os.lstat(name)
            if stat.S_ISLNK(status.st_mode):
                if self._leads_out(name):
                    return Entry(_shown(path), 0, 0, LEADS_OUT)
                status = Path(name).stat()
            elif stat.S_ISDIR(status.st_mode):
                wrong = path.endswith(self.suffix)
                return Entry(_shown(path), 0, 0, "a folder that is named like a file") if wrong else None
        except OSError as error:
            return Entry(_shown(path), 0, 0, f"cannot be looked at: {error.strerror}")
        # listed, and refused with a reason, rather than missed
        if _shown(path) != path:
            return Entry(_shown(path), 0, 0, "a name that is not valid UTF-8, or looks like one as it is told here")
        problem = "" if stat.S_ISREG(status.st_mode) else "not a regular file"
        return Entry(path, status.st_size, status.st_mtime_ns, problem, _content(status))

    def read_listed(self, day: str, entries: pa.Table, largest: int) -> Sequence[bytes | None]:
        """The bytes of files that are as they were listed, else None: what `sources.read_listed` asks for."""
        function = listed.compiled()
        if function is None:
            return [None] * len(entries)
        inside = not self.follow_links
        return listed.read_as_listed(function, self._real, folder_of(day), entries, inside=inside, largest=largest)

    def read(self, day: str, entry: Entry) -> bytes:
        """The bytes of a file as it was listed.

        Raises
        ------
        OSError
            If it cannot be opened or read.
        SourceError
            If it is not what was listed: gone, or changed since.
        """
        name = f"{self.root}/{folder_of(day)}/{entry.path}"
        try:
            handle = os.open(name, QUIETLY)  # what was listed as a file may be anything by now
        except FileNotFoundError:
            raise SourceError(f"{name}: vanished after the day was listed. Run {day} again.") from None
        try:
            if not self.follow_links and not was_inside(handle, name, self._real):
                raise _changed(name, day)
            # one byte more than was listed: a file that has grown is seen without a second read
            data = os.read(handle, max(CHUNK, entry.size + 1))
            while len(data) < entry.size and (more := os.read(handle, CHUNK)):
                data += more
            status = os.fstat(handle)
        finally:
            os.close(handle)
        same = entry.etag in ("", _content(status))  # none: it was listed before there was one
        if not same or (len(data), status.st_mtime_ns) != (entry.size, entry.modified):
            raise _changed(name, day)
        return data


def _changed(name: str, day: str) -> SourceError:
    return SourceError(f"{name}: changed after the day was listed. Run {day} again.")


def _content(status: os.stat_result) -> str:
    """What a disk tells of a content beside its size and time, which a copy may keep (`cp -p`, `unzip`, `rsync -t`).

    Nobody can set the time of the last change of a file's entry, and a file that is moved to its place is another one.
    """
    return f"{status.st_ctime_ns:x}-{status.st_ino:x}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _files(folder: Path) -> Iterator[str]:
    """The data files below a folder; one that cannot be listed has none that are known."""
    waiting = [str(folder)]  # `os.walk` is recursive before Python 3.12
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as found:
            for one in found:
                if is_hidden(one.name):
                    continue
                if one.is_dir(follow_symlinks=False):
                    waiting.append(one.path)
                else:
                    yield one.path


def _shown(path: str) -> str:
    r"""A path that can be stored; a byte that is not UTF-8 becomes `\udcff`, and two paths never become one."""
    if path.isascii() and "\\" not in path:
        return path
    return AMBIGUOUS.sub(r"\g<0>\g<0>", path).encode(errors="backslashreplace").decode()
