"""What a look at everything that is stored of a use case found, as text and as plain values."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.archive import hash_folder
from mlops_assets.storage.verification import Finding, Verified, verify
from mlops_assets.work.progress import Verifying
from mlops_assets.workspace import Stores

MEGABYTE = 1e6


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
    looked = list(_models(stores))
    damaged = [finding for _, finding in looked if finding is not None]
    return replace(
        found,
        files=found.files + len(looked),
        bytes=found.bytes + sum(size for size, _ in looked),
        seconds=found.seconds + time.monotonic() - began,
        findings=[*found.findings, *damaged],
    )


def _models(stores: Stores) -> Iterator[tuple[int, Finding | None]]:
    """Each file, or model of three files, of every registered version: its bytes, and what is wrong with it."""
    name = stores.use_case.name
    for number in stores.registry.numbers(name):
        what = f"version {number} of {name}"
        try:
            version = stores.registry.version(name, number)
            about = (version.folder / "about.json").read_bytes()
            hashes = {
                "serving": (hash_folder(version.folder / "serving"), version.serving_sha256),
                "judged": (hash_folder(version.folder / "judged"), version.judged_sha256),
                "about.json": (hashlib.sha256(about).hexdigest(), version.about_sha256),
            }
        except (MlopsError, OSError) as error:
            yield 0, Finding(what, "models", "", f"cannot be read: {error}", "bring it back from a backup")
            continue
        for part, (now, then) in hashes.items():
            files = [path for path in (version.folder / part, *(version.folder / part).glob("*")) if path.is_file()]
            problem = "is not as it was registered"
            finding = Finding(
                f"{version.folder / part}", "models", "", f"of {what} {problem}", "bring it back, or train again"
            )
            yield sum(path.stat().st_size for path in files), None if now == then else finding


def plain(found: Verified) -> dict[str, Any]:
    """What was found, for JSON."""
    return {**asdict(found), "seconds": round(found.seconds, 3), "intact": not found.findings}


def render(found: Verified) -> str:
    """What was found as text for a terminal: the damaged files, each with what to do, then the numbers."""
    lines = [
        f"{finding.table}{f' of {finding.day}' if finding.day else ''}: {finding.file} {finding.problem}.\n"
        f"  {finding.remedy[:1].upper()}{finding.remedy[1:]}."
        for finding in found.findings
    ]
    rate = found.bytes / MEGABYTE / max(found.seconds, 1e-3)
    numbers = f"{found.files:,} files, {found.bytes / MEGABYTE:,.1f} MB in {found.seconds:.1f} s ({rate:,.0f} MB/s)"
    if found.unknown:
        numbers += f"; of {found.unknown:,} it is not known how they were written, for they have no hash"
    verdict = f"{len(found.findings):,} not as they were written" if found.findings else "all that is known is intact"
    return "\n".join([*lines, f"{numbers}: {verdict}."])
