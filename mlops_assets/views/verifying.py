"""What a look at everything that is stored of a use case found, as text and as plain values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.files import hash_folder
from mlops_assets.journey.model.version import ABOUT_FILE, REFERENCE_FILE, Version
from mlops_assets.journey.train.candidates import Fitted
from mlops_assets.journey.train.records import FittedCandidates, MadeVersion
from mlops_assets.storage.integrity import BACKUP, remedy_of, sha256
from mlops_assets.storage.places import Place, S3Path, parse_place, sizes
from mlops_assets.storage.verification import Finding, Verified, verify
from mlops_assets.work.printable import printable
from mlops_assets.work.progress import Verifying
from mlops_assets.workspace import Stores

MEGABYTE = 1e6

Looked = tuple[int, Finding | None]
"""The bytes of what was looked at, and what is wrong with it."""


def verify_use_case(stores: Stores, first: str, last: str) -> Verified:
    """Look at the lake of a use case and, if no days are named, at its registered models.

    Parameters
    ----------
    stores
        The use case.
    first, last
        The days to look at, `YYYY-MM-DD`; empty for no limit.
    """
    everything = not first and not last
    found = verify(stores.lake, first, last or "9999", Verifying(f"{stores.use_case.name} verify"))
    if not everything:
        return found
    began = time.monotonic()
    looked = [*_versions(stores), *_trainings(stores)]
    return replace(
        found,
        files=found.files + len(looked),
        bytes=found.bytes + sum(size for size, _ in looked),
        seconds=found.seconds + time.monotonic() - began,
        findings=[*found.findings, *(finding for _, finding in looked if finding is not None)],
    )


def _versions(stores: Stores) -> Iterator[Looked]:
    """The models of every registered version, and what it tells of itself."""
    name = stores.use_case.name
    what = f"the registry of {name}"
    try:
        for number in stores.registry.numbers(name):
            what = f"version {number} of {name}"
            version = stores.registry.version(name, number)
            yield from _parts_of(version, version.folder, f"of {what} is not as it was registered")
        for change in stores.history.changes():
            what = f"version {change.version} of {name}"
            if change.sha256 not in ("", stores.registry.version(name, change.version).serving_sha256):
                yield 0, Finding(what, "models", "", f"is not the model that became champion on {change.when}", BACKUP)
    except (MlopsError, OSError) as error:
        yield 0, Finding(what, "models", "", f"cannot be read: {error}", BACKUP)


def _trainings(stores: Stores) -> Iterator[Looked]:
    """The models of every training run: its candidates, and the version that was made of one."""
    runs: list[Place] = [*stores.lake.training.glob("*")]
    for run in sorted(runs, key=str):
        try:
            for fitted in _candidates(stores, run.name):
                yield _look_at(parse_place(fitted.folder), fitted.sha256, "is not as it was fitted", hash_folder)
            # in a lake on S3 a run leaves none: it is made on the disk of the machine, and the registry has it
            version = None if isinstance(run, S3Path) else _made(stores, run.name)
            if version is not None:
                yield from _parts_of(version, run / "version", "is not as it was registered")
        except (MlopsError, OSError) as error:
            yield 0, Finding(str(run), "training", "", f"cannot be read: {error}", remedy_of(run / "-"))


def _candidates(stores: Stores, run: str) -> tuple[Fitted, ...]:
    """The candidates of a run, if it came so far."""
    record = stores.lake.training_record(run, FittedCandidates.step)
    return stores.runs.read(run, FittedCandidates).candidates if record.exists() else ()


def _made(stores: Stores, run: str) -> Version | None:
    """The version that a run registered, if it did."""
    record = stores.lake.training_record(run, MadeVersion.step)
    number = stores.runs.read(run, MadeVersion).version if record.exists() else None
    return None if number is None else stores.registry.version(stores.use_case.name, number)


def _parts_of(version: Version, folder: Place, problem: str) -> Iterator[Looked]:
    """The two models of a version as they lie in a folder, and what it tells of itself."""
    yield _look_at(folder / "serving", version.serving_sha256, problem, hash_folder)
    yield _look_at(folder / "judged", version.judged_sha256, problem, hash_folder)
    yield _look_at(folder / ABOUT_FILE, version.about_sha256, problem, _hash_file)
    if reference := version.about.reference:
        yield _look_at(folder / REFERENCE_FILE, reference, problem, _hash_file)


def _hash_file(place: Place) -> str:
    return sha256(place.read_bytes())


def _look_at(place: Place, then: str, problem: str, hashed: Callable[[Place], str]) -> Looked:
    try:
        problem = "" if hashed(place) == then else problem
        size = sum(sizes(place).values()) or place.stat().st_size
    except (MlopsError, OSError) as error:
        problem, size = f"cannot be read: {error}", 0
    return size, Finding(str(place), "models", "", problem, "bring it back, or train again") if problem else None


def plain(found: Verified) -> dict[str, Any]:
    """What was found, for JSON."""
    return {**asdict(found), "seconds": round(found.seconds, 3), "intact": not found.findings}


def render(found: Verified) -> str:
    """What was found as text for a terminal: the damaged files, each with what to do, then the numbers."""
    lines = [
        f"{finding.table}{f' of {finding.day}' if finding.day else ''}: {printable(finding.file)} {finding.problem}.\n"
        f"  {finding.remedy[:1].upper()}{finding.remedy[1:]}."
        for finding in found.findings
    ]
    rate = found.bytes / MEGABYTE / max(found.seconds, 1e-3)
    numbers = f"{found.files:,} files, {found.bytes / MEGABYTE:,.1f} MB in {found.seconds:.1f} s ({rate:,.0f} MB/s)"
    if found.unknown:
        numbers += f"; of {found.unknown:,} it is not known how they were written, for they have no hash"
    verdict = f"{len(found.findings):,} not as they were written" if found.findings else "all that is known is intact"
    return "\n".join([*lines, f"{numbers}: {verdict}."])
