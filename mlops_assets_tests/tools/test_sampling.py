"""Sample files: the same bytes for the same seed, clean where they are meant to be, and dirty in every named way."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.errors import ConfigError, UsageError
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.read.rows import account, check_rows
from mlops_assets.plugins import RawFile, Record
from mlops_assets.tools.sampling import DIRT, write_sample
from mlops_assets.use_case import FileFormat, UseCase, load_use_case
from mlops_assets_tests.helpers.account_files import HEADER

DAY = dt.date(2026, 1, 1)

GARDEN = """
attributes:
  description: Whether a plant flowers; nothing but the contract says how its rows look.
  start: 2026-01-01
  files: {delimiter: "\\t", decimal: ",", thousands: ".", suffix: .tsv}
  columns:
    bed: {type: string, required: true, constant: true}
    planted: {type: date, format: "%d/%m/%Y", required: true}
    height: {type: number, min: 0, max: 30000}
    leaves: {type: integer, min: 1, max: 9, from: number of leaves}
    watered: {type: timestamp}
    healthy: {type: boolean}
    colour: {type: string, allowed: [red, blue]}
    flowers: COLUMN
  account: bed
  label: flowers
  training:
    baseline: majority
    candidates: {majority: {use: sklearn.dummy.DummyClassifier}}
"""


def garden(tmp_path: Path, label: str = '{type: string, allowed: ["no", "yes"]}') -> UseCase:
    """A third use case, made of YAML alone."""
    folder = tmp_path / "garden"
    folder.mkdir()
    (folder / "defs.yaml").write_text(GARDEN.replace("COLUMN", label))
    (folder / "features.sql").write_text("CREATE VIEW model_input AS SELECT * FROM rows;")
    return load_use_case(folder)


@pytest.fixture(params=["transactions", "loan_approval", "santander", "garden"])
def use_case(request: pytest.FixtureRequest, tmp_path: Path) -> UseCase:
    """Each use case of the package, and one that has no `sample` of its own."""
    if request.param == "garden":
        return garden(tmp_path)
    found: UseCase = request.getfixturevalue(request.param)
    return found


def sample(use_case: UseCase, raw: Path, **changes: Any) -> dict[str, bytes]:
    """Path in the day's folder and bytes of every sample file."""
    given = {"day": DAY, "files": 6, "rows": 5, "dirty": 0.0, "seed": 1, **changes}
    for _ in write_sample(use_case, raw, **given):
        pass
    folder = raw / use_case.name / f"day={given['day']}"
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob(f"*{use_case.files.suffix}"))
    }


def read(use_case: UseCase, files: dict[str, bytes]) -> tuple[list[dict[str, Any]], list[Refusal]]:
    contents = list(files.values())
    pack = CsvReader(use_case).read(contents)
    table, refusals = check_rows(use_case, list(files), pack)
    refusals = [*pack.refusals, *refusals]
    account(pack, table, refusals, len(contents))
    return table.to_pylist(), refusals


# -- the files ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_writes_the_same_bytes(use_case: UseCase, tmp_path: Path) -> None:
    first, second = (sample(use_case, tmp_path / name, dirty=1.0, files=12) for name in ("a", "b"))
    assert len(first) == 12
    assert first == second


@pytest.mark.parametrize("other", [{"seed": 2}, {"day": dt.date(2026, 1, 2)}], ids=["seed", "day"])
def test_another_seed_or_day_writes_other_files(use_case: UseCase, tmp_path: Path, other: dict[str, Any]) -> None:
    first, second = sample(use_case, tmp_path), sample(use_case, tmp_path, **other)
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


def test_a_file_of_transactions_looks_like_a_published_one(transactions: UseCase, tmp_path: Path) -> None:
    for data in sample(transactions, tmp_path).values():
        text = data.decode("mac_roman")
        assert text.startswith(HEADER.replace(" valor ", "valor") + "\r\n")
        assert text.endswith("\r\n")


def test_files_hold_the_rows_that_were_asked_for_on_average(use_case: UseCase, tmp_path: Path) -> None:
    rows, _ = read(use_case, sample(use_case, tmp_path, files=100, rows=20))
    assert 1_800 < len(rows) < 2_200
    assert len({row["file"] for row in rows}) == 100


def test_many_files_are_spread_over_folders_and_told_as_they_are_written(
    loan_approval: UseCase, tmp_path: Path
) -> None:
    assert list(write_sample(loan_approval, tmp_path, DAY, 1_001, 1, 0.0, 1)) == [500, 1_000, 1_001]
    folder = tmp_path / "loan_approval" / "day=2026-01-01"
    assert {path.name: len(list(path.iterdir())) for path in folder.iterdir()} == {"0000": 1_000, "0001": 1}


# -- clean -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [True, False])
def test_a_clean_sample_has_no_rejects(use_case: UseCase, tmp_path: Path, labelled: bool) -> None:
    _, refusals = read(use_case, sample(use_case, tmp_path, files=50, rows=20, labelled=labelled))
    assert refusals == []


@pytest.mark.parametrize("labelled", [True, False])
def test_the_label_is_filled_for_training_and_empty_for_scoring(
    use_case: UseCase, tmp_path: Path, labelled: bool
) -> None:
    rows, _ = read(use_case, sample(use_case, tmp_path, labelled=labelled))
    assert {row[use_case.label] is not None for row in rows} == {labelled}


def test_a_labelled_sample_has_several_classes(use_case: UseCase, tmp_path: Path) -> None:
    rows, _ = read(use_case, sample(use_case, tmp_path, files=20))
    assert len({row[use_case.label] for row in rows}) > 1


def test_a_sample_has_a_header_only_where_files_have_one(tmp_path: Path) -> None:
    case = garden(tmp_path)
    case = case.model_copy(update={"files": case.files.model_copy(update={"header": "none"})})
    list(write_sample(case, tmp_path, DAY, 1, 30, 0.0, seed=7))
    (path,) = (tmp_path / "garden" / "day=2026-01-01").iterdir()
    pack = CsvReader(case).read([path.read_bytes()])
    assert (len(path.read_bytes().splitlines()), pack.lines.tolist(), pack.refusals) == (30, [30], [])


def test_rows_drawn_from_a_contract_alone_can_be_learned_from(tmp_path: Path) -> None:
    use_case = garden(tmp_path)
    rows, _ = read(use_case, sample(use_case, tmp_path, files=50, rows=20))
    tall = sorted(rows, key=lambda row: row["height"])
    guessed = ["no"] * (len(tall) // 2) + ["yes"] * (len(tall) - len(tall) // 2)
    assert sum(row["flowers"] == guess for row, guess in zip(tall, guessed, strict=True)) > 0.8 * len(tall)


@pytest.mark.parametrize(
    "column",
    [
        "{type: string}",
        "{type: string, required: true, constant: true}",
        "{type: string, allowed: [a, b]}",
        "{type: integer}",
        "{type: integer, min: -1, max: 1}",
        '{type: integer, allowed: ["1", "2"]}',
        "{type: number}",
        "{type: number, min: -5, max: 5}",
        "{type: number, max: -5}",
        '{type: number, allowed: ["0", "1"]}',
        "{type: boolean}",
        "{type: date}",
        "{type: date, min: 2019-01-01, max: 2019-12-31}",
        "{type: timestamp}",
    ],
)
def test_any_column_is_drawn_so_that_it_keeps_to_its_contract(tmp_path: Path, column: str) -> None:
    use_case = garden(tmp_path, column).model_copy(update={"label": "colour"})
    rows, refusals = read(use_case, sample(use_case, tmp_path, files=20))
    assert (len(rows), refusals) == (100, [])


@pytest.mark.parametrize(
    "label",
    [
        "{type: string}",
        "{type: integer}",
        "{type: integer, min: 0, max: 1}",
        '{type: integer, allowed: ["1", "2", "3"]}',
        "{type: boolean}",
    ],
)
def test_a_label_of_any_type_is_drawn_with_several_classes(tmp_path: Path, label: str) -> None:
    use_case = garden(tmp_path, label)
    rows, refusals = read(use_case, sample(use_case, tmp_path, files=20))
    assert refusals == []
    assert len({row["flowers"] for row in rows}) > 1


# -- dirty -------------------------------------------------------------------------------------------------------------


def test_every_kind_of_dirt_is_found_by_its_rule(use_case: UseCase, tmp_path: Path) -> None:
    _, refusals = read(use_case, sample(use_case, tmp_path, dirty=1.0, files=3 * len(DIRT)))
    assert Counter(refusal.rule for refusal in refusals) == dict.fromkeys(DIRT, 3)
    assert len({refusal.file for refusal in refusals}) == 3 * len(DIRT)


@pytest.mark.parametrize("kind", DIRT)
def test_dirt_spoils_a_whole_file_or_one_line_of_it(transactions: UseCase, tmp_path: Path, kind: str) -> None:
    _, refusals = read(transactions, sample(transactions, tmp_path, dirty=1.0, files=len(DIRT)))
    (only,) = (refusal for refusal in refusals if refusal.rule == kind)
    assert only.line == (1 if kind in ("field_count", "type") else None)


def test_dirt_is_named_whatever_the_seed(loan_approval: UseCase, tmp_path: Path) -> None:
    named = [
        Counter(refusal.rule for refusal in read(loan_approval, files)[1])
        for seed in range(40)
        for files in [sample(loan_approval, tmp_path, dirty=1.0, files=len(DIRT), rows=2, seed=seed)]
    ]
    assert named == [dict.fromkeys(DIRT, 1)] * 40


def test_the_share_of_dirty_files_is_the_one_that_was_asked_for(use_case: UseCase, tmp_path: Path) -> None:
    files = sample(use_case, tmp_path, dirty=0.25, files=20)
    rows, refusals = read(use_case, files)
    assert len({refusal.file for refusal in refusals}) == 5
    assert {row["file"] for row in rows} >= {
        name for place, name in enumerate(files) if place not in {refusal.file for refusal in refusals}
    }


def test_a_contract_of_texts_alone_can_be_soiled_too(tmp_path: Path) -> None:
    use_case = garden(tmp_path)
    texts = {name: column for name, column in use_case.columns.items() if column.type == "string"}
    use_case = use_case.model_copy(update={"columns": texts})
    _, refusals = read(use_case, sample(use_case, tmp_path, dirty=1.0, files=len(DIRT)))
    assert {refusal.rule for refusal in refusals} >= DIRT.keys() - {"type"}


# -- use cases with a reader of their own ------------------------------------------------------------------------------


def draw_files(
    generator: np.random.Generator, day: dt.date, files: int, rows: int, dirty: float, labelled: bool
) -> Iterator[tuple[str, bytes]]:
    """What such a use case brings: whole files, and those that records refer to."""
    for number in range(files):
        yield f"pictures/{number}.png", generator.bytes(4)
        yield f"{number}.json", repr((day, rows, dirty, labelled)).encode()


class Nobody:
    """A reader that finds nothing."""

    def read(self, file: RawFile) -> list[Record]:  # noqa: ARG002
        return []


def own_files(tmp_path: Path, sample: str | None) -> UseCase:
    case = garden(tmp_path)
    files = FileFormat(suffix=".json", reader=f"{__name__}.Nobody", attachments=(".png",))
    return case.model_copy(update={"files": files, "sample": sample})


def test_a_use_case_with_a_reader_of_its_own_draws_whole_files(tmp_path: Path) -> None:
    case = own_files(tmp_path, f"{__name__}.draw_files")
    for place in ("a", "b"):
        assert list(write_sample(case, tmp_path / place, DAY, 2, 5, 0.5, seed=1, labelled=False)) == [1, 2]
    names = [tmp_path / place / case.name / f"day={DAY}" for place in ("a", "b")]
    written = [{str(p.relative_to(name)): p.read_bytes() for p in name.rglob("*.*")} for name in names]
    assert sorted(written[0]) == ["0.json", "1.json", "pictures/0.png", "pictures/1.png"]
    assert written[0] == written[1]
    assert written[0]["1.json"] == repr((DAY, 5, 0.5, False)).encode()


def test_without_a_function_such_a_use_case_has_no_sample(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reads its files by .*Nobody: no sample can be drawn from its columns"):
        list(write_sample(own_files(tmp_path, None), tmp_path, DAY, 1, 1, 0.0, seed=1))


def test_a_function_that_cannot_draw_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"santander\.sample\.draw cannot be called with \(generator, "):
        list(
            write_sample(
                own_files(tmp_path, "mlops_assets.defs.santander.sample.draw"), tmp_path, DAY, 1, 1, 0.0, seed=1
            )
        )
