"""What a driver and a process elsewhere settle before its first shard: own modules, code, and what it can read.

The driver makes a `Contact` of what a task needs and sends it with the work. What differs is told in one sentence that
names the machine, and no shard is made by it.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from mlops_assets.errors import MlopsError, S3Error, UsageError
from mlops_assets.settings import cache_folder
from mlops_assets.storage.places import Place, S3Path, write_whole
from mlops_assets.storage.s3 import ENDPOINTS, endpoint
from mlops_assets.work.code import PACKAGE, Code, code_of, differences, forget
from mlops_assets.work.shards import Needs
from mlops_assets.work.syntax import find, is_installed, top_name

VARIABLES = (
    *(*ENDPOINTS, "AWS_REGION", "AWS_DEFAULT_REGION", "MLOPS_S3_PATIENCE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
)
"""The environment variables that say where S3 is and who asks; a worker that cannot read is told which it lacks."""

LARGEST_MODULES = 16 << 20
"""Bytes of modules of one's own that are sent; more belongs into an installed package."""

NAMED = 5
"""How many differences are named."""

PAGE = "docs/platforms.md"


class NotReady(MlopsError):
    """A machine cannot do shards as they should be done; it has done none."""


@dataclass(frozen=True)
class Contact:
    """What a process elsewhere is asked before its first shard.

    Attributes
    ----------
    roots
        The modules whose code makes the result.
    code
        What that code is for the driver.
    places
        What must be readable.
    variables
        Names of the variables of S3 that the driver has.
    modules
        A ZIP file of the modules of one's own, empty if there are none.
    sha256
        Its hash.
    """

    roots: tuple[str, ...]
    code: Code
    places: tuple[Place, ...]
    variables: tuple[str, ...]
    modules: bytes
    sha256: str

    @classmethod
    def of(cls, needs: Needs) -> Self:
        """What the driver asks for shards with such needs."""
        code = code_of(*needs.roots)
        variables = tuple(name for name in VARIABLES if os.environ.get(name))
        modules = _pack(code)
        return cls(needs.roots, code, needs.places, variables, modules, hashlib.sha256(modules).hexdigest())

    @cached_property
    def key(self) -> str:
        """By which a process knows that it has settled this."""
        return repr((self.roots, self.code.fingerprint, self.places, self.sha256))

    def settle(self) -> None:
        """Settle it, once a process.

        Raises
        ------
        NotReady
            If the process has other code, or cannot read what it must.
        """
        if self.key in _settled:
            return
        if self.modules:
            self._take_modules()
        self._compare()
        for place in self.places:
            self._see(place)
        _settled.add(self.key)

    def _take_modules(self) -> None:
        """Keep the modules under their hash on this machine, where they are imported from before any others."""
        try:
            path = cache_folder("modules") / f"{self.sha256}.zip"
            # what another process left there is compared, and the same bytes are put there whole
            if not path.exists() or path.read_bytes() != self.modules:
                write_whole(path, self.modules)
        except (OSError, UsageError) as error:
            raise NotReady(f"{_host()} cannot keep the modules of the use case: {error}") from None
        if hashlib.sha256(self.modules).hexdigest() != self.sha256:
            raise NotReady(f"{_host()} was sent modules that are not those of the driver (another SHA-256). Run again.")
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
            importlib.invalidate_caches()
            forget()

    def _compare(self) -> None:
        own = code_of(*self.roots)
        if own.fingerprint != self.code.fingerprint:
            found = differences(own, self.code)
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            raise NotReady(
                f"{_host()} has other code ({own.fingerprint}) than the driver ({self.code.fingerprint}), so it was "
                f"given no shards; they differ in {', '.join(found[:NAMED])}{more}. Install the same release of "
                "mlops-assets, with the same libraries, on every machine."
            )

    def _see(self, place: Place) -> None:
        if not isinstance(place, S3Path):
            if place.is_dir():
                return
            raise NotReady(
                f"{_host()} has no folder {place}: let MLOPS_RAW and MLOPS_LAKE name places on S3, or a disk that all "
                "machines have under the same path."
            )
        absent = [name for name in self.variables if not os.environ.get(name)]
        if not (why := self._trouble(place)):
            return
        lacking = (
            f"; the driver has {', '.join(absent)}, which it lacks: set them for Spark's workers" if absent else ""
        )
        raise NotReady(f"{_host()} cannot read {place}: {why}{lacking} ({PAGE} has all that a worker needs).")

    def _trouble(self, place: S3Path) -> str:
        """Why a place on S3 cannot be read; empty if it can."""
        if {*ENDPOINTS} & {*self.variables} and endpoint() is None:
            return "it is not told of the server"  # Amazon's, which it would ask, has nothing of ours
        try:
            return "" if place.exists() else "there is nothing"
        except S3Error as error:
            return str(error).removeprefix(f"{place}: ").rstrip(".")


_settled: set[str] = set()


def _host() -> str:
    return f"The worker on {socket.gethostname()}"


def _pack(code: Code) -> bytes:
    """A ZIP file of the packages of one's own that code reaches, whole and always the same bytes; empty without any.

    Raises
    ------
    UsageError
        If there is too much of it.
    """
    tops = sorted({top_name(name) for name in code.modules} - {PACKAGE})
    sources = [one for top in tops if not is_installed(top) for one in _sources(top)]
    if not sources:
        return b""
    if sum(path.stat().st_size for _, path in sources) > LARGEST_MODULES:
        raise UsageError(
            f"{', '.join(tops)}: these modules have more than {LARGEST_MODULES >> 20} MB, which is too much to send to "
            "workers: install them there as a package."
        )
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        # a folder without `__init__.py` is a package too, if it has an entry
        for folder in sorted({f"{parent}/" for name, _ in sources for parent in Path(name).parents if parent.name}):
            archive.writestr(ZipInfo(folder), b"")
        for name, path in sources:
            archive.writestr(ZipInfo(name), path.read_bytes(), ZIP_DEFLATED)
    return packed.getvalue()


def _sources(top: str) -> Iterator[tuple[str, Path]]:
    """The files of Python of a module, or of a package and all below it, by their path in an archive."""
    spec = find(top)
    folders: Sequence[str] = (spec and spec.submodule_search_locations) or ()
    if spec is not None and not folders and spec.origin and Path(spec.origin).suffix == ".py":
        yield f"{top}.py", Path(spec.origin)
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            yield f"{top}/{path.relative_to(folder).as_posix()}", path
