"""How the list of known weaknesses is made anew of a public database of records in the form of OSV.

`python -m scans.osv` fetches the database of OSV itself; `python -m scans.osv FILE.zip` takes a ZIP file of records at
hand, such as one of a clone of pypa/advisory-database: `git archive --format=zip HEAD`. If either fails, the list stays
as it is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import requests
import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from scans.accepted import ROOT, Unusable
from scans.advisories import LIST, Advisories, Advisory, lies_in, locked, read, write

SOURCE = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
"""All records of packages on PyPI: those of the Python Packaging Authority, of GitHub and of malicious packages."""

LARGEST = 512 * 2**20
"""Bytes of the ZIP file."""
LARGEST_RECORD = 8 * 2**20
SUMMARY = 160
"""Characters of a summary."""


def made_of(records: Iterable[Mapping[str, Any]], packages: Iterable[str], source: str, today: dt.date) -> Advisories:
    """The list of some packages.

    Parameters
    ----------
    records
        Records in the form of OSV.
    packages
        The packages that are looked for.
    source
        Where the records come from.
    today
        The day; what claims to be of a later one, does not tell how new the records are.

    Returns
    -------
    Advisories
        Sorted by package and number. Records that were withdrawn are left out, and those that say of a package what
        another record under the same name does.

    Raises
    ------
    Unusable
        If there is no record of a package on PyPI.
    """
    wanted, newest, found = frozenset(packages), dt.date.min, []
    for record in records:
        ours = [one for one in record.get("affected", ()) if one["package"].get("ecosystem") == "PyPI"]
        if not ours:
            continue
        changed = dt.date.fromisoformat(record["modified"][:10])
        newest = max(newest, changed) if changed <= today else newest
        if record.get("withdrawn"):
            continue
        by_package: dict[str, list[str]] = {}
        for one in ours:
            name = canonicalize_name(one["package"]["name"])
            if name in wanted:
                by_package.setdefault(name, []).extend(ranges(one))
        found += [_entry(record, name, texts) for name, texts in by_package.items()]
    if newest == dt.date.min:
        raise Unusable("There is no record of a package on PyPI in it.")
    # PYSEC before GHSA, for its ranges are looked at by people of PyPI
    found.sort(key=lambda one: (one.package, not one.id.startswith("PYSEC"), one.id))
    kept: list[Advisory] = []
    for _, of_package in itertools.groupby(found, key=lambda one: one.package):
        told: list[Advisory] = []
        for one in of_package:
            if not any(one.names & other.names and one.affected == other.affected for other in told):
                told.append(one)
        kept += told
    return Advisories(source, newest, wanted, tuple(kept))


def _entry(record: Mapping[str, Any], package: str, affected: Iterable[str]) -> Advisory:
    aliases = tuple(sorted(record.get("aliases") or ()))
    text = record.get("summary") or record.get("details") or ""
    words = " ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())
    summary = words if len(words) <= SUMMARY else words[: SUMMARY - 3].rpartition(" ")[0] + "..."
    of_github = next((name for name in (record["id"], *aliases) if name.startswith("GHSA-")), None)
    link = (
        f"https://github.com/advisories/{of_github}" if of_github else f"https://osv.dev/vulnerability/{record['id']}"
    )
    return Advisory(record["id"], aliases, package, tuple(dict.fromkeys(affected)), summary, link)


def ranges(affected: Mapping[str, Any]) -> list[str]:
    """The versions that a record calls affected, as ranges.

    Parameters
    ----------
    affected
        An item of `affected` of a record of OSV.

    Returns
    -------
    list of str
        Such as `>=1.0,<1.2.3`. Versions that are listed and lie in no range follow as `==1.0`. Where a record says
        nothing of versions, all are affected.
    """
    found: list[str] = []
    for one in affected.get("ranges", ()):
        if one["type"] == "ECOSYSTEM":
            # ends that are no versions of Python's tell nothing; the versions that are listed still do
            with contextlib.suppress(InvalidVersion):
                found += list(_of_events(one["events"]))
    for version in affected.get("versions", ()):
        # versions from before PEP 440 are passed by: no lock file can name one
        with contextlib.suppress(InvalidVersion):
            if not any(lies_in(version, text) for text in found):
                found.append(f"=={Version(version)}")
    return found or [">=0"]


def _of_events(events: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """The ranges that begin with `introduced` and end with `fixed` or `last_affected`."""
    order = {"introduced": 0, "last_affected": 1, "fixed": 2}
    told = [(Version(version), order[kind], kind) for one in events for kind, version in one.items() if kind in order]
    start: Version | None = None
    for version, _, kind in sorted(told):
        if kind == "introduced":
            start = version if start is None else start
        elif start is not None:
            end = f"{'<' if kind == 'fixed' else '<='}{version}"
            yield end if start == Version("0") else f">={start},{end}"
            start = None
    if start is not None:
        yield f">={start}"


def records_of(file: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    """The records in a ZIP file.

    Parameters
    ----------
    file
        The ZIP file, with a JSON or YAML file a record; others are passed by.

    Yields
    ------
    dict
        A record.

    Raises
    ------
    Unusable
        If it is no ZIP file, or a record cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.filename.endswith((".json", ".yaml")):
                    continue
                if member.file_size > LARGEST_RECORD:
                    raise Unusable(f"{member.filename} has {member.file_size} bytes; no record has as many.")
                text = archive.read(member)
                # the base loader leaves all as text: 1.10 is a version, and no number
                record = json.loads(text) if member.filename.endswith(".json") else yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - makes text, lists and dicts alone
                if isinstance(record, dict) and {"id", "modified", "affected"} <= record.keys():
                    yield record
    except (zipfile.BadZipFile, ValueError, yaml.YAMLError) as error:
        raise Unusable(f"It is no ZIP file of records: {error}") from None


def fetch(url: str, file: IO[bytes]) -> None:
    """Fetch the database.

    Parameters
    ----------
    url
        Its address.
    file
        Where it is written.

    Raises
    ------
    Unusable
        If it cannot be reached, or is larger than it ever was.
    """
    try:
        with requests.get(url, stream=True, timeout=30) as answer:
            answer.raise_for_status()
            for block in answer.iter_content(2**20):
                if file.tell() > LARGEST:
                    raise Unusable(f"It has more than {LARGEST} bytes.")
                file.write(block)
    except requests.RequestException as error:
        raise Unusable(f"It cannot be reached: {type(error).__name__}.") from None


def renew(source: str, root: Path = ROOT, path: Path = LIST) -> Advisories:
    """Make the list anew.

    Parameters
    ----------
    source
        An address, or the path of a ZIP file.
    root
        The checkout with the lock files.
    path
        Where the list is stored.

    Returns
    -------
    Advisories
        The new list.

    Raises
    ------
    Unusable
        If the source cannot be had, or is older than the list; then the list stays as it is.
    """
    with tempfile.TemporaryFile() as file:
        if source.startswith("https://"):
            fetch(source, file)
        else:
            try:
                file.write(Path(source).read_bytes())
            except OSError as error:
                raise Unusable(f"It cannot be read: {error.strerror}.") from None
        told = source if source.startswith("https://") else "a ZIP file of records"
        new = made_of(records_of(file), locked(root), told, dt.datetime.now(dt.UTC).date())
    if path.exists() and new.date < (before := read(path).date):
        raise Unusable(f"Its newest record is of {new.date}, the list here of {before}.")
    write(new, path)
    return new


def main(arguments: list[str]) -> int:
    """Make the list anew, and say what came of it.

    Parameters
    ----------
    arguments
        Nothing, or an address or ZIP file.

    Returns
    -------
    int
        0 if it is new, 1 if it was left as it is, 2 for wrong usage.
    """
    if len(arguments) > 1:
        print("usage: python -m scans.osv [https://... | FILE.zip]", file=sys.stderr)
        return 2
    source = arguments[0] if arguments else SOURCE
    try:
        new = renew(source)
    except Unusable as error:
        print(f"advisories: {source} was not used. {error} The list stays as it is.", file=sys.stderr)
        return 1
    print(f"advisories: {len(new.entries)} of {len(new.packages)} packages, as of {new.date}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
