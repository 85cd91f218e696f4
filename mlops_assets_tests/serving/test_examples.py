"""What the schema says of bodies is true: its examples are rows that the contract takes."""

from __future__ import annotations

import pytest

from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.score.written import file_of_rows
from mlops_assets.plugins import NotAttached
from mlops_assets.serving.schema import rows_schema, takes_rows
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.use_case import UseCase, load_use_case
from mlops_assets_tests.helpers.toy import toy

CSV_ONES = ("loan_approval", "santander", "transactions")
TAKEN = ("topics", *CSV_ONES)


def nothing(_: int, path: str) -> bytes:
    raise NotAttached(path)


@pytest.mark.parametrize("use_case", [toy(), *(load_use_case(OWN_USE_CASES / name) for name in TAKEN)])
def test_the_example_of_the_rows_of_a_contract_is_a_row(use_case: UseCase) -> None:
    (example,) = rows_schema(use_case)["examples"]
    file = file_of_rows(use_case, **example["files"][0])
    pack = open_reader(use_case, nothing).read([file.data], [file.name])
    rows, refusals = check_rows(use_case, [file.name], pack)
    assert (rows.num_rows, refusals, pack.refusals) == (1, [], [])


def test_rows_are_taken_where_a_reader_can_write_them() -> None:
    taken = {name: takes_rows(load_use_case(OWN_USE_CASES / name)) for name in ("topics", "compound_rings", *CSV_ONES)}
    assert taken == {"topics": True, "compound_rings": False, **dict.fromkeys(CSV_ONES, True)}


def test_a_row_of_a_reader_of_its_own_has_what_the_reader_takes() -> None:
    file = rows_schema(load_use_case(OWN_USE_CASES / "topics"))["properties"]["files"]["items"]
    assert file["properties"]["rows"]["items"]["properties"].keys() == {"text"}
    assert "examples" not in rows_schema(load_use_case(OWN_USE_CASES / "compound_rings"))
