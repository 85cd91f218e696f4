"""Files that are alike are read together, and become what they become one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mlops_assets.journey.read.readers import open_format
from mlops_assets.journey.read.readers.formats import Format
from mlops_assets.use_case import UseCase
from mlops_assets_tests.helpers.formats import FORMATS, ROW, Outcome, contract, written

OTHERS = [form for form in FORMATS if form != "csv"]
CASES = {form: contract(form) for form in OTHERS}

# what means something to a format, within values and around them
SIGNS = [
    '"', "\\", ",", ', "', '\\"', ", \\\"city\\\": ", "\x1f", "\x1e", "\t", " ", "<", "&", "&amp;", "]]>", "<!-- ", "{", "}",
    "é", "日本", "😀", "\ufeff", "\ufffe", "\x85", "\u2028", "0", "-", "null",
]  # fmt: skip
SWAPS = [
    (b'", "', b'","'), (b": ", b":"), (b"}\n", b"} \n"), (b"null", b'""'), (b"true", b"truth"), (b"-12.5", b"-12.50"),
    (b"-12.5", b"-012.5"), (b"-12.5", b"NaN"), (b'"A1"', b'"A\\u0000"'), (b'"A1"', b'"A\\ud800"'), (b"city", b"kind"),
    (b"<city>", b'<city a="1">'), (b"</city>", b"</city><!-- - -->"), (b"<city></city>", b"<city/>"), (b"A1", b"&#65;1"),
    (b"<records>", b"<!DOCTYPE x><records>"), (b"<records>", b"<r xmlns='u'><records>"), (b"</records>", b"</recs>"),
    (b"A1", b"A<![CDATA[<]]>"), (b"A1", b"A]]>"), (b"</purchase>", b"</purchase>x"), (b"UTF-8", b"latin-1"),
    (b"<purchase>", b"<purchase ><kind2/>"), (b"A1  ", b"A1 "), (b"A1  ", b"A1\t "), (b"\n", b"\r\n"), (b"\n", b""),
    (b"\n", b"\n\n"), (b"A1", b"A\r"), (b"A1", b"\xff"), (b"A1", b"\0"), (b"\xc3\xa3", b"a"), (b"\n", b"   \n"),
]  # fmt: skip

texts = st.lists(st.sampled_from([*SIGNS, "a", "Z"]), max_size=5).map("".join)
rows = st.lists(
    st.builds(
        lambda **some: {**ROW, **some},
        account=st.just("A1") | texts.map(lambda text: f"A{text}"),
        city=texts,
        amount=st.sampled_from(["-12.5", "1e3", "00", "", "7000", "1" * 30]),
        paid=st.sampled_from(["true", "false", "", "x"]),
    ),
    min_size=1,
    max_size=4,
)


def file_of(case: UseCase, some: list[dict[str, str]], swaps: list[tuple[bytes, bytes, int]]) -> bytes:
    """A file of rows that its format can hold, and some bytes put in the place of others."""
    form = open_format(case)
    assert form is not None
    data = form.write([row for row in some if holds(form, row)] or [ROW])
    for old, new, times in swaps:
        data = data.replace(old, new, times)
    return data


def holds(form: Format, row: dict[str, str]) -> bool:
    try:
        form.write([row])
    except Exception:
        return False
    return True


def told(case: UseCase, *contents: bytes) -> tuple[Any, ...]:
    found = Outcome(case, *contents)
    return found.table.to_pydict(), found.refusals, found.counts, found.pack.noticed, found.pack.examples


@pytest.mark.parametrize("form", OTHERS)
@given(data=st.data())
@settings(max_examples=15, deadline=None, phases=(Phase.generate,))
def test_files_read_together_become_what_they_become_one_by_one(form: str, data: st.DataObject) -> None:
    together_is_one_by_one(form, data)


@pytest.mark.long
@pytest.mark.parametrize("form", OTHERS)
@given(data=st.data())
@settings(max_examples=3_000, deadline=None)
def test_many_files_read_together_become_what_they_become_one_by_one(form: str, data: st.DataObject) -> None:
    together_is_one_by_one(form, data)


def together_is_one_by_one(form: str, data: st.DataObject) -> None:
    case = CASES[form]
    swaps = st.lists(
        st.tuples(st.sampled_from(SWAPS), st.integers(-1, 2)).map(lambda one: (*one[0], one[1])), max_size=2
    )
    contents = [
        file_of(case, data.draw(rows), [] if form == "parquet" else data.draw(swaps))
        for _ in range(data.draw(st.integers(4, 7)))
    ]
    together = told(case, *contents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlops_assets.journey.read.readers.formats.FEWEST", 100)
        assert told(case, *contents) == together


@pytest.mark.parametrize("form", OTHERS)
def test_files_that_are_alike_are_joined_and_one_that_is_not_is_left_out(form: str) -> None:
    case = CASES[form]
    maker = open_format(case)
    assert maker is not None
    files = {number: written(case, [ROW, {**ROW, "city": str(number)}]) for number in (1, 2, 5, 8, 9)}
    files[5] = files[5][:-40]
    (joined,) = maker.join(files)
    assert joined.rows == {1: 2, 2: 2, 8: 2, 9: 2}
    assert joined.columns["city"].to_pylist() == [
        ROW["city"],
        "1",
        ROW["city"],
        "2",
        ROW["city"],
        "8",
        ROW["city"],
        "9",
    ]


def test_files_of_two_programs_are_joined_by_their_form() -> None:
    case = CASES["jsonl"]
    maker = open_format(case)
    assert maker is not None
    files = {number: written(case, [ROW] * 3) for number in range(12)}
    files |= {number: files[number].replace(b', "', b',"').replace(b": ", b":") for number in (0, 2, 3, 7)}
    files[2] = files[2].replace(b':"FOOD"', b':"FOOD","more":1', 1)
    assert [[*one.rows] for one in maker.join(files)] == [[0, 3, 7], [1, 4, 5, 6, 8, 9, 10, 11]]
