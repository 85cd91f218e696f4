"""XML: elements are records, paths are columns; what makes XML dangerous refuses the file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.journey.read.readers.xml import XmlRecords
from mlops_assets_tests.helpers.formats import ROW, Outcome, contract

CASE = contract("xml")
BODY = "".join(f"<{name}>{text}</{name}>" for name, text in ROW.items())
ONE = f"<purchase>{BODY}</purchase>"


def document(*records: str, head: str = "", tail: str = "</shop>") -> bytes:
    return f"{head}<shop>{''.join(records)}{tail}".encode()


def changed(name: str, element: str) -> str:
    return ONE.replace(f"<{name}>{ROW[name]}</{name}>", element)


def read(*records: str, head: str = "", tail: str = "</shop>") -> Outcome:
    return Outcome(CASE, document(*records, head=head, tail=tail))


def test_prefixes_attributes_and_whatever_lies_around_records_are_no_matter() -> None:
    pretty = ONE.replace("><", ">\n  <").replace("<purchase>", '<purchase id="7">')
    other = ONE.replace("<", "<b:").replace("<b:/", "</b:")
    found = read("<head><total>2</total></head>", pretty, "<!-- <purchase> -->", other, "<![CDATA[ <purchase> ]]>")
    assert found.rejects == []
    assert found.values("city") == ["São Paulo"] * 2
    assert found.pack.raw(0, 1) == pretty
    assert found.pack.raw(0, 2) == other


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("<city>A &amp; B &lt;&#233;</city>", "A & B <é"),
        ("<city><![CDATA[<b>]]>x</city>", "<b>x"),
        ("<city>a<!-- no -->b</city>", "ab"),
        ("<city/>", None),
        ('<city xsi:nil="true">x</city>', None),
        ("", None),
    ],
)
def test_the_text_of_an_element_is_its_value(element: str, value: str | None) -> None:
    assert read(ONE, changed("city", element)).values("city") == ["São Paulo", value]


@pytest.mark.parametrize(
    ("element", "rule"),
    [("<city>a</city><city>b</city>", "duplicate_key"), ("<city>a<b>c</b></city>", "nested")],
)
def test_a_record_that_is_no_row_is_a_reject(element: str, rule: str) -> None:
    found = read(ONE, changed("city", element), ONE)
    assert found.values("line") == [1, 3]
    assert (found.only.line, found.only.rule) == (2, rule)
    assert found.only.raw == changed("city", element)


def test_paths_lead_to_elements_within_elements_and_to_attributes() -> None:
    case = contract("xml", {"city": {"from": "shop/city"}, "account": {"from": "@no"}, "kind": {"from": "shop/@kind"}})
    record = changed("city", '<shop kind="FUEL"><city>Rio</city></shop>').replace(
        "<purchase", '<purchase no="A&quot;9"'
    )
    found = Outcome(case, document(record))
    assert (found.values("city"), found.values("account"), found.values("kind")) == (["Rio"], ['A"9'], ["FUEL"])


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [LAUGHS, OUTSIDE, '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">', "<!DOCTYPE x>"])
def test_a_document_type_refuses_the_file(head: str) -> None:
    found = read(ONE, head=head)
    assert found.rejects == [(None, "document_type")]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b" ", "empty_file"),
        (b"<shop/>", "no_rows"),
        (document(ONE, tail=""), "truncated"),
        (document(ONE)[:-30], "truncated"),
        (document(ONE, "<a></b>"), "not_xml"),
        (document(ONE) + b"x", "not_xml"),
        (document(ONE.replace("São", "&nbsp;")), "not_xml"),
        (document(f"<purchase>{ONE}</purchase>"), "not_xml"),
        (document("<a>" * 100 + ONE + "</a>" * 100), "not_xml"),
        (document(ONE.replace("<city>", "<city>" + "<a>" * 100)), "not_xml"),
        (document(ONE).decode().encode("utf-16"), "encoding"),
        (document(ONE, head='<?xml version="1.0" encoding="klingon"?>'), "encoding"),
        (document(ONE, head='<?xml version="1.0" encoding="shift_jis"?>'), "encoding"),
        (document(ONE).replace(b"\xc3\xa3", b"\xe3"), "not_xml"),
        (document(changed("city", "")), "missing_column"),
    ],
)
def test_a_file_that_is_no_use_is_refused_as_a_whole(data: bytes, rule: str) -> None:
    assert Outcome(CASE, data).rejects == [(None, rule)]


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252"])
def test_a_file_is_in_the_encoding_that_it_says(encoding: str) -> None:
    data = document(ONE, head=f'<?xml version="1.0" encoding="{encoding}"?>').decode().encode(encoding)
    found = Outcome(CASE, data)
    assert found.values("city") == ["São Paulo"]
    assert "São" in found.pack.raw(0, 1)


def test_an_element_with_nearly_the_name_of_a_column_is_noticed() -> None:
    found = read(changed("kind", "<Kind>FOOD</Kind>"))
    assert found.pack.noticed == {"absent_kind": 1, "misnamed_column": 1}


def test_a_record_that_ends_at_once_is_found_with_what_its_attributes_hold() -> None:
    case = contract("xml", {name: {"from": f"@{name}"} for name in ROW})
    attributes = " ".join(f'{name}="{text}"' for name, text in {**ROW, "city": "a > b"}.items())
    found = Outcome(case, document(f"<purchase {attributes}/>", f"<purchase {attributes.replace('-12.5', 'x')} />"))
    assert found.values("city") == ["a > b"]
    assert found.only.raw.endswith('kind="FOOD" />')


names = st.sampled_from([*ROW, "purchase", "other", "b:city"])
elements = st.recursive(
    st.tuples(names, st.sampled_from(["", ' a="1"']), st.sampled_from(["", "x", " y ", "&lt;", "<!-- c -->z", "<![CDATA[<]]>"])),
    lambda deeper: st.tuples(names, st.just(""), st.lists(deeper, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def spelt(element: tuple[str, str, Any]) -> str:
    name, attributes, below = element
    return f"<{name}{attributes}>{below if isinstance(below, str) else ''.join(map(spelt, below))}</{name}>"


@given(found=st.lists(elements, max_size=5), whole=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_flat_records_are_read_as_all_others_are(found: list[tuple[str, str, Any]], whole: int) -> None:
    reader = XmlRecords(CASE)
    data = document(*[ONE] * whole, *map(spelt, found))
    fast = reader._flat(data)
    if fast is None:
        return
    slow = reader._parse(data)
    wanted = [(number, {name: text for name, text in values.items() if name in ROW}) for number, values in fast.records]
    assert (wanted, fast.seen) == (slow.records, slow.seen)
    assert slow.bad == []


def test_a_plain_file_is_read_the_fast_way() -> None:
    assert XmlRecords(CASE)._flat(document("<head/>", ONE, ONE)) is not None
