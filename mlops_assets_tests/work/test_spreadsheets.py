"""Texts that a spreadsheet would compute get an apostrophe, and come back as they were."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.work.spreadsheets import RAW_MARKED, mark, marked_reader, unmark
from mlops_assets_tests.helpers.evil import FORMULAS

TEXTS = st.text(st.sampled_from("=+-@'\";,|\t\r\n ab1\uff1d\uff20\ufeff\u200b\xa0\u3000\x0b\x85")) | st.text()


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_with_a_formula_however_a_spreadsheet_parts_them(text: str) -> None:
    cells = re.split(r"[;\t\r\n]", mark(text))
    assert not [cell for cell in cells if cell.strip(' "')[:1] in set("=+-@\uff1d")]
    assert mark(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", ["", "a", "a-b", "a=b", "x@y", "1;2", "'quoted'", "e-mail"])
def test_another_text_is_left_alone(text: str) -> None:
    assert mark(text) == text


@pytest.mark.parametrize("unseen", ["\x00", "\x1f", "\xad", "\u2060", "\u202e", "\u3164"])
def test_what_is_not_seen_hides_no_formula(unseen: str) -> None:
    assert mark(f"{unseen}=1") == f"'{unseen}=1"


@given(TEXTS)
def test_what_was_marked_comes_back_as_it_was(text: str) -> None:
    assert unmark(mark(text)) == text


@given(st.lists(st.none() | TEXTS))
def test_a_column_is_marked_as_its_texts_are(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    for kind in (column, column.dictionary_encode()):
        table = pa.table({"text": kind, "number": pa.array([-1] * len(texts), pa.int64())})
        done = marked_reader(table.to_reader(max_chunksize=3)).read_all()
        assert done["text"].to_pylist() == [None if text is None else mark(text) for text in texts]
        assert done["number"].to_pylist() == [-1] * len(texts)


def test_a_column_of_raw_lines_says_by_its_name_that_it_is_marked() -> None:
    assert marked_reader(pa.table({"raw": ["=1"]}).to_reader()).read_all().column_names == [RAW_MARKED]
