"""Every line of files that others collected, because parsers lose them, is a row, a reject, or told to be swallowed."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.records import RecordsReader
from mlops_assets.plugins import NotAttached
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, load_use_case

log = logging.getLogger(__name__)

CORPORA = os.environ.get("MLOPS_TEST_CORPORA", "")
needs_corpora = pytest.mark.skipif(not CORPORA, reason="MLOPS_TEST_CORPORA names no folder of corpora")
MARK = b"\xef\xbb\xbf"


def count_lines(data: bytes) -> int:
    """The lines of a file by the ends that stand in its bytes: LF, or where there is none CR."""
    data = data.removeprefix(MARK)
    end = b"\n" if b"\n" in data else b"\r"
    return data.count(end) + (not data.endswith(end))


def columns_of(data: bytes, delimiter: str) -> int:
    """The most frequent number of fields, by the delimiters alone."""
    lines = data.replace(b"\r", b"\n").split(b"\n")
    return Counter(line.count(delimiter.encode()) for line in lines if line).most_common(1)[0][0] + 1 if data else 1


def any_table(delimiter: str, columns: int, encoding: str, *, spanning: bool) -> UseCase:
    """A use case that takes any file with so many columns."""
    return UseCase(
        name="any",
        description="Any table.",
        start=dt.date(2026, 1, 1),
        files={
            "delimiter": delimiter, "encoding": encoding, "header": "none", "line_breaks_in_fields": spanning,
            "utf8": "as_written",
        },
        columns={f"c{number}": {"type": "string"} for number in range(columns)},
        account="c0",
        label="c0",
        training={"baseline": "most", "candidates": {"most": {"use": "sklearn.dummy.DummyClassifier"}}},
        features_sql="",
    )  # fmt: skip


def tell(case: UseCase, contents: list[bytes], header: bool = False) -> Iterator[tuple[str, int]]:
    """What became of the lines of some files, as names with numbers; `silent` are those of which nothing is known."""
    pack = CsvReader(case).read(contents)
    whole = {one.file: one.rule for one in pack.refusals if one.line is None}
    for number, data in enumerate(contents):
        yield "files", 1
        if number in whole:
            yield f"refused {whole[number]}", 1
            continue
        rows, lines = int((pack.file == number).sum()), count_lines(data) - header
        rejected = sum(one.file == number for one in pack.refusals)
        swallowed = int(pack.swallowed[number])
        yield from (("lines", lines), ("rows", rows), ("rejects", rejected), ("swallowed", swallowed))
        yield "silent", abs(lines - rows - rejected - swallowed)


def add(told: Counter[str], *numbers: Iterator[tuple[str, int]]) -> None:
    for some in numbers:
        for name, number in some:
            told[name] += number


@pytest.mark.long
@needs_corpora
@pytest.mark.parametrize("spanning", [False, True], ids=["a line is a record", "fields may span lines"])
def test_no_line_of_a_corpus_of_csv_files_is_lost_in_silence(spanning: bool) -> None:
    told = Counter[str]()
    for path in sorted(Path(CORPORA).rglob("*.csv")):
        data = path.read_bytes()
        for delimiter in (",", ";", "\t"):
            for encoding in ("utf-8", "latin-1"):
                case = any_table(delimiter, columns_of(data, delimiter), encoding, spanning=spanning)
                add(told, tell(case, [data]))
    log.info("%s", dict(told))
    assert told["files"] > 0
    assert told["silent"] == 0


@pytest.mark.long
@needs_corpora
def test_no_element_of_a_corpus_of_json_files_is_lost_in_silence() -> None:
    case = load_use_case(OWN_USE_CASES / "compound_rings")
    reader, told = RecordsReader(case, nothing), Counter[str]()
    for path in sorted(Path(CORPORA).rglob("*.json")):
        data = path.read_bytes()
        # as it stands, and as one record among others
        for text in (data, b'[{"compound_id": 1}, ' + data + b', "x"]'):
            pack = reader.read([text], [path.name])
            told["files"] += 1
            if pack.refusals and pack.refusals[0].line is None:
                told[f"refused {pack.refusals[0].rule}"] += 1
                continue
            elements = len(json.loads(text.decode("utf-8-sig")))
            told["lines"] += elements
            told["rejects"] += len(pack.refusals)
            told["silent"] += abs(elements - len(pack.file) - len(pack.refusals))
            told["keys twice"] += sum(one.rule == "duplicate_key" for one in pack.refusals)
    log.info("%s", dict(told))
    assert told["files"] > 0
    assert told["silent"] == 0


def nothing(_: int, path: str) -> bytes:
    raise NotAttached(f"there is no {path!r}")


def check_drawn(folder: Path, files: int, dirty: float) -> Counter[str]:
    """What became of the lines that our own generators draw."""
    told = Counter[str]()
    for name in ("transactions", "loan_approval", "santander"):
        case = load_use_case(OWN_USE_CASES / name)
        list(write_sample(case, folder, dt.date(2026, 1, 1), files, 20, dirty, seed=3))
        contents = [path.read_bytes() for path in sorted((folder / name).rglob("*.csv"))]
        add(told, tell(case, contents, header=True))
    return told


@pytest.mark.long
def test_no_line_of_many_drawn_files_is_lost_in_silence(tmp_path: Path) -> None:
    told = check_drawn(tmp_path, 3_000, 0.5)
    log.info("%s", dict(told))
    assert told["silent"] == 0


def test_no_line_of_a_drawn_file_is_lost_in_silence(tmp_path: Path) -> None:
    told = check_drawn(tmp_path, 30, 0.9)
    assert (told["silent"], told["files"]) == (0, 90)
    assert told["refused quote"]
