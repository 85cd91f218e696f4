"""What holds for files of every format: the same rows, the same rejects, every record one or the other."""

from __future__ import annotations

import dataclasses
import gzip
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.journey.read.readers.packing import MAGIC
from mlops_assets_tests.helpers.formats import FORMATS, ROW, Outcome, contract, written

NOSHRINK = (Phase.generate,)
OTHERS = [form for form in FORMATS if form != "csv"]
CASES = {form: contract(form) for form in FORMATS}
PACKED = {form: contract(form, compression="gzip") for form in FORMATS}

plain = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "account": plain.filter(bool),
            "date": st.sampled_from(["2026-01-02", "2199-12-31", "", "31.12.2026"]),
            "at": st.sampled_from(["2026-01-02 03:04:05", "", "gestern"]),
            "amount": st.floats(-1e9, 999).map(repr) | st.sampled_from(["", "1e999", "nan", "12,5", "1_0", "7000"]),
            "pieces": st.integers(-(2**60), 2**60).map(str) | st.sampled_from(["", "3.0", "x"]),
            "paid": st.sampled_from(["true", "false", "yes", "", "?"]),
            "city": plain,
            "kind": st.sampled_from(["FOOD", "FUEL", ""]),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(rows=rows)
@settings(max_examples=25, deadline=None, phases=NOSHRINK)
def test_the_same_rows_come_out_of_every_format_with_the_same_rejects(rows: list[dict[str, str]]) -> None:
    expected = Outcome(CASES["csv"], written(CASES["csv"], rows))
    for form in OTHERS:
        found = Outcome(CASES[form], written(CASES[form], rows))
        assert found.rows == expected.rows, form
        assert found.rejects == expected.rejects
        assert [one.message for one in found.refusals] == [one.message for one in expected.refusals]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_packed_file_is_what_it_holds(form: str, compression: str) -> None:
    case = contract(form, compression=compression)
    assert Outcome(case, written(case, [ROW, ROW])).rows == Outcome(CASES[form], written(CASES[form], [ROW, ROW])).rows


@pytest.mark.parametrize("form", OTHERS)
def test_several_files_are_read_in_their_order_and_one_that_is_refused_harms_no_other(form: str) -> None:
    case = CASES[form]
    good = written(case, [ROW, {**ROW, "account": ""}, ROW])
    found = Outcome(case, good, b"", written(case, [{**ROW, "account": "B"}]))
    assert found.table["file"].to_pylist() == [f"0{case.files.suffix}"] * 2 + [f"2{case.files.suffix}"]
    assert found.values("line") == [1, 3, 1]
    assert [(one.file, one.line, one.rule) for one in found.refusals] == [(0, 2, "required"), (1, None, "empty_file")]


@pytest.mark.parametrize("form", OTHERS)
def test_a_reject_shows_its_record_of_which_a_mended_file_can_be_made(form: str) -> None:
    case = CASES[form]
    found = Outcome(case, written(case, [ROW, {**ROW, "amount": "7000"}]))
    assert found.only.line == 2
    assert "7000" in found.only.raw
    from mlops_assets.journey.read.readers import open_format

    maker = open_format(case)
    assert maker is not None
    mended = Outcome(case, maker.rebuild([found.only.raw.replace("7000", "70  ")]))
    assert mended.values("amount") == [70.0]
    assert {**mended.rows[0], "amount": -12.5, "line": 1} == found.rows[0]


@pytest.mark.parametrize("form", OTHERS)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_are_every_record_is_a_row_or_a_reject(form: str, data: st.DataObject) -> None:
    case = CASES[form]
    whole = bytearray(written(case, [ROW, {**ROW, "city": "x"}, ROW]))
    kind = data.draw(st.sampled_from(["any", "cut", "changed", "twice"]))
    if kind == "any":
        whole = bytearray(data.draw(st.binary(max_size=200)))
    elif kind == "cut":
        del whole[data.draw(st.integers(0, len(whole))) :]
    elif kind == "twice":
        whole = whole * 2
    else:
        for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
            whole[at] = data.draw(st.integers(0, 255))
    found = Outcome(case, bytes(whole))  # raises where the accounting does not add up
    assert found.counts["rows"] + len(found.refusals) >= 1
    assert all(refusal.message for refusal in found.refusals)


@pytest.mark.long
@pytest.mark.parametrize("form", [*OTHERS, "packed"])
@given(data=st.data())
@settings(max_examples=2_000, deadline=None)
def test_whatever_many_bytes_are_every_record_is_a_row_or_a_reject(form: str, data: st.DataObject) -> None:
    case = PACKED["csv"] if form == "packed" else CASES[form]
    whole = bytearray(written(case, [ROW, {**ROW, "city": "x"}, ROW] * 3))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=10)):
        whole[at] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(0, 2 * len(whole))) :]
    assert Outcome(case, bytes(whole)).counts["files"] == 1


@given(data=st.binary(max_size=100), cut=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_whatever_a_packed_file_holds_it_is_read_or_refused(data: bytes, cut: int) -> None:
    for content in (data, MAGIC["gzip"] + data, MAGIC["zstd"] + data, gzip.compress(data)[:cut]):
        for compression in ("gzip", "zstd"):
            assert len(Outcome(contract("csv", compression=compression), content).refusals) >= 1


def test_a_contract_of_before_keeps_its_fingerprint() -> None:
    case = CASES["csv"]
    assert not {"format", "compression", "record"} & case.files.reading().keys()
    assert "at" not in case.columns["city"].reading()
    fingerprints = {one.contract_fingerprint for one in [*CASES.values(), *PACKED.values()]}
    assert len(fingerprints) == len(CASES) + len(PACKED)


@pytest.mark.parametrize(
    ("form", "files", "told"),
    [
        ("jsonl", {"delimiter": ";"}, "delimiter says nothing of files of the format jsonl"),
        ("parquet", {"complete": "line_end"}, "complete says nothing of files of the format parquet"),
        ("csv", {"record": "row"}, "record says nothing of files of the format csv"),
        ("xml", {"record": ""}, "record: name the element"),
        ("xml", {"record": "a/b"}, "'a/b' is not the name of an element"),
        ("fixed", {"header": "names"}, "files of fixed width name no columns"),
        ("jsonl", {"reader": "mlops_assets.defs.topics.reader.TextReader"}, "say one of them"),
    ],
)
def test_a_key_that_would_be_passed_over_is_refused(form: str, files: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        contract(form, **files)


def test_places_are_for_fixed_width_and_for_nothing_else() -> None:
    with pytest.raises(ValidationError, match=r"columns.city.at: only files of `format: fixed` have places"):
        contract("csv", {"city": {"at": [1, 2]}})
    with pytest.raises(ValidationError, match="ends before it begins"):
        contract("csv", {"city": {"at": [2, 1]}})
    with pytest.raises(ValidationError, match=r"columns.account.at: name the first and last place"):
        contract("csv", format="fixed")


def test_a_refused_record_has_a_refusal_with_a_place() -> None:
    fields = {field.name for field in dataclasses.fields(Outcome(CASES["jsonl"], b"x\n{}\n").refusals[0])}
    assert {"line", "rule", "message", "raw"} <= fields
