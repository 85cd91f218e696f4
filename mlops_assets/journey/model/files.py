"""The files of a model as they lie there: which they are, how large each may be, and the hash over all of them.

Nothing of them is understood here but which further files a model has: that stands at the head of its `meaning.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.flavours.parts import MOST_PARTS, is_file, largest
from mlops_assets.storage.inside import NoFile, open_regular
from mlops_assets.storage.places import Place

ESTIMATOR_FILE, MEANING_FILE, SQL_FILE = "model.skops", "meaning.json", "features.sql"

SCORER_FILE = "scorer.safetensors"
"""The file with the scorer of a model that has one; see `scorer`. Those of earlier releases have none."""

LARGEST_SCORER = 2 << 30
"""Bytes that it may have."""

LARGEST = {ESTIMATOR_FILE: 2 << 30, MEANING_FILE: 64 << 20, SQL_FILE: 1 << 20}
"""The files of every model and the bytes that each may have; every worker holds them in memory."""

PARTS = re.compile(rb'\{"parts": (\{[^{}]{1,10000}\}), ')
"""How `meaning.json` begins where a model has further files: which of them belong to it is known before it is read."""


def hash_folder(folder: Place) -> str:
    """SHA-256 over the files of a model, by name and content.

    Raises
    ------
    ModelRefused
        If one is missing, too large or a link.
    """
    return hash_files(_read_files(folder))


def read_files(folder: Place, sha256: str) -> dict[str, bytes]:
    """The files of a model, by name.

    Raises
    ------
    ModelRefused
        If it is another one, or as of `hash_folder`.
    """
    files = _read_files(folder)
    if hash_files(files) != sha256:
        raise ModelRefused(f"{folder}: the model is not the one that was registered (another SHA-256).")
    return files


def hash_files(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the files of a model, in the order in which `read_files` returns them."""
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _read_files(folder: Place) -> dict[str, bytes]:
    """The content of the files of a model, in the order in which they are hashed."""
    if isinstance(folder, Path) and folder.is_symlink():  # what it leads to can change without it being touched
        raise ModelRefused(f"{folder}: it is a link; a model is stored as plain files. Store it again.")
    files = {name: read_plain(folder / name, most) for name, most in LARGEST.items()}
    for name, flavour in parts_of(files[MEANING_FILE]).items():
        files[name] = read_plain(folder / name, largest(flavour))
    # the hash tells whether it was put there, or taken away
    if (folder / SCORER_FILE).exists():
        files[SCORER_FILE] = read_plain(folder / SCORER_FILE, LARGEST_SCORER)
    return files


def part_files(meaning: bytes) -> dict[str, int]:
    """The further files of a model and the bytes that each may have, by the content of its `meaning.json`."""
    return {name: largest(flavour) for name, flavour in parts_of(meaning).items()}


def parts_of(meaning: bytes) -> dict[str, str]:
    """The further files of a model and the flavour of each; none where what says so is not as it is written here."""
    found = PARTS.match(meaning)
    try:
        parts = json.loads(found[1]) if found else {}
    except ValueError:
        return {}
    fits = len(parts) <= MOST_PARTS and all(
        is_file(name) and isinstance(flavour, str) for name, flavour in parts.items()
    )
    return dict(sorted(parts.items())) if fits else {}


def read_plain(path: Place, most: int) -> bytes:
    """A file that somebody else may have put there, of at most so many bytes.

    Raises
    ------
    ModelRefused
        If there is none, it is larger, or a link, a pipe or a device.
    """
    try:
        if not isinstance(path, Path):
            _see_size(path, path.stat().st_size, most)
            return path.read_bytes()
        if path.is_symlink():
            raise ModelRefused(f"{path}: it is a link; a model is stored as plain files. Store it again.")
        with open_regular(path, flags=os.O_NOFOLLOW) as file:  # its name may be that of a link by now
            size = os.fstat(file.fileno()).st_size
            _see_size(path, size, most)
            return file.read(size)
    except NoFile:
        raise ModelRefused(f"{path}: it is no plain file.") from None
    except OSError as error:
        raise ModelRefused(f"{path}: cannot be read: {error.strerror or 'there is no such file'}.") from None


def _see_size(path: Place, size: int, most: int) -> None:
    if size > most:
        raise ModelRefused(f"{path}: it has {size:,} bytes, allowed are {most:,}.")
