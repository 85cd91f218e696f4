"""What a scanner found in an image: what can be mended and is severe fails, all else is told or lived with for a time."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest

from scans import image
from scans.accepted import Exemption, Unusable, read_exemptions

TODAY = dt.date(2026, 11, 1)


def match(
    severity: str = "High", fixed: str = "3.0.17", package: str = "openssl", number: str = "CVE-2026-1"
) -> dict[str, Any]:
    """A weakness as Grype writes it."""
    fix = {"versions": [fixed] if fixed else [], "state": "fixed" if fixed else "not-fixed"}
    found = {"id": number, "severity": severity, "fix": fix, "namespace": "debian:distro:debian:13"}
    return {
        "vulnerability": found,
        "relatedVulnerabilities": [{"id": "GHSA-aaaa-bbbb-cccc"}],
        "artifact": {"name": package, "version": "3.0.16", "type": "deb"},
    }


def report(*matches: dict[str, Any]) -> dict[str, Any]:
    return {
        "matches": [*matches],
        "source": {"type": "image", "target": {"userInput": "registry:ghcr.io/owner/name"}},
        "descriptor": {"name": "grype", "version": "0.110.0"},
    }


def told(said: dict[str, Any], *lived_with: Exemption) -> list[str]:
    return image.judge(image.findings(said), lived_with, TODAY)


@pytest.mark.parametrize("severity", ["High", "Critical", "HIGH"])
def test_a_severe_weakness_that_a_newer_package_mends_fails_with_what_mends_it(severity: str) -> None:
    line = f"{severity.lower()}: openssl 3.0.16: CVE-2026-1: mended by 3.0.17"
    assert told(report(match(severity), match(severity))) == [line]


@pytest.mark.parametrize(
    "one",
    [match(fixed=""), match("Medium"), match("Low"), match("Negligible"), match("Unknown")],
    ids=["nothing mends it", "medium", "low", "negligible", "unknown"],
)
def test_what_nobody_has_mended_or_is_not_severe_fails_nothing(one: dict[str, Any]) -> None:
    assert told(report(one)) == []


def test_a_fix_without_a_number_counts_as_one() -> None:
    one = match(fixed="")
    one["vulnerability"]["fix"]["state"] = "fixed"
    assert told(report(one)) == ["high: openssl 3.0.16: CVE-2026-1: mended by a newer one"]


@pytest.mark.parametrize("number", ["CVE-2026-1", "GHSA-aaaa-bbbb-cccc"])
def test_what_is_lived_with_passes_by_any_of_its_numbers_until_its_last_day(number: str) -> None:
    last = Exemption(number, "openssl", "not reached", TODAY)
    assert told(report(match()), last) == []
    over = Exemption(number, "openssl", "not reached", TODAY - dt.timedelta(days=1))
    first, second = told(report(match()), over)
    assert first.startswith("high: openssl")
    assert second == f"accepted.toml: {number} of openssl was accepted until 2026-10-31 (not reached)."


def test_an_entry_of_no_use_fails() -> None:
    entry = Exemption("CVE-2020-9", "zlib", "once", TODAY)
    assert told(report(), entry) == ["accepted.toml: CVE-2020-9 of zlib is not in the image; take the entry out."]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"matches": []},
        {**report(), "descriptor": {"name": "another", "version": "1"}},
        {**report(), "source": None},
        {**report(), "source": {"type": "directory", "target": "/"}},
        {**report(), "matches": None},
        {**report(), "matches": [{"vulnerability": {"id": "CVE-1"}}]},
        {**report(), "matches": ["CVE-1"]},
        report(match("Catastrophic")),
        report({**match(), "vulnerability": {"id": "CVE-1", "severity": "High", "fix": {"versions": "3.0.17"}}}),
        report({**match(), "vulnerability": {"id": "CVE-1", "severity": "High", "fix": ["3.0.17"]}}),
    ],
    ids=[
        *("empty", "no source", "another scanner", "nothing scanned", "a folder", "no list", "half a match", "a text"),
        *("a severity that nobody knows", "versions as a text", "a fix as a list"),
    ],
)
def test_an_image_that_was_not_looked_at_is_not_taken_for_a_good_one(said: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        image.findings(said)


def test_a_weakness_that_the_scanner_has_no_severity_of_is_of_an_unknown_one() -> None:
    one = match()
    del one["vulnerability"]["severity"]
    assert told(report(one)) == []


def test_a_name_from_an_image_makes_no_line_of_its_own() -> None:
    (line,) = told(report(match(package="x\n::add-mask::y\x1b[2J\ud800")))
    assert line.startswith("high: x?::add-mask::y?[2J? 3.0.16")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "cannot be read: JSONDecodeError"),
        (b"\xff\xfe{", "cannot be read"),
        (b"[" * 200_000, "cannot be read: RecursionError"),
        (b"9" * 5000, "cannot be read: ValueError"),
        (b"", "cannot be read: JSONDecodeError"),
        (None, "larger than 64 MiB"),
    ],
    ids=["a page", "no text", "deep", "a long number", "nothing", "huge"],
)
def test_a_report_that_is_none_is_told_in_a_line(
    content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(content or b"")
    if content is None:
        os.truncate(file, image.LARGEST + 1)
    assert image.main([str(file)]) == 2
    assert said in capsys.readouterr().err


def test_the_command_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    for said, code, line in (
        (report(match("Low")), 0, "1 weaknesses are known of the image; none of high severity can be mended"),
        (report(match()), 1, "image: high: openssl 3.0.16: CVE-2026-1: mended by 3.0.17"),
        (report(match(fixed="")), 0, "image: warning: high: openssl 3.0.16: CVE-2026-1: no version mends it"),
        ([], 2, "image: the report is no JSON object."),
    ):
        file.write_text(json.dumps(said))
        assert image.main([str(file)]) == code
        shown = capsys.readouterr()
        assert line in shown.out + shown.err
    assert image.main([str(tmp_path / "none.json")]) == 2
    assert image.main([]) == 2


def test_entries_for_images_have_the_keys_of_those_for_packages(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text('[[image]]\nid = "CVE-1"\npackage = "zlib"\nreason = "not reached"\nuntil = 2026-12-01\n')
    assert read_exemptions(file, "image") == [Exemption("CVE-1", "zlib", "not reached", dt.date(2026, 12, 1))]
    file.write_text('[[image]]\nid = "CVE-1"\n')
    with pytest.raises(Unusable, match=r"\[\[image\]\] number 1 must have the keys"):
        read_exemptions(file, "image")
    assert isinstance(read_exemptions(table="image"), list)
