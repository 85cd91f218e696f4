"""Whether a locked package has a known weakness, by the list in the repository: `python -m scans.dependencies`."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.version import Version

from scans.accepted import Exemption, Unusable, read_exemptions
from scans.advisories import Advisories, Advisory, lies_in, locked, parts, read

OLD = 90
"""Days after which the list is called old."""


@dataclass(frozen=True)
class Finding:
    """A locked version with a known weakness."""

    advisory: Advisory
    version: str
    locks: tuple[str, ...]

    def __str__(self) -> str:
        """What a person needs to mend it."""
        one = self.advisory
        names = ", ".join((one.id, *one.aliases))
        return (
            f"{one.package} {self.version} ({', '.join(self.locks)}): {names}: {one.summary}\n"
            f"    {mended_by(one, self.version)}; {one.link}"
        )


def mended_by(advisory: Advisory, version: str) -> str:
    """Which version mends a weakness.

    Parameters
    ----------
    advisory
        The weakness.
    version
        An affected version.

    Returns
    -------
    str
        A sentence without its full stop.
    """
    ends = []
    for text in advisory.affected:
        sign, end = parts(text.split(",")[-1])
        if sign in ("<", "<=") and lies_in(version, text):
            ends.append((end, sign))
    if not ends:
        return "no version that mends it is known"
    # of two ranges that overlap, the further end mends both
    end, sign = max(ends)
    return f"mended by {end}" if sign == "<" else f"mended by what follows {end}"


def findings(advisories: Advisories, packages: Mapping[str, Mapping[str, Iterable[str]]]) -> list[Finding]:
    """The locked versions with a known weakness.

    Parameters
    ----------
    advisories
        The list.
    packages
        By package, the locked versions with their lock files.

    Returns
    -------
    list of Finding
        In the order of the list.
    """
    return [
        Finding(one, version, tuple(locks))
        for one in advisories.entries
        for version, locks in sorted(packages.get(one.package, {}).items(), key=lambda item: Version(item[0]))
        if any(lies_in(version, text) for text in one.affected)
    ]


def judge(found: Iterable[Finding], exemptions: Iterable[Exemption], today: dt.date) -> list[str]:
    """What stands against the locked versions.

    Parameters
    ----------
    found
        The locked versions with a known weakness.
    exemptions
        What is lived with.
    today
        The day.

    Returns
    -------
    list of str
        A text for each finding that is not exempt, for each exemption whose time is over, and for each of no use.
    """
    found, told = list(found), []
    open_ones = set(range(len(found)))
    for one in exemptions:
        covers = {
            at for at, it in enumerate(found) if it.advisory.package == one.package and one.id in it.advisory.names
        }
        if not covers:
            told.append(f"accepted.toml: {one.id} of {one.package} is in no locked version; take the entry out.")
        elif one.until < today:
            told.append(f"accepted.toml: {one.id} of {one.package} was accepted until {one.until} ({one.reason}).")
        else:
            open_ones -= covers
    return [str(found[at]) for at in sorted(open_ones)] + told


def notes(advisories: Advisories, packages: Iterable[str], today: dt.date) -> list[str]:
    """What should be known of the list.

    Parameters
    ----------
    advisories
        The list.
    packages
        The locked packages.
    today
        The day.

    Returns
    -------
    list of str
        A sentence if it is old, and one if packages came after it was made.
    """
    told = []
    age = (today - advisories.date).days
    if age > OLD:
        told.append(f"the list is of {advisories.date}, {age} days old; `make advisories` makes it anew")
    unknown = sorted(set(packages) - advisories.packages)
    if unknown:
        told.append(f"not in the list, so nothing is known of them: {', '.join(unknown)}; `make advisories`")
    return told


def main() -> int:
    """Look at the lock files, and say what was found.

    Returns
    -------
    int
        0 if nothing stands against them, 1 if something does, 2 if the list or `accepted.toml` cannot be used.
    """
    today = dt.datetime.now(dt.UTC).date()
    try:
        advisories, packages = read(), locked()
        told = judge(findings(advisories, packages), read_exemptions(), today)
    except Unusable as error:
        print(f"dependencies: {error}", file=sys.stderr)
        return 2
    for line in notes(advisories, packages, today):
        print(f"dependencies: warning: {line}", file=sys.stderr)
    for line in told:
        print(f"dependencies: {line}", file=sys.stderr)
    if not told:
        print(
            f"{len(packages)} locked packages, {len(advisories.entries)} advisories of {advisories.date}: none is open"
        )
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
