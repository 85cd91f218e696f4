"""Which column is which: by its name in the header, and without one by its place."""

from __future__ import annotations

import pytest

from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.account_files import HEADER, account_file
from mlops_assets_tests.helpers.reading import read

INDEX = "Age,Annual_Income,Credit_Score,Loan_Amount,Loan_Duration_Years,Number_of_Open_Accounts,Had_Past_Default"


@pytest.mark.parametrize(
    ("header", "line", "account"),
    [
        (f",{INDEX}", "i1,1,2,3,4,5,6,0", "i1"),
        (f" ,{INDEX}", "i1,1,2,3,4,5,6,0", "i1"),
        (f",{INDEX},", "i1,1,2,3,4,5,6,0,7", "i1"),
        (f",{INDEX},,", "i1,1,2,3,4,5,6,0,7,8", "i1"),
        (f"{INDEX},", "1,2,3,4,5,6,0,7", None),
        (f"Age,,{INDEX[4:]}", "1,7,2,3,4,5,6,0", None),
        (INDEX, "1,2,3,4,5,6,0", None),
    ],
    ids=["first", "a blank", "first and last", "three", "last", "second", "absent"],
)
def test_a_column_without_a_name_is_found_by_its_place(
    loan_approval: UseCase, header: str, line: str, account: str | None
) -> None:
    rows, refusals, _ = read(loan_approval, f"{header}\n{line}\n".encode())
    assert [row["application_id"] for row in rows] == ([account] if account else [])
    wrong = [(one.rule, one.message.split(";")[0]) for one in refusals]
    lacks = "the header lacks the column without a name, which is number 1 in the contract"
    assert wrong == ([] if account else [("missing_column", lacks)])


@pytest.mark.parametrize("written", ["Data", "DATA", "d a t a", "d\u00e1ta", "_data_", "Data:"])
def test_a_missing_column_is_told_with_the_one_that_nearly_has_its_name(transactions: UseCase, written: str) -> None:
    header = HEADER.replace(";data;", f";{written};")
    _, (only,), _ = read(transactions, account_file(header=header))
    assert only.message.startswith(f"the header lacks 'data' (is {written!r} that column?); it begins")


def test_a_column_that_is_another_one_is_no_near_miss(transactions: UseCase) -> None:
    _, (only,), _ = read(transactions, account_file(header=HEADER.replace(";data;", ";datum;")))
    assert only.message.startswith("the header lacks 'data'; it begins")


def test_a_first_line_that_is_longer_than_any_header_is_not_searched_for_columns(transactions: UseCase) -> None:
    _, (only,), _ = read(transactions, b"0" * 1_000_000)
    assert only.rule == "header"
    assert only.message == f"the first line has 1,000,000 bytes, which no header has; it begins '{'0' * 60}'"
