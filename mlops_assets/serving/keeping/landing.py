"""In: the requests of a journal. Out: raw files of their days, `day=D/api/REQUEST/FILE`, and what was answered.

Whatever is done here may be cut short at any moment and is then done again: a file that lies there is left alone.
"""

from __future__ import annotations

import datetime as dt
import errno
import logging
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.read.rhythm import check_rhythm
from mlops_assets.journey.read.sources import FolderSource, S3Source, SqlSource
from mlops_assets.journey.read.sources.entries import REQUESTS as FOLDER
from mlops_assets.journey.read.sources.entries import day_of, is_hidden
from mlops_assets.journey.score.online import Sent
from mlops_assets.serving.keeping.journal import DAMAGED, Kept, Segment
from mlops_assets.storage import places
from mlops_assets.storage.catalog import REQUESTS, Lake
from mlops_assets.storage.files import write_json, write_table
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.use_case import FileFormat, UseCase
from mlops_assets.use_case.partitions import folder_of, key_of
from mlops_assets.work.shards import fingerprint
from mlops_assets.workspace import Stores

log = logging.getLogger("mlops_assets.serving")

OTHERS = r"[^ \w.()+,=@~-]"
"""Characters that a name is made without."""
LONGEST = 120
"""Most letters of a name that is made of what a client sent."""

Find = Callable[[str], Stores]
Columns = dict[str, list[Any]]
Paths = list[tuple[str, Sent]]


def raw_root(stores: Stores) -> Place:
    """Where the raw files of a use case lie.

    Raises
    ------
    UsageError
        If a class of the user's lists them, so that nothing can be put there.
    """
    source = stores.source
    if isinstance(source, SqlSource):
        source = source.landed
    if not isinstance(source, (FolderSource, S3Source)):
        raise UsageError(
            f"{stores.use_case.name}: serving.store needs raw files in a folder or on S3, and `source.use` is a class "
            "of your own: set `store: false`, or have the files lie there."
        )
    return source.root


def land(path: Path, raw: Place, find: Find) -> None:
    """Make raw files of the requests of a segment, keep what was answered, and remove it.

    Parameters
    ----------
    path
        The segment, which nobody writes any more.
    raw
        Where raw files lie.
    find
        Gives what there is of a use case.

    Raises
    ------
    MlopsError, OSError
        If that is not possible now; the segment stays.
    """
    segment = Segment(path)
    # columns, for the lines of a segment are many
    answered: dict[tuple[str, str], Columns] = defaultdict(lambda: {name: [] for name in REQUESTS.names})

    def lay(kept: Kept) -> tuple[Kept, list[str]]:
        stores = find(kept.told["use_case"])
        check_rhythm(stores.use_case, stores.lake)
        return kept, _lay(raw_root(stores) / folder_of(kept.told["day"]), kept, stores.use_case.files)

    for kept, paths in places.side_by_side(raw, lay, segment.requests()):
        _add(answered[kept.told["use_case"], kept.told["day"]], kept.told, paths)
    mark = f"{path.parent.name}-{path.stem}"
    for (name, day), columns in answered.items():
        write_table(find(name).lake.answered(day, mark), pa.table(columns, REQUESTS))
    os.sync()  # once for all these files: the journal is what is safe until then
    if segment.damaged:
        path.rename(path.with_name(path.name + DAMAGED))
        log.error("%s: some of its records are damaged; it is kept as %s%s.", path.name, path.name, DAMAGED)
        return
    path.unlink()


def _lay(day: Place, kept: Kept, files: FileFormat) -> list[str]:
    """Lay the files of a request below the folder of its day; their paths within it."""
    planned = plan(kept.files, [bool(one["refused"]) for one in kept.told["answers"]], files)
    laid = {path: data for path, file in planned for path, data in _with_attached(path, file)}
    request = _plain(kept.told["request"], r"[^0-9A-Za-z-]") or "request"
    for is_taken in (False, True):  # the hash only where it is needed
        folder = f"{FOLDER}/{request}-{_mark(laid)}" if is_taken else f"{FOLDER}/{request}"
        place = day / folder
        there = set(places.below(place))
        # another request of this id lies there: clients may name their requests as they like
        if not all(path in laid and (place / path).read_bytes() == laid[path] for path in there):
            continue
        # records come last: whoever lists the day finds what they refer to
        for path in sorted(laid.keys() - there, key=lambda path: path.endswith(files.suffix)):
            _put(place / path, laid[path])
        return [f"{folder}/{path}" for path, _ in planned]
    raise FileExistsError(errno.EEXIST, f"other files lie in {FOLDER}/{request} of {kept.told['day']}")


def _mark(laid: Mapping[str, bytes]) -> str:
    return fingerprint(*(part for path in sorted(laid) for part in (path, laid[path])))


def _put(place: Place, data: bytes) -> None:
    # on S3 only if there is none: a request that is sent again must not become another version of the object
    if isinstance(place, S3Path):
        places.create(place, data)
    else:
        places.write_whole(place, data)


def plan(sent: Sequence[Sent], refused: Sequence[bool], files: FileFormat) -> Paths:
    """Where the files of a request lie within its folder; one whose name is taken gets a folder of its own.

    No folder that was sent begins with a hyphen, so that `as_sent` can tell such a folder from one that tells a label.
    """
    taken: dict[str, bytes] = {}
    planned: Paths = []
    for number, (file, is_refused) in enumerate(zip(sent, refused, strict=True), 1):
        folder, name = _plain_path(file.name)
        # a file that was read must be one for the day, too; of one that was refused nothing better is made
        if not is_refused and not name.endswith(files.suffix):
            name += files.suffix
        elif is_refused and name.endswith(files.suffix) and not file.name.endswith(files.suffix):
            name += "-"
        path = posixpath.join(folder, name)
        while path in taken or any(taken.get(at, data) != data for at, data in _with_attached(path, file)):
            path = f"-{number}/{path}"
        taken |= dict(_with_attached(path, file))
        planned.append((path, file))
    return planned


def _with_attached(path: str, file: Sent) -> Iterator[tuple[str, bytes]]:
    yield path, file.data
    # they are named from where the name of the file begins
    root = posixpath.dirname(path).removesuffix(posixpath.dirname(file.name))
    for name, data in file.attached.items():
        yield posixpath.join(root, name), data


def _plain_path(sent: str) -> tuple[str, str]:
    """Folder and name of a file: the folder as it was sent, for it may tell a label; none if it must not be used."""
    folder, _, name = sent.rpartition("/")
    parts = folder.split("/") if folder else []
    is_plain = all(part and _plain(part, OTHERS) == part for part in parts)
    return folder if is_plain else "", _plain(name.rpartition("\\")[2], OTHERS) or "file"


def _plain(text: str, others: str) -> str:
    """A name that no file system and no listing takes for anything else; its ending is kept."""
    plain = re.sub(others, "-", text).lstrip("._- ").rstrip(" ")
    stem, ending = posixpath.splitext(plain)
    return stem[: LONGEST - len(ending[:20])] + ending[:20]


def unsafe(file: Sent, files: FileFormat) -> str | None:
    """The path of an attachment that cannot lie beside its record, if there is one."""
    for path in file.attached:
        parts = path.split("/")
        good = (
            posixpath.normpath(path) == path
            and path.isprintable()
            and "\\" not in path
            and len(path) <= LONGEST
            and path.endswith(files.attachments)
            and not any(is_hidden(part) for part in parts)
            and not any(part.endswith(files.suffix) for part in parts)
            and parts[0] != ""
        )
        if not good:
            return path
    return None


def _add(columns: Columns, told: Mapping[str, Any], paths: Sequence[str]) -> None:
    """Add what was answered to a request, a line each."""
    for path, file in zip(paths, told["answers"], strict=True):
        refused, predicted = file["refused_lines"], len(file["line"])
        lines = {
            "line": [*file["line"], *(line for line, _, _ in refused)],
            "prediction": [*file["prediction"], *[None] * len(refused)],
            "probability": [*file["probability"], *[None] * len(refused)],
            "rule": [*[None] * predicted, *(rule for _, rule, _ in refused)],
            "message": [*[None] * predicted, *(message for _, _, message in refused)],
        }
        common = {**told, "file": path, "name": file["name"]}
        for name, values in columns.items():
            values.extend(lines.get(name) or [common.get(name)] * (predicted + len(refused)))


def forget(use_case: UseCase, root: Place, lake: Lake, now: dt.datetime) -> list[str]:
    """Remove what was kept longer than `keep_days`: what was answered, and the raw files; the days that it was of.

    Days are counted by the clock of the use case, and a week stays as long as a day of it does. A day that the sensor
    for new files watches stays: it would take the removal for news.
    """
    watched = use_case.sensor.window_days if use_case.sensor else 0
    first = use_case.partitions.days_ago(now, max(use_case.serving.keep_days, watched))[:10]
    old = set()
    for place, day in _before(root, first):
        for hour in place.iterdir() if use_case.partitions.every == "hour" else ():
            if (key := key_of(f"{place.name}/{hour.name}")) is not None:
                old |= _remove(hour / FOLDER, key)
        old |= _remove(place / FOLDER, day)
    for place, day in _before(lake.answered_days, first):
        old |= _remove(place, day)
    if old:  # `status` tells it: a run of such a day makes it without them
        write_json(lake.forgotten, {"before": first})
    return sorted(old)


def _before(folder: Place, first: str) -> list[tuple[Place, str]]:
    """The folders of days before a calendar day, each with its day."""
    every = [(place, day_of(place.name)) for place in (folder.iterdir() if folder.exists() else ())]
    return [(place, day) for place, day in every if day is not None and day < first]


def _remove(place: Place, day: str) -> set[str]:
    if not place.exists():
        return set()
    places.remove_tree(place)
    if isinstance(place, Path) and place.name == FOLDER:
        with suppress(OSError):  # other files lie beside it
            place.parent.rmdir()
    return {day}


def reasons(error: Exception) -> str:
    """Why requests cannot be landed, for people."""
    if isinstance(error, MlopsError):
        return f"kept requests wait to be landed: {error}"
    return f"kept requests wait to be landed: {getattr(error, 'strerror', None) or type(error).__name__}"
