"""What came from a file is text wherever a command shows it: no terminal obeys it, and no line of ours is split by it."""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlops_assets.cli import group
from mlops_assets.cli.common import shell_word
from mlops_assets.cli.printing import LogFormatter, Printed
from mlops_assets.journey.feedback.files import HEADER
from mlops_assets.journey.read.mended import read_mended
from mlops_assets.storage.integrity import document
from mlops_assets.work.printable import printable
from mlops_assets.work.spreadsheets import MARKED
from mlops_assets_tests.helpers.evil import FORMULAS, TERMINAL, lines_of_their_own, unseen
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits

FIRST, LATER = "2026-01-01", "2026-01-02"
NAME = f"{TERMINAL}.csv"
NO_UTF8 = os.fsdecode(b"no utf-8 \xff\x1b.csv")
YAML = (
    VISITS.replace(", allowed: [web, shop]", "")
    .replace(', allowed: ["no", "yes"]', "")
    .replace("  columns:", "  files: {line_breaks_in_fields: true}\n  columns:")
    + "  source: {keep: versions}\n"
    + "  targets:\n    exact: {use: files, parameters: {place: PLACE/exact, one_file_a: shard}}\n"
    + "    people: {use: files, parameters: {place: PLACE/people, one_file_a: shard, spreadsheet: true}}\n"
)
LABELS = (TERMINAL, "=1+1", "-plain")


HEADER_ROW = ("visitor", "minutes", "channel", "returned")


def write(path: Path, rows: list[list[object]], header: Sequence[str] = HEADER_ROW) -> None:
    """A raw file, each of whose fields may hold anything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two trained and predicted days, full of what a stranger may write."""
    folder = tmp_path_factory.mktemp("shown")
    place_visits(folder / "use_cases", YAML.replace("PLACE", str(folder / "delivered")))
    shop = Shop(folder / "home")
    rows = [[f"{TERMINAL}{n % 30}", 200 * (n % 3) + n % 7, f"{TERMINAL}{n % 2}", LABELS[n % 3]] for n in range(150)]
    write(shop.day(FIRST) / "first.csv", rows)
    for name in (NAME, *(formula.replace("/", ":") + ".csv" for formula in FORMULAS)):
        write(
            shop.day(LATER) / name,
            [*rows[:20], [TERMINAL, f"many{TERMINAL}", "web", "no"], ["\x1b", "few\x1b", "w", "no"]],
        )
    (shop.day(LATER) / NO_UTF8).write_bytes(b"")
    (shop.day(LATER) / f"empty {NAME}").write_bytes(b"id;\x1b[31m\x07\r\n")
    for stray in (NAME, NO_UTF8):
        (shop.day(LATER).parent / stray).write_bytes(b"")
    done = shop("run", "visits", "--train")
    assert done.code == 0, done.err
    check(done)
    assert shop("run", "visits", "--train", "--from", LATER).code == 0
    return shop


def check(done: Done) -> None:
    """See that a terminal obeys nothing of what was printed."""
    for text in (done.out, done.err):
        assert unseen(text) == []
        assert lines_of_their_own(text) == []


GIVEN = {
    "audit": "",
    "card": "visits 1",
    "deliver": "visits --again",
    "diff": f"visits --day {LATER} --candidate 2 --against 1",
    "drift": f"visits --day {LATER}",
    "export": "visits 1 -o EXPORTED",
    "feedback": "visits CORRECTIONS --rejects",
    "history": "visits",
    "import": "visits TABLE --day 2026-01-06",
    "kept": "visits --clean",
    "new": "fresh --from FRESH --label returned --account who --into NEW",
    "predictions": f"visits --day {LATER}",
    "preview": "visits",
    "profile": "visits",
    "promote": "visits 1 --why TERMINAL --override",
    "rebuild": "visits 1",
    "refuse": "visits 2 --why TERMINAL",
    "register": "visits TERMINAL",
    "rejects": "visits",
    "replay": "visits MENDED",
    "restore": f"visits --day {FIRST} --as-published-on 2030-01-01",
    "retro-score": f"visits --from {FIRST} --to {LATER}",
    "rollback": "visits --why TERMINAL",
    "rows": f"visits --day {LATER}",
    "run": f"visits --from {LATER}",
    "sample": "visits --day 2026-01-05 --files 1 --rows 1",
    "status": "visits",
    "tell": "visits",
    "upgrade": "--check",
    "verify": "visits",
    "why": f"visits --day {LATER} --file NAME --line 1",
}
"""Each command, with something from a stranger. `demo`, `dev` and `serve` show nothing of anybody's; `audit` writes CSV."""

FAILS = {"register": 2, "tell": 2, "upgrade": 3}
"""There is no such model, and nobody to tell; and a later version than this one wrote the lake."""


def test_every_command_is_looked_at() -> None:
    assert set(GIVEN) | {"demo", "dev", "init", "serve"} == set(group.COMMANDS)


@pytest.mark.parametrize("command", [name for name, given in GIVEN.items() if given])
def test_nothing_that_a_stranger_wrote_reaches_the_terminal_as_it_is(command: str, shop: Shop, tmp_path: Path) -> None:
    write(tmp_path / NAME, [[TERMINAL, n, TERMINAL, LABELS[n % 3]] for n in range(50)])
    fresh = [[f"{TERMINAL}{n % 9}", n % 5, LABELS[n % 3], f"=x{n % 4}\x1b"] for n in range(90)]
    write(tmp_path / f"f{NAME}", fresh, ("who", "returned", "label\x1b\u202e", "=kind\x1b[31m"))
    corrections = tmp_path / f"c{NAME}"
    fields = [LATER, NAME.replace("\r\n", ""), "1", TERMINAL.replace("\r\n", ""), "\x1bann", "2026-02-01T00:00:00"]
    corrections.write_text("day,file,line,label,who,when\n" + ",".join(fields) + "\n", encoding="utf-8")
    mended = tmp_path / f"m{NAME}.json"
    lines = json.loads(shop("rejects", "visits", "--format", "json").out) if command == "replay" else []
    # mended: the lines come back as rows of files of their own
    for one in lines:
        one["raw"] = (one["raw"] or "").replace("few\x1b", "5")
    mended.write_text(json.dumps(lines), encoding="utf-8")
    words = {
        "CORRECTIONS": corrections,
        "TABLE": tmp_path / NAME,
        "EXPORTED": tmp_path / f"e{TERMINAL}",
        "FRESH": tmp_path / f"f{NAME}",
        "NEW": tmp_path / "new",
        "MENDED": mended,
        "TERMINAL": TERMINAL,
        "NAME": NAME,
    }
    (tmp_path / "form.json").write_bytes(document({"form": 99, "written_by": {"mlops-assets": TERMINAL}}))
    other = {"MLOPS_LAKE": str(tmp_path)} if command == "upgrade" else {}
    done = shop(command, *(str(words.get(word, word)) for word in GIVEN[command].split()), **other)
    check(done)
    assert done.code == FAILS.get(command, 0), done.err
    assert "not expected" not in done.err


def test_a_name_is_shown_so_that_its_file_can_be_found(shop: Shop) -> None:
    assert printable(NAME)[:57] in shop("rejects", "visits").out
    for name in (NAME, printable(NAME)):
        shown = shop("why", "visits", "--day", LATER, "--file", name, "--line", "1").out
        assert shown.startswith(f"visits, {LATER}, {printable(NAME)}, line 1: ")


@pytest.mark.parametrize(
    "name", ["a.csv", "a b; $(id).csv", "it's.csv", "a\nb\x1b'\\n.csv", "é\udcffa.csv", "c:\\new.csv"]
)
def test_a_command_to_be_copied_names_the_file_for_a_shell(name: str) -> None:
    word = shell_word(Path(name))
    assert word.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert os.fsdecode(done.stdout) == name


def test_what_is_written_is_what_the_ending_says(shop: Shop, tmp_path: Path) -> None:
    diff = ("diff", "visits", "--day", LATER, "--candidate", "2", "--against", "1")
    for command in (diff, ("card", "visits", "1")):
        assert shop(*command, "-o", str(tmp_path / "page.html")).code == 0
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>")
        assert unseen(text) == []
    assert shop(*diff, "-o", str(tmp_path / "diff.json")).code == 0
    assert json.loads((tmp_path / "diff.json").read_text(encoding="utf-8"))["rows"] > 0
    assert shop("card", "visits", "1", "-o", str(tmp_path / "card.md")).code == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8").startswith("# visits")


def test_a_name_that_is_not_utf8_is_told_by_its_bytes(shop: Shop) -> None:
    assert r"'no utf-8 \udcff\x1b.csv'" in shop("status", "visits").out


def test_further_lines_of_a_message_are_moved_in(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("any").info("the file %s", TERMINAL)
    shown = LogFormatter().format(caplog.records[0])
    assert unseen(shown) == lines_of_their_own(shown) == []


def test_json_csv_and_parquet_keep_the_exact_text(shop: Shop, tmp_path: Path) -> None:
    asked = ("predictions", "visits", "--day", LATER)
    for ending in ("json", "csv", "parquet"):
        assert shop(*asked, "-o", str(tmp_path / f"p.{ending}")).code == 0
    expected = {NAME, *(formula.replace("/", ":") + ".csv" for formula in FORMULAS)}
    assert {one["file"] for one in json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))} >= expected
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        assert {one["file"] for one in csv.DictReader(file)} >= expected
    assert set(pq.read_table(tmp_path / "p.parquet")["file"].to_pylist()) >= expected
    assert {one["file"] for one in json.loads(shop(*asked, "--format", "json").out)} >= expected


def test_an_audit_computes_nothing_in_a_spreadsheet_and_comes_back(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    assert shop("audit", "visits", "--day", LATER, "-o", str(path)).code == 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [row for row in rows if row["file"].strip(' "\t\r')[:1] in set("=+-@\uff1d")]
    assert any(row["file"].startswith("'=") for row in rows)
    assert any("\n" in row["file"] for row in rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*HEADER, MARKED], extrasaction="ignore")
        writer.writeheader()
        writer.writerows([{**row, "label": "'=1+1", "who": "ann", "when": "2026-02-01T00:00:00Z"} for row in rows])
    done = shop("feedback", "visits", str(path), "--rejects", "--format", "json")
    assert f"{len(rows)} accepted" in done.err, done.out


def test_a_target_of_files_writes_for_machines_or_for_people(shop: Shop) -> None:
    assert shop("deliver", "visits").code == 0
    for target, first in {"exact": "=", "people": "'"}.items():
        names = []
        for path in (shop.home.parent / "delivered" / target / "visits" / f"day={LATER}").glob("*.csv"):
            with path.open(encoding="utf-8", newline="") as file:
                names += [row["file"] for row in csv.DictReader(file) if "SUM" in row["file"] or "calc" in row["file"]]
        assert names
        assert {name[0] for name in names} <= {first, "@" if target == "exact" else first}


def test_rejects_for_a_spreadsheet_come_back_as_they_were(shop: Shop, tmp_path: Path) -> None:
    exact, marked = tmp_path / "exact.csv", tmp_path / "marked.csv"
    assert shop("rejects", "visits", "-o", str(exact)).code == 0
    assert shop("rejects", "visits", "--spreadsheet", "-o", str(marked)).code == 0
    assert exact.read_bytes() != marked.read_bytes()
    assert read_mended(marked) == read_mended(exact)


def test_bytes_for_a_terminal_are_shown_and_a_pipe_gets_them_as_they_are() -> None:
    data = "a\x1b[31m\u202e\u65e5,b\n".encode()
    for open_ends, expected in ((os.openpty, b"a\\u001b[31m\\u202e\xe6\x97\xa5,b\r\n"), (os.pipe, data)):
        first, second = open_ends()
        # of a terminal either end may be written to; of a pipe the second
        with Printed(os.fdopen(second, "wb"), encoding="utf-8") as stream, os.fdopen(first, "rb", 0) as other:
            for place in range(len(data)):  # a sign in pieces
                stream.buffer.write(data[place : place + 1])
            stream.buffer.flush()
            assert other.read(len(expected)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_whatever_a_stream_takes_what_libraries_print_is_shown(encoding: str) -> None:
    """In a process of its own, as the installed script is: the last line of defence stands at its streams."""
    script = (
        (
            "import sys, click; from mlops_assets.cli import process, cli\n"
            "@cli.command()\n"
            "def evil():\n"
            "    click.echo('a\\x1b]0;x\\x07\\u202e\\udcff\\u65e5'); print('p\\x9b', file=sys.stderr)\n"
            "    raise ValueError('x\\x1b[31m\\nError: y')\n"
            "sys.argv = ['mlops-assets', 'evil']; process()\n"
        )
        .replace("@cli.command()", "from mlops_assets.cli.group import LazyCommands\n@click.command()")
        .replace(
            "sys.argv",
            "LazyCommands.__getitem__ = lambda self, name: evil; LazyCommands.__contains__ = lambda *_: True\nsys.argv",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    out, err = done.stdout.decode("utf-8" if encoding == "ascii" else encoding), done.stderr.decode(encoding)
    assert out.startswith(r"a\u001b]0;x\u0007\u202e\udcff")
    assert err.splitlines()[:3] == [r"p\u009b", r"Error: ValueError: x\u001b[31m", "  Error: y"]
    assert done.returncode == 1
