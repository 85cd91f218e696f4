"""Places as libraries take them that make a URL of a path, and a path of it again.

A path with `%20` or `?` is another one as a URL. Delta's library takes a proper URL, and undoes one `%20` too many when
it reads its log; Dagster puts a path into a URL as it is; MLflow makes a folder of the URL as it is. For them a link
lies beside such a folder, under the name that they look for.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from mlops_assets.errors import UsageError
from mlops_assets.storage.places import Place, quoted


def check_spelling(variable: str, folder: Place) -> None:
    """See that Delta's library can be told of a folder of state.

    Raises
    ------
    UsageError
        If it cannot.
    """
    here = isinstance(folder, Path)
    for name in folder.parts[1:] if isinstance(folder, Path) else folder.key.split("/"):
        with suppress(UnicodeError):
            read = unquote(name, errors="strict")
            signs = {unicodedata.category(sign) for sign in name + read}
            # S3 has no links, by which what is read otherwise would be found
            reads_well = read not in (".", "..") and not set(read) & set("/\\") if here else read == name
            if reads_well and not signs & {"Cc", "Cs"}:
                continue
        raise UsageError(
            f"{variable}={str(folder)!r}: tables cannot lie under {name!r}, for Delta's library does not take that as "
            "the name of a folder. Name another one; raw files may lie anywhere."
        )


def delta_address(folder: Place) -> str:
    """What Delta's library is told of the folder of a table, which it will find there; errors as `_link_each`."""
    if isinstance(folder, Path):
        _link_each(folder, unquote)
    return folder.as_uri()


def sqlite_address(folder: Path) -> Path:
    """What Dagster is told of the folder of its SQLite files; MLflow, too, looks there. Errors as `_link_each`."""
    if quoted(str(folder)) == str(folder):
        return folder
    # resolved, for it may be what we told a process that told us again
    return _link_each(Path(os.path.realpath(folder)), quoted)


def _link_each(folder: Path, spell: Callable[[str], str]) -> Path:
    """The path by other names, each of which is a link beside the folder that it stands for.

    Raises
    ------
    UsageError
        If something else lies there, or no link can be made.
    """
    path = Path(folder.anchor)
    for name in folder.parts[1:]:
        other = path / spell(name)
        if other.name != name:
            try:
                other.symlink_to(name)
            except FileExistsError:  # made before, or by another process just now, or something else
                pass
            except OSError as error:
                if not other.is_symlink():  # such as of a file system that can only be read
                    raise _unreachable(folder, other, error.strerror) from None
            if os.path.realpath(other) != os.path.realpath(path / name):
                raise _unreachable(folder, other, "something else lies there")
        path = other
    return path


def _unreachable(folder: Path, link: Path, reason: str | None) -> UsageError:
    return UsageError(
        f"{folder}: a link must lie at {link}, because libraries look there for what this path names: {reason}. "
        "Name another folder, without % ? #."
    )
