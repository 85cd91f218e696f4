"""What came from a file is shown as one line of signs that can be seen, and two texts never look the same."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.work.printable import MARKS, cut, printable, printable_lines, width
from mlops_assets_tests.helpers.evil import TERMINAL, unseen

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\nrtu0123456789abcdef\x1b\u202e\u0301"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name_1.csv", "plain name_1.csv"),
        ("naïve Übung", "naïve Übung"),
        ("esc\x1b[31mred.txt", r"esc\u001b[31mred.txt"),
        ("\x1b]0;title\a", r"\u001b]0;title\u0007"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x7f\x9b", r"\u007f\u009b"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("\u2066\u200e\u061c\u200b\ufeff\u2028", r"\u2066\u200e\u061c\u200b\ufeff\u2028"),
        ("a\u3164b\u2800c\ufe0f", r"a\u3164b\u2800c\ufe0f"),
        (os.fsdecode(b"no utf-8 \xff"), r"no utf-8 \udcff"),
        (r"C:\temp", r"C:\\temp"),
        (r"C:\data", r"C:\data"),
    ],
)
def test_what_cannot_be_seen_is_written_as_json_writes_it(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(TEXTS)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not unseen(printable(text))
    assert "\n" not in printable(text)
    assert not unseen(printable_lines(text))


@given(TEXTS, TEXTS)
def test_two_texts_are_shown_differently(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)
    assert printable(one + "\\") != printable(one)


@given(TEXTS)
def test_json_says_the_same_when_it_was_made_printable(text: str) -> None:
    shown = printable_lines(json.dumps([text], ensure_ascii=False, indent=2))
    assert json.loads(shown) == [text]
    assert not unseen(shown)


def test_the_last_line_of_defence_leaves_what_is_printable_already() -> None:
    assert printable_lines(f"one\n  {printable(TERMINAL)}\n") == f"one\n  {printable(TERMINAL)}\n"


def test_signs_heaped_on_a_letter_are_no_flood() -> None:
    assert printable("e" + "\u0301" * 100).count("\u0301") == MARKS
    assert printable("n\u0303o\u0308") == "n\u0303o\u0308"


def test_letters_of_east_asia_take_two_columns_and_marks_none() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301", "שלום")] == [3, 4, 1, 4]


def test_a_long_text_is_cut() -> None:
    assert (cut("x" * 60), cut("x" * 61)) == ("x" * 60, "x" * 57 + "...")
