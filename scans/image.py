"""Whether an image may be used, by what a scanner found in it: `python -m scans.image REPORT.json`.

The report is Grype's, as JSON. What counts is a weakness of severity high or critical that a newer package mends: there
is something to do. What nobody has mended yet is told and fails nothing. `accepted.toml` names what is lived with.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scans.accepted import Exemption, Unusable, read_exemptions

COUNTS = ("high", "critical")
KNOWN = (*COUNTS, "medium", "low", "negligible", "unknown")
"""Severities: those that count, and all."""

LARGEST = 64 * 2**20
"""Bytes of a report; that of an image with thousands of weaknesses has a tenth."""


@dataclass(frozen=True)
class Finding:
    """A package of the image with a weakness.

    Attributes
    ----------
    id
        The number of the weakness.
    names
        That, and its numbers elsewhere.
    severity
        One of `KNOWN`.
    package, version
        What is in the image.
    mended_by
        The versions that mend it; empty if there are none.
    """

    id: str
    names: frozenset[str]
    severity: str
    package: str
    version: str
    mended_by: tuple[str, ...]

    def __str__(self) -> str:
        """What a person needs to mend it."""
        mended = f"mended by {', '.join(self.mended_by)}" if self.mended_by else "no version mends it"
        text = f"{self.severity}: {self.package} {self.version}: {self.id}: {mended}"
        # names of packages are whatever somebody put into an image; a line of a log is one line
        return "".join(letter if letter.isprintable() else "?" for letter in text)


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """What a report has found, each once.

    Parameters
    ----------
    report
        The report.

    Raises
    ------
    Unusable
        If it is none of Grype's: an image that was not looked at is not taken for a good one.
    """
    try:
        if report["descriptor"]["name"] != "grype" or report["source"]["type"] != "image":
            raise Unusable("the report is not one of Grype's on an image.")
        return [*dict.fromkeys(_finding(one) for one in report["matches"])]
    except (LookupError, TypeError, AttributeError):
        raise Unusable("the report has not the form of Grype's JSON; nothing is known of the image.") from None


def _finding(match: Mapping[str, Any]) -> Finding:
    weakness, package = match["vulnerability"], match["artifact"]
    severity = str(weakness.get("severity") or "unknown").lower()  # Grype leaves it out where it knows none
    if severity not in KNOWN:
        raise Unusable(f"the report has the severity {severity[:20]!r}, and nobody knows whether that counts.")
    related = (str(one["id"]) for one in match.get("relatedVulnerabilities") or ())
    fix = weakness.get("fix") or {}
    # a fix may be known without its number
    listed = fix.get("versions") or []
    if not isinstance(listed, list):
        raise TypeError
    versions = tuple(map(str, listed)) or (("a newer one",) if fix.get("state") == "fixed" else ())
    return Finding(
        str(weakness["id"]),
        frozenset({str(weakness["id"]), *related}),
        severity,
        str(package["name"]),
        str(package["version"]),
        versions,
    )


def judge(found: Iterable[Finding], exemptions: Iterable[Exemption], today: dt.date) -> list[str]:
    """What stands against an image.

    Parameters
    ----------
    found
        What the scanner found.
    exemptions
        What is lived with.
    today
        The day.

    Returns
    -------
    list of str
        A text for each weakness that can be mended and is not exempt, for each exemption whose time is over, and for
        each of no use.
    """
    found, told = list(found), []
    open_ones = [one for one in found if one.severity in COUNTS and one.mended_by]
    for exemption in exemptions:
        covered = [one for one in found if one.package == exemption.package and exemption.id in one.names]
        where = f"accepted.toml: {exemption.id} of {exemption.package}"
        if not covered:
            told.append(f"{where} is not in the image; take the entry out.")
        elif exemption.until < today:
            told.append(f"{where} was accepted until {exemption.until} ({exemption.reason}).")
        else:
            open_ones = [one for one in open_ones if one not in covered]
    return [str(one) for one in open_ones] + told


def main(arguments: list[str]) -> int:
    """Judge a report, and say what was found.

    Parameters
    ----------
    arguments
        The file of the report.

    Returns
    -------
    int
        0 if nothing stands against the image, 1 if something does, 2 if the report or `accepted.toml` cannot be used.
    """
    if len(arguments) != 1:
        print("Usage: python -m scans.image REPORT.json", file=sys.stderr)
        return 2
    try:
        found = findings(_read(Path(arguments[0])))
        told = judge(found, read_exemptions(table="image"), dt.datetime.now(dt.UTC).date())
    except Unusable as error:
        print(f"image: {error}", file=sys.stderr)
        return 2
    for one in found:
        if one.severity in COUNTS and not one.mended_by:
            print(f"image: warning: {one}", file=sys.stderr)
    for line in told:
        print(f"image: {line}", file=sys.stderr)
    if not told:
        print(f"{len(found)} weaknesses are known of the image; none of high severity can be mended")
    return int(bool(told))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise Unusable(f"the report is larger than {LARGEST // 2**20} MiB.")
        said = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Unusable(f"the report cannot be read: {type(error).__name__}.") from None
    if not isinstance(said, dict):
        raise Unusable("the report is no JSON object.")
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
