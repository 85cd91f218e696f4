"""A table that somebody has becomes a use case that reads it, learns from it and predicts, without an edit."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sklearn
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets import running
from mlops_assets.cli import cli
from mlops_assets.definitions import defs
from mlops_assets.errors import UsageError
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.drafting import Draft, draft_use_case
from mlops_assets.tools.drafting.columns import DATES
from mlops_assets.tools.drafting.writing import _flow
from mlops_assets.use_case import load_use_case
from mlops_assets.views.status import collect
from mlops_assets.work.printable import printable_lines
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.homes import give_stores, measured_briefly
from mlops_assets_tests.helpers.paths import REAL_DATA

TODAY = dt.date(2026, 3, 1)
DATA = Path(sklearn.__file__).parent / "datasets" / "data"
PUBLISHED = {"iris": ("iris.csv", "virginica"), "wine": ("wine_data.csv", "14"), "cancer": ("breast_cancer.csv", "31")}
"""Tables that come with scikit-learn, whose first line names no column or not all of them, and their labels."""

Draws = Callable[..., Draft]


@pytest.fixture
def draft(tmp_path: Path) -> Draws:
    """Write a table and draft a use case of it."""

    def run(table: str | bytes, label: str = "label", account: str | None = None, case: str = "case") -> Draft:
        path = tmp_path / "table.csv"
        path.write_bytes(table if isinstance(table, bytes) else table.encode())
        return draft_use_case(case, path, label, tmp_path / "cases", account, TODAY)

    return run


def table(columns: dict[str, list[Any]], delimiter: str = ",", rows: int = 40) -> str:
    """A table of so many rows, whose columns repeat their values, and the column `label`."""
    repeated = {name: [values[row % len(values)] for row in range(rows)] for name, values in columns.items()}
    repeated["label"] = ["yes" if row % 3 else "no" for row in range(rows)]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(repeated)
    writer.writerows(zip(*repeated.values(), strict=True))
    return out.getvalue()


@pytest.mark.parametrize(
    ("values", "kind", "role"),
    [
        (["1", "2", "3"], "integer", "number"),
        (["1", "", "NA"], "integer", "number"),
        (["1.5", "2", "-3e5"], "number", "number"),
        (["1.5", "nan", "inf"], "number", "number"),
        (["007", "123"], "string", "category"),
        (["yes", "no"], "boolean", "boolean"),
        (["True", "False", ""], "boolean", "boolean"),
        (["2020-01-31", "2020-02-01"], "date", "date"),
        (["31.12.2019", "1.2.2020"], "date", "date"),
        (["12/31/2019", "2/1/2020"], "date", "date"),
        (["20191231", "20200101"], "date", "date"),
        (["2020-01-31 23:59:59", "2020-02-01 00:00:00"], "timestamp", "timestamp"),
        (["2020-01-31T23:59", "2020-02-01T00:00"], "timestamp", "timestamp"),
        (["12.5 %", "3 %"], "string", "amount"),
        (["$1.50", "$ 20"], "string", "amount"),
        (["R$ 1.50", "R$ 20"], "string", "amount"),
        (["1.5", "2-"], "number", "number"),
        (["1.5", "(2)"], "number", "number"),
        (["99999999999999999", "99999999999999998"], "string", "category"),
        (["1850-01-31", "1860-02-01"], "date", "date"),
        (["2020-01-31", "9999-12-31"], "date", "date"),
        ([str(row) for row in range(100, 140)], "string", "id"),
        ([f"{row}.0" for row in range(40, 0, -1)], "string", "id"),
        ([f"the film number {row} was great" for row in range(40)], "string", "prose"),
        (["EUR 12", "EUR 13.50"], "string", "amount"),
        (["red", "green", "NA"], "string", "category"),
        (["x"], "string", "constant"),
        ([""], "string", "empty"),
        (["NA", "-"], "string", "empty"),
        ([f"text number {row}" for row in range(40)], "string", "text"),
    ],
)
def test_a_column_is_what_its_values_are(draft: Draws, values: list[str], kind: str, role: str) -> None:
    found = draft(table({"customer_id": ["a", "b"], "some column": values, "other": ["1", "2"]}))
    guess = next(one for one in found.columns if one.name == "some_column")
    assert (guess.settings["type"], guess.role, found.rejects) == (kind, role, {})
    made = {name for name in describe(found.use_case).model if name.startswith("some_column")}
    assert bool(made) == (role not in ("constant", "empty", "text", "id"))


@pytest.mark.parametrize(
    ("values", "decimal", "thousands"),
    [
        (["1,5", "2,25"], ",", ""),
        (["1.234,56", "7"], ",", "."),
        (["1,234.56", "7"], ".", ","),
        (["1 234,56", "7"], ",", " "),
        (["1.5", "1000"], ".", ""),
    ],
)
def test_numbers_are_read_as_they_are_written(draft: Draws, values: list[str], decimal: str, thousands: str) -> None:
    files = draft(table({"who": ["a", "b"], "x": values}, delimiter=";")).use_case.files
    assert (files.decimal, files.thousands) == (decimal, thousands)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "mac_roman"])
def test_the_encoding_is_the_one_in_which_words_are_words(draft: Draws, encoding: str) -> None:
    text = table({"city": ["São Paulo", "BRASÍLIA", "Goiânia", "Piauí", "SERVIÇO"], "x": ["1", "2"]})
    found = draft(text.encode(encoding))
    assert found.use_case.files.encoding.replace("-", "_") == {"utf-8-sig": "utf_8"}.get(encoding, encoding).replace(
        "-", "_"
    )
    assert any("encoding" in check for check in found.checks) == (not encoding.startswith("utf"))


def test_of_two_delimiters_that_part_alike_the_one_that_parts_the_names_is_taken(draft: Draws) -> None:
    """As a European spreadsheet writes it: the index has no name, and decimal commas are as many as semicolons."""
    lines = [f"{number};{number},5;{number % 7},25;{'yes' if number % 3 else 'no'}" for number in range(60)]
    found = draft("\n".join([";size;weight;label", *lines]))
    assert (found.use_case.files.delimiter, found.use_case.files.decimal) == (";", ",")
    assert {"size", "weight"} <= found.use_case.columns.keys()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_parts_every_line_alike(draft: Draws, delimiter: str) -> None:
    text = table({"who": ["Doe, John", "Roe; Jane", 'the "big" one'], "x": ["1", "2"]}, delimiter=delimiter)
    found = draft(text)
    assert found.use_case.files.delimiter == delimiter
    assert (found.rows, len(found.columns)) == (40, 3)


@pytest.mark.parametrize(("cell", "quotes"), [('"3.5"" disk"', True), ('"3.5" disk', False)])
def test_quotes_that_do_not_close_a_field_are_letters_as_others(draft: Draws, cell: str, quotes: bool) -> None:
    found = draft(table({"size": ["a", "b"], "x": ["1", "2"]}).replace("\na,", f"\n{cell},"))
    assert (found.use_case.files.quotes, found.rows, found.rejects) == (quotes, 40, {})


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("mean radius (mm)", "mean_radius_mm"),
        ("Größe", "grosse"),
        ("customerAge", "customer_age"),
        ("order", "order_value"),
        ("day", "day_value"),
        ("2019", "column_2019"),
        ("_hidden_", "hidden"),
        ("%", "column_2"),
        ("a:b, {c} #d", "a_b_c_d"),
        ("no", "no"),
    ],
)
def test_any_header_has_a_name_that_sql_takes(draft: Draws, header: str, names: str) -> None:
    found = draft(table({"who": ["a", "b"], header: ["1", "2"]}))
    assert [one.name for one in found.columns] == ["who", names, "label"]
    assert found.use_case.columns[names].header(names) == header
    assert names in describe(found.use_case).model


@pytest.mark.parametrize("reference", ["{{ env.SERVICE_TOKEN }}", "{{env.HOME}}", "{{ 7 * 7 }}", "{% raw %}"])
@pytest.mark.parametrize("place", ["label", "header"])
def test_a_table_cannot_name_a_variable_and_so_learn_its_value(draft: Draws, reference: str, place: str) -> None:
    """A value of the label stands in the configuration, where references are replaced by what the variable says."""
    if place == "label":
        text = table({"age": [*range(20, 60)]}).replace("yes", reference)
    else:
        text = table({"age": [*range(20, 60)], reference: ["red", "blue", "green"]})
    with pytest.raises(UsageError, match=re.escape(f"it has '{reference}'")):
        draft(text)


@pytest.mark.parametrize("sign", ["\u202e", "\u200b", "\u2066", "\x9b", "\U000e0041", "\ufe0f"])
def test_what_cannot_be_seen_is_escaped_in_the_draft_and_reads_back_the_same(sign: str) -> None:
    value = {f"caf\xe9{sign}": ["\u65e5", sign]}
    assert printable_lines(_flow(value)) == _flow(value)
    assert yaml.safe_load(_flow(value)) == value
    assert _flow("caf\xe9") == "caf\xe9"


def test_names_that_would_be_one_get_numbers(draft: Draws) -> None:
    found = draft(table({"a b": ["1", "2"], "a-b": ["3", "4"], "A.B": ["5", "6"], "who": ["x", "y"]}))
    assert [one.name for one in found.columns[:3]] == ["a_b", "a_b_2", "a_b_3"]


def test_a_header_cell_without_a_name_is_the_index(draft: Draws) -> None:
    found = draft(table({"": [str(row) for row in range(40)], "x": ["1", "2"]}))
    assert found.use_case.account == "row_id"
    assert list(describe(found.use_case).model) == ["x"]


def test_columns_are_taken_by_their_place_where_the_header_names_one_twice(draft: Draws) -> None:
    text = table({"x": ["1", "2"], "y": ["3", "4"]}).replace("x,y,label", "x,x,label")
    found = draft(text, label="3")
    assert (found.use_case.files.header, found.rows) == ("ignored", 40)
    assert any("names 'x' twice" in check for check in found.checks)


def test_a_table_without_a_header_begins_with_a_row(draft: Draws) -> None:
    found = draft(table({"x": ["1", "2"], "y": ["3", "4"]}).partition("\r\n")[2], label="column_3")
    assert (found.use_case.files.header, found.rows) == ("none", 40)


ROWS = [("red", "no"), ("blue", "yes"), ("green", "no"), ("red", "yes"), ("green", "yes"), ("blue", "no")] * 5


@pytest.mark.parametrize(
    ("first", "rows", "label", "kind", "lines"),
    [
        ("5,3,no", [f"{n % 7},{n},no\n{n},3,yes" for n in range(15)], "3", "none", 31),
        ("2024-01-05,red,no", [f"2024-02-{n:02d},red,no\n2024-03-01,blue,yes" for n in range(10, 25)], "3", "none", 31),
        ("red,no", [",".join(row) for row in ROWS], "2", "none", 31),
        ("A1,,no", [f"B{n % 9},{n},no\nC{n % 9},7,yes" for n in range(15)], "3", "none", 31),
        ("good film 1,red,no", [f"a film {n},red,no\nsome film {n},blue,yes" for n in range(15)], "3", "none", 31),
        (
            "review,colour,label",
            [f"a film {n},red,no\nsome film {n},blue,yes" for n in range(15)],
            "label",
            "names",
            30,
        ),
        ("2019,2020,label", [f"{n % 7},{n},no\n{n},3,yes" for n in range(15)], "label", "names", 30),
        ("colour,label", [",".join(row) for row in ROWS], "label", "names", 30),
        ("colour,label", [*(",".join(row) for row in ROWS), "colour,label"], "label", "names", 31),
        ("since,no", [f"2024-02-{n:02d},no\n2024-03-01,yes" for n in range(10, 25)], "no", "names", 30),
    ],
    ids=[
        "numbers",
        "dates",
        "texts",
        "codes",
        "free texts",
        "a name over free texts",
        "years",
        "names",
        "names twice",
        "a value",
    ],
)
def test_a_first_line_of_the_form_of_the_others_is_a_row(
    draft: Draws, first: str, rows: list[str], label: str, kind: str, lines: int
) -> None:
    found = draft("\n".join([first, *rows, ""]), label=label)
    assert (found.use_case.files.header, found.lines) == (kind, lines)
    assert found.decided.startswith({"none": "There is no header: ", "names": "The first line names"}[kind])
    assert f"column {first.count(',') + 1} of {first.count(',') + 1}" in found.decided


@pytest.mark.parametrize(("header", "kind", "rows"), [("yes", "names", 30), ("no", "none", 31)])
def test_who_says_what_the_first_line_is_decides(tmp_path: Path, header: Any, kind: str, rows: int) -> None:
    (tmp_path / "t.csv").write_text(
        "\n".join(["5,3,no", *(f"{n % 7},{n},{'no' if n % 2 else 'yes'}" for n in range(30))])
    )
    label = "no" if header == "yes" else "3"
    found = draft_use_case("case", tmp_path / "t.csv", label, tmp_path, None, TODAY, header)
    assert (found.use_case.files.header, found.rows + sum(found.rejects.values())) == (kind, rows)
    assert "--header yes" not in found.decided


def test_a_label_that_no_header_names_is_told_with_what_decides(draft: Draws) -> None:
    with pytest.raises(UsageError, match="looks like the rows below.*column_2.* --header yes says"):
        draft("\n".join(["7,no", *(f"{n % 7},{'no' if n % 2 else 'yes'}" for n in range(30))]), label="no")


def test_texts_are_read_word_by_word_beside_other_columns_and_alone(draft: Draws) -> None:
    texts = [f"the film number {row} was {'great' if row % 3 else 'awful'}" for row in range(40)]
    case = draft(table({"review": texts, "stars": ["1", "2"], "city": ["a", "b"]})).use_case
    linear, forest = case.training.candidates["linear"], case.training.candidates["forest"]
    assert case.training.texts == ("review",)
    assert [one.columns for one in linear.prepare] == ["numbers", "categories", ("review",)]
    assert [(one.use.rpartition(".")[2], one.columns) for one in forest.prepare] == [
        ("SimpleImputer", "numbers"),
        ("drop", ("review",)),
    ]
    boosting = case.training.candidates["boosting"]
    assert "multi_strategy" not in boosting.parameters
    (words,) = boosting.prepare
    assert (words.use.rpartition(".")[2], words.columns, words.parameters["max_features"]) == (
        *("TfidfVectorizer", ("review",)),
        300,
    )
    alone = draft(table({"review": texts}), case="alone").use_case
    assert list(alone.training.candidates) == ["majority", "linear"]


def test_numbers_of_the_rows_are_no_feature_and_have_no_bounds(draft: Draws) -> None:
    found = draft(table({"row": [str(row + 1) for row in range(40)], "x": ["1", "5", "9"]}))
    assert list(describe(found.use_case).model) == ["x"]
    assert (found.use_case.columns["row_value"].min, found.use_case.columns["row_value"].max) == (None, None)
    with pytest.raises(UsageError, match=r"No column is left to learn from: .*: row_value \(id\)\."):
        draft(table({"row": list(range(40))}), case="alone")


def test_numbers_of_rows_some_of_which_were_taken_out_are_no_feature_either(draft: Draws) -> None:
    kept = [row for row in range(1, 181) if row % 3]
    found = draft(table({"row": kept, "fifth": [row * 5 for row in kept], "x": ["1", "5", "9"]}, rows=120))
    assert list(describe(found.use_case).model) == ["fifth", "x"]


@pytest.mark.parametrize(
    ("dates", "bounds", "missing"),
    [
        (["1850-01-31", "2020-02-01"], (dt.date(1800, 1, 1), None), ()),
        (["2020-01-31", "2345-02-01"], (None, dt.date(2399, 12, 31)), ()),
        (["2020-01-31", "9999-12-31", "0001-01-01"], (None, None), ("0001-01-01", "9999-12-31")),
        (["2020-01-31", "2020-02-01"], (None, None), ()),
    ],
)
def test_dates_beyond_those_that_a_contract_takes_widen_it_or_are_no_value(
    draft: Draws, dates: list[str], bounds: tuple[dt.date | None, dt.date | None], missing: tuple[str, ...]
) -> None:
    found = draft(table({"who": ["a", "b"], "since": dates}))
    column = found.use_case.columns["since"]
    assert (column.min, column.max, column.missing, found.rejects) == (*bounds, missing, {})


def test_an_account_is_not_the_same_in_all_rows(draft: Draws) -> None:
    assert draft(table({"bank": ["b"], "city": ["x", "y"], "x": ["1", "2", "3"]})).use_case.account != "bank"


SHAPES: dict[str, dict[str, list[Any]]] = {
    "a thousand columns": {f"v{number}": [number % 7, number % 5, 1.5] for number in range(1_000)},
    "letters of any script": {"größe": [1, 2], "город": ["да", "нет"], "价格": [3, 4, 5]},
    "no names": {"": [1, 2, 3], " ": ["x", "y"], "a": [1.5, 2.5]},
    "names of the platform": {"select": [1, 2], "day": [3, 4], "file": [5, 6], "line": [7, 8]},
    "dates alone": {"from": [f"2024-01-{day:02d}" for day in range(1, 29)]},
    "an empty column": {"id": [""], "x": [1, 2]},
    "long names": {"a" * 300: [1, 2], "b c" * 100: ["x", "y"]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_table_of_any_shape_becomes_a_use_case_that_takes_all_its_lines(draft: Draws, shape: str) -> None:
    width = len(SHAPES[shape]) + 1
    by_place = shape == "no names"
    found = draft(table(SHAPES[shape]), label=str(width) if by_place else "label")
    assert (found.rows, found.rejects, len(found.columns)) == (40, {}, width)


def test_the_account_is_a_customer_with_several_rows_before_the_key_of_a_row(draft: Draws) -> None:
    columns = {"order_id": [f"o{n}" for n in range(40)], "customer_id": list("abcdefgh"), "x": ["1", "2"]}
    found = draft(table(columns))
    assert found.use_case.account == "customer_id"
    assert found.use_case.training.split.by == "account"
    assert list(describe(found.use_case).model) == ["x"]
    assert (
        draft_use_case(
            "own", found.folder.parents[1] / "table.csv", "label", found.folder.parent, "order_id", TODAY
        ).use_case.account
        == "order_id"
    )


def test_dates_of_an_account_give_a_split_by_time_files_by_month_and_aggregates(draft: Draws) -> None:
    dates = [str(dt.date(2024, 1, 5) + dt.timedelta(days=9 * row)) for row in range(80)]
    columns = {
        "account": list("abcd"),
        "date": dates,
        "birth date": ["1980-01-02"],
        "amount": [f"{n}.5" for n in range(9)],
    }
    found = draft(table(columns, rows=80))
    case = found.use_case
    assert (case.training.split.by, case.training.split.column) == ("time", "date")
    assert case.imports is not None
    assert (case.imports.key, case.imports.date, case.start) == (("account",), "date", dt.date(2024, 2, 1))
    assert set(describe(case).file) == {"rows_of_file", "amount_mean"}
    assert case.training.window_days > 700


def test_a_number_with_many_values_is_estimated_and_the_reason_is_told(draft: Draws) -> None:
    sizes = [1 + row * 7 % 60 / 10 for row in range(60)]
    columns = {"size": sizes, "price": [f"{3 * size + row % 7 / 10:.2f}" for row, size in enumerate(sizes)]}
    found = draft(table(columns, rows=60), label="price")
    training = found.use_case.training
    assert (training.task, training.metric, training.baseline) == ("regression", "mae", "median")
    assert [*training.candidates] == ["median", "linear", "forest", "boosting"]
    assert 0 < training.gate.margin["mae"] < 3
    assert found.use_case.columns["price"].type == "number"
    assert any("price is a number with" in check and "training.task: regression" in check for check in found.checks)
    assert "price" not in describe(found.use_case).model


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("fee", r"the label 'fee' is a number with 40 values, but not written as the other numbers of the table"),
        ("note", "too many to learn as classes, .* 40 rows are none, the first of them 'n0'"),
        ("sold", "it is a date: make a column of how many days"),
        ("vast", "goes up to 3.9e.301, and models reckon up to 3e.38: use a larger unit"),
        ("same", "has 1 values"),
        ("absent", "--label absent: .* has no such column; it has price, fee, note, sold, vast, same, label"),
    ],
)
def test_a_label_that_is_none_is_refused_with_what_to_do(
    draft: Draws, tmp_path: Path, label: str, message: str
) -> None:
    columns = {
        "price": [f"{n}.25" for n in range(40)],
        "fee": [f"{n},5" for n in range(40)],
        "note": [f"n{n}" for n in range(40)],
        "sold": [f"2026-{1 + n % 2:02}-{1 + n // 2:02}" for n in range(40)],
        "vast": [f"{n}e300" for n in range(40)],
        "same": ["1"],
    }
    with pytest.raises(UsageError, match=message):
        draft(table(columns), label=label)
    assert not (tmp_path / "cases").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        ("a,label\n1,2\n".encode("utf-16"), "UTF-16.*iconv"),
        (b"PK\x03\x04\0\0\0", "NUL bytes"),
        (b"\x1f\x8b\x08\0\0", "stops in the middle of what is packed"),
        (b"one column\nx\ny\n", "neither comma, semicolon, tab nor bar"),
        (b"label,empty\n" + b"x,\ny,\n" * 20, "no column beside the label"),
    ],
)
def test_a_file_that_is_no_table_is_refused(draft: Draws, data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        draft(data)


def test_a_folder_that_is_there_is_never_written_into(draft: Draws, tmp_path: Path) -> None:
    (tmp_path / "cases" / "case").mkdir(parents=True)
    with pytest.raises(UsageError, match="is there already"):
        draft(table({"who": ["a"], "x": ["1", "2"]}))
    assert list((tmp_path / "cases").rglob("*")) == [tmp_path / "cases" / "case"]


def test_of_a_large_table_only_the_beginning_is_looked_at(draft: Draws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_assets.tools.tables.samples.SAMPLE", 1_000)
    found = draft(table({"who": ["a,\r\nb", "c"], "x": ["1", "2"]}, rows=400))
    assert (found.whole, found.rejects) == (False, {})
    assert 60 < found.rows < 100
    assert found.use_case.columns["label"].allowed == ()
    assert any("only the beginning" in check for check in found.checks)


def test_lines_that_the_contract_does_not_take_are_counted(draft: Draws) -> None:
    assert draft(table({"who": ["a", "b"], "x": ["1", "2"]}) + "\r\n1,2,3,4\r\n").rejects == {
        "blank_line": 1,
        "field_count": 1,
    }


LETTERS = st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
WRITTEN = {
    "integer": st.integers(-(2**53) + 1, 2**53 - 1).map(str),
    "number": st.floats(-1e12, 1e12, allow_nan=False).map(repr),
    "date": st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)).map(lambda day: day.strftime("%d.%m.%Y")),
    "timestamp": st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
        lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S")
    ),
    "string": LETTERS,
}
"""Type: how a value of it is written."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """A table of columns with known types, and its bytes."""
    kinds = draw(st.lists(st.sampled_from(sorted(WRITTEN)), min_size=1, max_size=5))
    rows = draw(st.integers(20, 40))
    names = {f"{kind} {place}": kind for place, kind in enumerate(kinds)}
    columns = [[f"key-{row}" for row in range(rows)], [str(row % 7) for row in range(rows)]]
    columns += [draw(st.lists(st.just("") | WRITTEN[kind], min_size=rows, max_size=rows)) for kind in kinds]
    columns.append(["yes", "no"] * (rows // 2) + ["no"] * (rows % 2))
    out = io.StringIO()
    writer = csv.writer(
        out,
        delimiter=draw(st.sampled_from(",;\t|")),
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    writer.writerow(["key", "small", *names, "answer"])
    writer.writerows(zip(*columns, strict=True))
    return names, out.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252"])))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=tables())
def test_a_table_of_known_types_is_read_whole_by_the_contract_that_is_guessed(
    tmp_path_factory: pytest.TempPathFactory, written: tuple[dict[str, str], bytes]
) -> None:
    names, data = written
    folder = tmp_path_factory.mktemp("draft")
    (folder / "table.csv").write_bytes(data)
    found = draft_use_case("case", folder / "table.csv", "answer", folder, None, TODAY)
    case = load_use_case(found.folder)
    pack = CsvReader(case).read([data])
    rows, refusals = check_rows(case, ["table.csv"], pack)
    assert (refusals, pack.refusals) == ([], [])
    assert rows.num_rows == pack.lines[0] >= 20
    kinds = dict(zip(list(case.columns)[2:], names.values(), strict=False))
    for name, kind in kinds.items():
        if kind != "string" and rows[name].null_count < rows.num_rows:
            wider = {"integer": ("integer", "number")}.get(kind, (kind,))
            assert case.columns[name].type in wider


def new(*arguments: str | Path) -> Result:
    """Run `mlops-assets new`."""
    return CliRunner().invoke(cli, ["new", *map(str, arguments)], catch_exceptions=False)


Published = tuple[Settings, dict[str, str]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    yield from publish(tmp_path_factory.mktemp("home"), "wine")


@pytest.fixture(scope="module")
def all_published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    yield from publish(tmp_path_factory.mktemp("home"), *PUBLISHED)


def publish(home: Path, *tables: str) -> Iterator[Published]:
    """Published tables after the commands that `new` prints: all state, and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLOPS_RAW", "MLOPS_LAKE", "MLFLOW_TRACKING_URI", "MLOPS_USE_CASES", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        patch.setenv("MLOPS_HOME", str(home))
        patch.setenv("MLOPS_WORKERS", "1")
        said = {}
        for name in tables:
            file, label = PUBLISHED[name]
            done = new(name, "--from", DATA / file, "--label", label, "--into", home / "cases")
            said[name] = done.output
            assert done.exit_code == 0
        patch.setenv("MLOPS_USE_CASES", str(home / "cases"))
        state, definitions = Settings.from_environment(), defs()
        give_stores(home, "mlflow")
        with measured_briefly(), dg.DagsterInstance.ephemeral() as instance:
            for name, output in said.items():
                command = next(line.split()[1:] for line in output.splitlines() if "mlops-assets import" in line)
                assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
                day = command[-1]
                case = load_use_case(home / "cases" / name)
                running.run_use_case(definitions, instance, case, (day, day), train=True)
        yield state, said


def test_a_published_table_predicts_without_an_edit(published: Published) -> None:
    see_predictions(published, "wine", 178)


@pytest.mark.long
@pytest.mark.parametrize(("name", "rows"), [("iris", 150), ("wine", 178), ("cancer", 569)])
def test_published_tables_predict_beside_each_other(all_published: Published, name: str, rows: int) -> None:
    see_predictions(all_published, name, rows)


def see_predictions(published: Published, name: str, rows: int) -> None:
    state, said = published
    assert f"This contract takes {rows} of {rows} lines of the file." in said[name]
    predictions = Lake(state.lake, name).table("predictions")
    (day,) = predictions.days()
    assert predictions.read_all([day]).num_rows == rows
    champion = collect(Workspace(state).of(load_use_case(state.use_cases[1] / name)))["champion"]
    assert champion["metrics"]["accuracy"] > champion["baseline_metrics"]["accuracy"] + 0.2


def test_the_walkthrough_shows_what_is_printed(published: Published) -> None:
    text = (Path(__file__).parents[2] / "docs" / "new_use_case.md").read_text()
    commands, output = re.findall(r"<!-- test: (?:commands|output) -->\n```\w+\n(.*?)```", text, re.S)
    file, label = PUBLISHED["wine"]
    assert f"{file}\nmlops-assets new wine --from $TABLE --label {label} --into use_cases" in commands
    assert f"{len(DATES)} formats of days" in text
    said = published[1]["wine"].splitlines()
    assert [line for line in output.splitlines() if line not in said] == ["...", "..."]
    printed = [line.split()[:3] for line in said if line.startswith("  mlops-assets")]
    assert [line.split()[:3] for line in commands.splitlines() if " import " in line or " run " in line] == printed


def test_a_name_that_is_taken_is_refused(settings_home: None, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, ["new", "transactions", "--from", str(DATA / "iris.csv"), "--label", "virginica", "--into", str(tmp_path)]
    )
    assert isinstance(done.exception, UsageError)
    assert "There is a use case 'transactions' already" in str(done.exception)


@pytest.fixture
def settings_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_USE_CASES", raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not beside this checkout")
@pytest.mark.parametrize(
    ("folder", "label", "rows", "account"),
    [("loan_approval", "Loan_Approval", 1_000, "row_id"), ("transactions", "grupo_estabelecimento", 3_944, "id")],
)
def test_the_real_tables_are_read_whole(tmp_path: Path, folder: str, label: str, rows: int, account: str) -> None:
    (path,) = (REAL_DATA / folder).glob("*.csv")
    found = draft_use_case("case", path, label, tmp_path, None, TODAY)
    assert (found.rows, found.rejects, found.use_case.account) == (rows, {}, account)
    assert found.use_case.files.encoding in ("utf-8", "mac-roman")
    assert bool(describe(found.use_case).file) == (folder == "transactions")
