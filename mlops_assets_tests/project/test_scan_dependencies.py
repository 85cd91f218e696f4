"""The audit of locked packages: a known weakness is told with what mends it, by a list that is made of public records."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.helpers.paths import ROOT
from scans import dependencies, osv
from scans.accepted import Exemption, Unusable, read_exemptions
from scans.advisories import LIST, LOCKS, Advisories, Advisory, lies_in, locked, read

TODAY = dt.date(2026, 11, 1)


def record(number: str = "PYSEC-2026-1", **changes: Any) -> dict[str, Any]:
    """A record in the form of OSV: versions of `shelf` from 1.0 on are affected, 1.4 mends it."""
    events = [{"introduced": "1.0"}, {"fixed": "1.4"}]
    affected = {"package": {"ecosystem": "PyPI", "name": "Shelf"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    said = {"id": number, "aliases": ["CVE-2026-7"], "modified": "2026-10-02T08:00:00Z", "summary": "Books fall out"}
    return said | {"affected": [affected]} | changes


def affected(*events: dict[str, str], versions: list[str] | None = None, name: str = "shelf") -> list[dict[str, Any]]:
    """What a record says of a package."""
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, "versions": versions or []}]


def zipped(*records: dict[str, Any]) -> bytes:
    """A ZIP file of records."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("README.md", "no record")
        for one in records:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return file.getvalue()


def a_list(*records: dict[str, Any], packages: tuple[str, ...] = ("shelf",)) -> Advisories:
    return osv.made_of(records, packages, "a test", TODAY)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose three lock files have one package in one version."""
    (tmp_path / "deploy").mkdir()
    for name in LOCKS:
        (tmp_path / name).write_text("shelf==1.2 \\\n    --hash=sha256:00\n    # via -r books==9\n")
    return tmp_path


# -- a locked version with a known weakness --------------------------------------------------------------------------------


def test_an_affected_version_is_told_with_number_lock_files_and_what_mends_it() -> None:
    (found,) = dependencies.findings(a_list(record()), {"shelf": {"1.2": ["requirements.lock"]}})
    assert str(found) == (
        "shelf 1.2 (requirements.lock): PYSEC-2026-1, CVE-2026-7: Books fall out\n"
        "    mended by 1.4; https://osv.dev/vulnerability/PYSEC-2026-1"
    )


@pytest.mark.parametrize("version", ["0.9", "1.4", "1.4.post1", "2.0"])
def test_other_versions_are_well(version: str) -> None:
    assert dependencies.findings(a_list(record()), {"shelf": {version: ["requirements.lock"]}}) == []


def test_each_locked_version_is_looked_at() -> None:
    """A lock file may name one for each Python."""
    found = dependencies.findings(a_list(record()), {"shelf": {"1.10": ["a"], "1.4": ["a"], "1.2": ["b"]}})
    assert [one.version for one in found] == ["1.2"]


@pytest.mark.parametrize(
    ("version", "text", "inside"),
    [
        ("1.4rc1", "<1.4", True),  # before 1.4, so not mended; a SpecifierSet says no
        ("1.4.dev3", ">=1.0,<1.4", True),
        ("1.4+local", "<1.4", False),
        ("1.10", "<1.9", False),
        ("1.4", "<=1.4", True),
        ("1.4.0", "==1.4", True),
        ("7", ">=0", True),
    ],
)
def test_ranges_are_those_of_versions_not_of_text(version: str, text: str, inside: bool) -> None:
    assert lies_in(version, text) is inside


@pytest.mark.parametrize(
    ("events", "mended"),
    [
        ([{"introduced": "0"}], "no version that mends it is known"),
        ([{"introduced": "0"}, {"last_affected": "1.3"}], "mended by what follows 1.3"),
        ([{"introduced": "0"}, {"fixed": "1.3"}], "mended by 1.3"),
        ([{"introduced": "0"}, {"fixed": "1.1"}, {"introduced": "1.2"}, {"fixed": "1.5"}], "mended by 1.5"),
    ],
)
def test_what_mends_it_is_the_end_of_the_range(events: list[dict[str, str]], mended: str) -> None:
    (one,) = a_list(record(affected=affected(*events))).entries
    assert dependencies.mended_by(one, "1.2") == mended


# -- exemptions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-7"])
def test_an_exemption_lets_a_weakness_pass_until_its_day(name: str) -> None:
    found = dependencies.findings(a_list(record()), {"shelf": {"1.2": ["a.lock"]}})
    exempt = Exemption(name, "shelf", "nobody puts books on it", TODAY)
    assert dependencies.judge(found, [exempt], TODAY) == []
    first, second = dependencies.judge(found, [exempt], TODAY + dt.timedelta(days=1))
    assert first.startswith("shelf 1.2")
    assert second == f"accepted.toml: {name} of shelf was accepted until 2026-11-01 (nobody puts books on it)."


def test_an_exemption_of_another_package_or_of_nothing_is_told() -> None:
    found = dependencies.findings(a_list(record()), {"shelf": {"1.2": ["a.lock"]}})
    told = dependencies.judge(found, [Exemption("CVE-2026-7", "table", "why", TODAY)], TODAY)
    assert len(told) == 2
    assert told[1] == "accepted.toml: CVE-2026-7 of table is in no locked version; take the entry out."


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('id="a"\npackage="b"\nuntil=2026-01-01', "must have the keys id, package, reason, until and no others"),
        ('id="a"\npackage="b"\nuntil=2026-01-01\nreason=" "', "needs a reason"),
        ('id="a"\npackage="b"\nuntil="soon"\nreason="c"', "until must be a date, not 'soon'"),
        ('id="a"\npackage="b"\nuntil=2026-01-01T00:00:00\nreason="c"', "until must be a date"),
        ("id=", "cannot be read"),
    ],
)
def test_an_exemption_without_reason_or_day_is_refused(tmp_path: Path, entry: str, said: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f"[[advisory]]\n{entry}\n")
    with pytest.raises(Unusable, match=re.escape(said)):
        read_exemptions(path)


# -- the age of the list --------------------------------------------------------------------------------------------------


def test_an_old_list_and_packages_that_it_does_not_know_are_told_and_fail_nothing() -> None:
    known = a_list(record())
    assert dependencies.notes(known, ["shelf"], TODAY) == []
    old, unknown = dependencies.notes(known, ["shelf", "table"], TODAY + dt.timedelta(days=100))
    assert old == "the list is of 2026-10-02, 130 days old; `make advisories` makes it anew"
    assert unknown == "not in the list, so nothing is known of them: table; `make advisories`"


# -- how it is made -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "ranges"),
    [
        (affected({"introduced": "0"}, {"fixed": "1.4"}), ("<1.4",)),
        (affected({"fixed": "1.4"}, {"introduced": "1.0"}), (">=1.0,<1.4",)),
        (affected({"introduced": "0"}, {"fixed": "1.4"}, versions=["1.2", "1.9", "an old name"]), ("<1.4", "==1.9")),
        (affected({"introduced": "0"}, {"fixed": "2.9.0-NA"}, versions=["1.2"]), ("==1.2",)),
        (affected(versions=["1.2"]), ("==1.2",)),
        (affected(), (">=0",)),
    ],
)
def test_what_a_record_says_of_versions_becomes_ranges(said: list[dict[str, Any]], ranges: tuple[str, ...]) -> None:
    (one,) = a_list(record(affected=said)).entries
    assert one.affected == ranges


def test_records_that_were_withdrawn_or_are_of_others_are_left_out() -> None:
    withdrawn = record("PYSEC-2026-2", withdrawn="2026-10-03T00:00:00Z")
    other = record("PYSEC-2026-3", affected=affected({"introduced": "0"}, name="table"))
    elsewhere = record("GHSA-a", affected=[{"package": {"ecosystem": "npm", "name": "shelf"}}])
    assert [one.id for one in a_list(record(), withdrawn, other, elsewhere).entries] == ["PYSEC-2026-1"]


def test_the_same_weakness_under_two_numbers_is_told_once_unless_its_versions_differ() -> None:
    same = record("GHSA-same")
    wider = record("GHSA-wider", affected=affected({"introduced": "0"}))
    assert [one.id for one in a_list(same, wider, record()).entries] == ["PYSEC-2026-1", "GHSA-wider"]


def test_the_list_is_of_the_newest_record_and_no_record_is_of_tomorrow() -> None:
    typo = record("PYSEC-2026-2", modified="2027-10-02T08:00:00Z")
    assert a_list(record(), typo).date == dt.date(2026, 10, 2)


def test_the_list_is_made_anew_of_a_file_and_is_what_was_written(checkout: Path) -> None:
    path = checkout / "advisories.json"
    source = checkout / "all.zip"
    source.write_bytes(zipped(record(), record("PYSEC-2026-2", affected=affected(name="table"))))
    made = osv.renew(str(source), checkout, path)
    assert read(path) == made
    assert [one.id for one in made.entries] == ["PYSEC-2026-1"]
    assert made.packages == {"shelf"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>sign in first</html>", "It is no ZIP file of records"),
        (zipped(), "There is no record of a package on PyPI in it."),
        (
            zipped(record(modified="2026-09-30T00:00:00Z")),
            "Its newest record is of 2026-09-30, the list here of 2026-10-02",
        ),
    ],
)
def test_the_list_stays_as_it_is_where_the_source_is_none_or_older(checkout: Path, content: bytes, said: str) -> None:
    path, source = checkout / "advisories.json", checkout / "all.zip"
    source.write_bytes(zipped(record()))
    osv.renew(str(source), checkout, path)
    before = path.read_bytes()
    source.write_bytes(content)
    with pytest.raises(Unusable, match=re.escape(said)):
        osv.renew(str(source), checkout, path)
    assert path.read_bytes() == before


def test_a_source_that_cannot_be_reached_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    before = LIST.read_bytes()
    assert osv.main(["https://127.0.0.1:9/all.zip"]) == 1
    told = capsys.readouterr().err
    assert "https://127.0.0.1:9/all.zip was not used. It cannot be reached" in told
    assert "The list stays as it is." in told
    assert LIST.read_bytes() == before


# -- the repository itself ------------------------------------------------------------------------------------------------


def test_the_list_is_of_the_locked_packages_and_well_formed() -> None:
    found = read()
    assert len(found.packages & set(locked(ROOT))) > 200
    assert {one.package for one in found.entries} <= found.packages
    assert len(found.entries) > 400
    for one in found.entries:
        assert isinstance(one, Advisory)
        assert re.match(r"(PYSEC|GHSA|MAL)-", one.id)
        assert one.affected
        assert one.summary.isprintable()
        assert one.link.startswith("https://")
        assert all(lies_in("1.0", text) in (True, False) for text in one.affected)


def test_a_weakness_of_mlflow_that_everybody_knows_is_in_the_list() -> None:
    told = dependencies.findings(read(), {"mlflow": {"2.9.1": ["a.lock"]}})
    assert any("CVE-2024-37053" in one.advisory.names for one in told)


def test_no_locked_package_has_an_open_weakness(capsys: pytest.CaptureFixture[str]) -> None:
    assert dependencies.main() == 0, capsys.readouterr().err
