"""Delta's log of a table as it lies there: what each commit tells, and which file of it is not as it was written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.errors import LakeError
from mlops_assets.errors.redaction import redacted
from mlops_assets.storage.integrity import Damaged
from mlops_assets.storage.places import Place, side_by_side

SEAL = "seal"
"""Key in a commit under which a hash of all that it says stands; commits of earlier versions have none."""

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\..*)?\.parquet")
_HINT = "_last_checkpoint"


@dataclass(frozen=True)
class Commit:
    """What a commit says.

    Attributes
    ----------
    version
        Its version.
    info
        What is told beside the data.
    added
        Size of each file that it adds, by path.
    removed
        Paths of the files that it removes.
    """

    version: int
    info: Mapping[str, Any]
    added: Mapping[str, int]
    removed: Sequence[str]


def seal_of(info: Mapping[str, Any], added: Mapping[str, int], removed: Sequence[str]) -> str:
    """Hash of what a commit of ours says.

    Parameters
    ----------
    info
        What is told beside the data: `day`, `accounting`, `run`, `parts`.
    added, removed
        As in `Commit`.
    """
    told = [info.get(key) for key in ("day", "accounting", "run", "parts")]
    return hashlib.sha256(json.dumps([*told, sorted(added.items()), sorted(removed)]).encode()).hexdigest()


def commits(folder: Place, first: int, last: int) -> list[Commit]:
    """The commits of a table from one version to another, in order; those that were cleaned away are left out.

    Raises
    ------
    Damaged
        If one is not as it was written, or missing.
    """
    log = folder / "_delta_log"

    def read(version: int) -> Commit | None:
        try:
            return _read(log / _name(version), version)
        except FileNotFoundError:
            return None

    found = list(side_by_side(folder, read, range(first, last + 1)))
    if None in found:
        check(folder)  # commits may be cleaned away from the first one on, none in the middle
    return [commit for commit in found if commit is not None]


@contextmanager
def telling(folder: Place) -> Iterator[None]:
    """What Delta's library finds wrong with a log becomes an error for people, which names the file.

    Raises
    ------
    LakeError
        If it cannot be read.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise
    except DeltaError as error:
        raise _cause(folder, error) from None
    except BaseException as error:
        # what the library calls a panic is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise _cause(folder, error) from None


def _cause(folder: Place, error: BaseException) -> LakeError:
    """The damaged file that made the library fail; where there is none to be found, what it says itself."""
    log = folder / "_delta_log"
    try:
        check(folder)
    except Damaged as cause:
        return cause
    said = redacted(str(error)).split("\n")[0][:300]
    return LakeError(f"{log}: this log cannot be read ({said}); bring it back from a backup.")


def check(folder: Place) -> None:
    """See that every file of a table's log can be read, and that none is missing.

    Raises
    ------
    Damaged
        If it cannot, or one is.
    """
    log = folder / "_delta_log"
    names = sorted(path.name for path in log.iterdir())
    versions = [int(match[1]) for name in names if (match := _COMMIT.fullmatch(name))]
    checkpoints = {name: int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))}
    for name in checkpoints:
        _check_checkpoint(log / name)
    _check_hint(log, set(checkpoints.values()))
    # from the first that is there on, if a checkpoint holds what was before
    first = versions[0] if versions and max(checkpoints.values(), default=-1) >= versions[0] else 0
    missing = sorted({*range(first, max([*versions, *checkpoints.values()], default=0))}.difference(versions))
    for version in versions:
        if missing and missing[0] < version:
            break
        _read(log / _name(version), version)
    if missing:
        raise damaged(log / _name(missing[0]), "is missing")


def _check_checkpoint(path: Place) -> None:
    try:
        pq.read_table(pa.BufferReader(path.read_bytes()))
    except (pa.ArrowException, OSError, ValueError):
        raise Damaged(
            path, "is a damaged checkpoint", f"delete it and {_HINT} beside it, the commits there say the same"
        ) from None


def _check_hint(log: Place, checkpoints: set[int]) -> None:
    """See that the hint at the last checkpoint is one, and that there is such a checkpoint."""
    path = log / _HINT
    try:
        hint = json.loads(path.read_bytes())
        intact = isinstance(hint, dict) and hint.get("version") in checkpoints
    except FileNotFoundError:
        return
    except ValueError:
        intact = False
    if not intact:
        raise Damaged(path, "names no checkpoint that is there", "delete it, the commits there say the same")


def _read(path: Place, version: int) -> Commit:
    """One commit, if it is as it was written."""
    lines = path.read_bytes().splitlines()
    if not any(lines):
        raise damaged(path, "is empty")
    info: dict[str, Any] = {}
    added: dict[str, int] = {}
    removed: list[str] = []
    try:
        for line in lines:
            ((kind, action),) = json.loads(line).items()
            if kind == "commitInfo":
                info = action
            elif kind == "add":
                added[_path(action)] = action["size"]
            elif kind == "remove":
                removed.append(_path(action))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(path, "is cut off or garbled") from None
    if SEAL in info and info[SEAL] != seal_of(info, added, removed):
        raise damaged(path, "is not as it was written")
    return Commit(version, info, added, removed)


def _path(action: Mapping[str, Any]) -> str:
    path: str = action["path"]
    return path.replace("%3D", "=")  # Delta's log may spell paths as a URL does


def damaged(path: Place, problem: str) -> Damaged:
    """The error about a damaged commit: the days from there on are published again from their finished files."""
    remedy = (
        "bring it back from a backup, or move it and all files that come after it in that folder away, and publish "
        f"those days anew: `mlops-assets run {str(path).split('/')[-4]}`"
    )
    return Damaged(path, f"{problem}: a commit of Delta's log", remedy)


def _name(version: int) -> str:
    return f"{version:020d}.json"
