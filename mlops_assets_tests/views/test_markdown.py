"""Markdown: keys and values of tables come from strangers, and stay text wherever they are rendered."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt

from mlops_assets.views import markdown
from mlops_assets.views.card import confusion_table
from mlops_assets.work.printable import cut, printable
from mlops_assets_tests.helpers.evil import MARKDOWN

# as a renderer that trusts whatever it is given
RENDER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def cells(rendered: str, tag: str) -> list[str]:
    """The texts of some cells, as a person reads them."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", rendered, re.S)
    return [html.unescape(re.sub(r"</?code>", "", cell)) for cell in found]


def test_a_confusion_matrix_of_any_labels_is_one_table_with_a_column_for_each() -> None:
    rendered = RENDER.render(confusion_table(MARKDOWN, [[1] * len(MARKDOWN)] * len(MARKDOWN)))
    assert rendered.count("<table>") == 1
    expected = [cut(printable(label), markdown.LONGEST) for label in MARKDOWN]
    assert cells(rendered, "th") == ["", *expected]
    assert cells(rendered, "td")[:: len(MARKDOWN) + 1] == expected
    assert set(re.findall(r"<(\w+)", rendered)) == {"table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.parametrize("text", MARKDOWN)
def test_a_value_in_a_line_is_text(text: str) -> None:
    rendered = RENDER.render(f"**{markdown.value(text)}**, it says")
    assert set(re.findall(r"<(\w+)", rendered)) <= {"p", "strong", "code"}
    assert html.unescape(re.sub(r"</?(p|strong|code)>", "", rendered)).startswith(cut(printable(text), 200))


@pytest.mark.parametrize("content", [*MARKDOWN, "one\n\n# two\n- three\n\n    four\n---\n", "word " * 100])
def test_a_description_is_one_paragraph_and_whole(content: str) -> None:
    rendered = RENDER.render(f"# Title\n\n{markdown.text(content)}\n\nmore").partition("</h1>")[2]
    assert set(re.findall(r"<(\w+)", rendered)) <= {"p", "code"}
    assert html.unescape(re.sub(r"</?(p|code)>", "", rendered)).startswith(f"\n{printable(' '.join(content.split()))}")


@pytest.mark.parametrize("address", ["http://evil.example", "WWW.evil.example", "a@evil.example", "ftp://x@www.y"])
def test_no_address_stands_in_one_piece_for_what_makes_links_unasked(address: str) -> None:
    """Such as Dagster's UI, which looks for addresses in what is left when escapes are undone."""
    texts = re.sub(r"<code>.*?</code>", "\0", RENDER.render(markdown.value(address)))
    assert not re.search(r"(?i)://|www\.|@", texts)


def test_names_stay_readable() -> None:
    assert markdown.value("plain_name 1.5 (a-b), 50%") == "plain_name 1.5 (a-b), 50%"


def test_numbers_have_four_digits() -> None:
    assert markdown.table([{"a": 0.123456, "b": 7}]).splitlines()[-1] == "| 0.1235 | 7 |"


def test_no_records_are_none() -> None:
    assert markdown.table([]) == "none"


def test_no_code_ends_its_block() -> None:
    code = "SELECT 1;\n```\n<script>\n````\n"
    assert RENDER.render(markdown.code(code, "sql")).count("<pre>") == 1
    assert "<script>" not in RENDER.render(markdown.code(code, "sql"))
