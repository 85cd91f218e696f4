"""In: a version on the disk of this machine. Out: the same in the lake, for workers elsewhere, and their copy of it.

Both lie under their hash, so a copy is the right one or none; whoever loads a model checks it again.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlops_assets.errors import ModelRefused, UsageError
from mlops_assets.journey.model.files import hash_folder, read_files, read_plain
from mlops_assets.journey.model.version import ABOUT_FILE, LARGEST_CARD, REFERENCE_FILE, Version
from mlops_assets.settings import cache_folder
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import Place, write_whole
from mlops_assets.work.shards import Engine

log = logging.getLogger("mlops_assets.daily")


def for_workers(version: Version, lake: Lake, engine: Engine) -> Version:
    """A version as the workers of an engine find it: where it lies or, if their disks are others, in the lake.

    Parameters
    ----------
    version
        A version on this machine.
    lake
        The lake of its use case.
    engine
        What will score.

    Raises
    ------
    ModelRefused
        If it is not the one that was registered.
    """
    if not engine.elsewhere:
        return version
    folder = lake.model(hashlib.sha256(" ".join(astuple(version.hashes)).encode()).hexdigest())
    carried = replace(version, folder=folder)
    if not _is_whole(carried):
        _put(version, folder)
    return carried


def _is_whole(version: Version) -> bool:
    """Whether what scoring needs of a version lies there as it was registered."""
    try:
        if version.about_sha256:  # what was never registered has no card
            version.reference_bytes()
        return hash_folder(version.folder / "serving") == version.serving_sha256
    except ModelRefused:  # nothing yet, or a part: it is written, again
        return False


def _put(version: Version, folder: Place) -> None:
    # each file whole, and nobody is told of the folder before all of them are there
    for name, content in read_files(version.folder / "serving", version.serving_sha256).items():
        write_whole(folder / "serving" / name, content)
    if version.about_sha256:
        if (reference := version.reference_bytes()) is not None:
            write_whole(folder / REFERENCE_FILE, reference)
        write_whole(folder / ABOUT_FILE, read_plain(version.folder / ABOUT_FILE, LARGEST_CARD))


def near(folder: Place, sha256: str) -> Place:
    """Where a process reads a model: where it lies or, if that is on S3, a copy that its machine keeps.

    Parameters
    ----------
    folder
        A model of a version.
    sha256
        Its hash.

    Raises
    ------
    ModelRefused
        If it is another one.
    """
    if isinstance(folder, Path):
        return folder
    try:
        copy = cache_folder("models") / sha256
        with suppress(ModelRefused):
            if hash_folder(copy) == sha256:
                return copy
        shutil.rmtree(copy, ignore_errors=True)
        _copy(folder, sha256, copy)
    except (OSError, UsageError) as error:  # the copy saves time, it is not needed
        why = error.strerror if isinstance(error, OSError) else error
        log.warning("The model %s is read from the lake, for no copy can be kept here: %s.", sha256[:12], why)
        return folder
    return copy


def _copy(folder: Place, sha256: str, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    # beside its place, so that a rename makes it whole at once
    with TemporaryDirectory(prefix=".", dir=copy.parent) as beside:
        fetched = Path(beside) / "model"
        fetched.mkdir()
        for name, content in read_files(folder, sha256).items():
            (fetched / name).write_bytes(content)
        try:
            fetched.rename(copy)
        except OSError:
            if not copy.is_dir():  # no other process was faster
                raise
