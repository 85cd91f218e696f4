"""`-o` and `--format` agree, on every command that writes a file: what a browser or a spreadsheet opens is such a file."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import click
import pytest

from mlops_assets.cli.group import LazyCommands
from mlops_assets.cli.outputs import ENDINGS, OTHERS, check_writable, choose_format
from mlops_assets.errors import UsageError
from mlops_assets_tests.helpers.shop import Shop

COMMANDS = LazyCommands()
WRITING = {
    name: {param.name: param for param in command.params}
    for name, command in COMMANDS.items()
    if "output" in {param.name for param in command.params}
}
FORMATS = {
    "audit": ("csv",),
    "card": ("markdown", "html"),
    "diff": ("table", "json", "html"),
    "drift": ("table", "json"),
    "feedback": ("table", "csv", "json"),
    "predictions": ("table", "csv", "json", "parquet"),
    "profile": ("table", "json", "html"),
    "rejects": ("table", "csv", "json", "parquet"),
    "rows": ("table", "csv", "json", "parquet"),
}
DAY = "2026-01-01"
REST = {
    "audit": ["--day", DAY],
    "diff": ["--day", DAY, "--candidate", "1", "--against", "1"],
    "feedback": ["--rejects"],
}


def test_every_command_that_writes_a_file_is_known() -> None:
    assert set(WRITING) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_command_with_a_choice_has_it_as_option(name: str) -> None:
    form = WRITING[name].get("form")
    assert (tuple(form.type.choices) if form else ("csv",)) == FORMATS[name]  # type: ignore[attr-defined]
    assert form is None or form.default in (None, click.core.UNSET)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "ending"), [*itertools.product(FORMATS, [*itertools.chain(*ENDINGS.values()), *OTHERS])]
)
def test_the_ending_chooses_the_format_or_is_refused(name: str, ending: str, tmp_path: Path) -> None:
    """Before anything is looked at: there is no such use case."""
    (tmp_path / "use_cases").mkdir()
    meant = next((form for form, endings in ENDINGS.items() if ending in endings), None)
    done = Shop(tmp_path / "home")(name, "absent", *REST.get(name, ()), "-o", str(tmp_path / f"x{ending}"))
    assert done.code == 2
    assert ("absent" in done.err.replace(str(tmp_path), "")) == (meant in FORMATS[name])
    if meant not in FORMATS[name]:
        assert f"x{ending}: the command does not write {meant or ending}; it writes {FORMATS[name][0]} (" in done.err


@pytest.mark.parametrize("name", [name for name, forms in FORMATS.items() if len(forms) > 1])
def test_an_ending_and_a_format_that_contradict_each_other_are_refused(name: str, tmp_path: Path) -> None:
    for asked, other in itertools.permutations(FORMATS[name], 2):
        given = ["--format", asked, "-o", str(tmp_path / f"x{ENDINGS[other][0]}")]
        done = Shop(tmp_path / "home")(name, "absent", *REST.get(name, ()), *given)
        assert (done.code, f"--format {asked} contradicts the ending" in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("formats", "asked", "name", "chosen"),
    [
        (("table", "json", "html"), None, "x.html", "html"),
        (("table", "json", "html"), None, "X.HTML", "html"),
        (("table", "json", "html"), None, ".html", "html"),
        (("table", "json", "html"), None, "x.html. ", "html"),
        (("table", "json", "html"), None, "x.txt", "table"),
        (("table", "json", "html"), "html", "x.htm", "html"),
        (("table", "csv"), "csv", "rows.2026", "csv"),
        (("table", "csv"), "csv", "rows", "csv"),
        (("csv",), None, "rows", "csv"),
        (("table", "csv"), None, None, "table"),
        (("table", "csv"), "csv", None, "csv"),
    ],
)
def test_what_is_chosen(formats: tuple[str, ...], asked: str | None, name: str | None, chosen: str) -> None:
    assert choose_format(formats, asked, Path(name) if name else None) == chosen


@pytest.mark.parametrize("name", ["rows", "rows.", "rows.tsv", "a.csv/rows", "rows.csv.bak"])
def test_an_ending_that_says_nothing_is_asked_about_where_there_is_a_choice(name: str) -> None:
    with pytest.raises(UsageError, match=r"the ending does not say .* table \(.txt\) or csv \(.csv\)"):
        choose_format(("table", "csv"), None, Path(name))


@pytest.mark.parametrize("form", ["html", "parquet"])
def test_what_is_not_for_a_terminal_needs_a_file(form: str) -> None:
    with pytest.raises(UsageError, match="not for a terminal: name a file with -o FILE"):
        choose_format(("table", form), form, None)


def test_apostrophes_are_for_csv(tmp_path: Path) -> None:
    done = Shop(tmp_path / "home")("rejects", "absent", "--spreadsheet", "-o", str(tmp_path / "x.json"))
    assert (done.code, done.err) == (2, "Error: --spreadsheet is for CSV, and this is json.\n")


# -- where it may lie -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("folder", "cannot be written: Is a directory"),
        ("absent/x.csv", "cannot be written: No such file or directory"),
        ("home/raw/visits/day=2026-01-01/a.csv", "the raw files of a day lie there"),
        ("home/raw/visits/day=2026-01-01/new.csv", "the raw files of a day lie there"),
        ("pipe.csv", "cannot be written: Not a regular file"),
        ("link.csv", "the raw files of a day lie there"),
        ("home/lake/visits/x.csv", "the tables of the platform lie there"),
    ],
)
def test_a_place_that_is_none_is_told_before_anything_is_done(
    place: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for folder in ("folder", "home/raw/visits/day=2026-01-01", "home/lake/visits"):
        (tmp_path / folder).mkdir(parents=True)
    raw = tmp_path / "home/raw/visits/day=2026-01-01/a.csv"
    raw.write_text("yesterday's")
    (tmp_path / "link.csv").symlink_to(raw)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match=reason):
        check_writable(tmp_path / place)
    check_writable(tmp_path / "x.csv")
    check_writable(tmp_path / "home/raw/visits/feedback.csv")
