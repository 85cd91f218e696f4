"""What is said of a drifted day comes from strangers' files, and stays text: in a terminal, a table, a picture, a chat."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from markdown_it import MarkdownIt

from mlops_assets.events.happened import LampTurned
from mlops_assets.journey.score.profile.counts import Bins, Counts, Profile, Said
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.rows import Evidence
from mlops_assets.monitoring.verdicts import Explained
from mlops_assets.monitoring.words import Beside, of_column
from mlops_assets.use_case import UseCase
from mlops_assets.views import drift as views
from mlops_assets.views import markdown
from mlops_assets.views.multiples import small_multiples
from mlops_assets_tests.helpers.evil import MARKDOWN, TERMINAL, lines_of_their_own, unseen

DAY = "2026-01-05"
RENDER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def lamp_of(text: str) -> Lamp:
    """A red lamp of a column whose name and new values are a stranger's."""
    bins = Bins("category", values=("web",))
    counts = Counts(np.array([90, 0]), unseen=10, new={text: 10})
    said = of_column("unseen", 0.1, Beside(("rows", text), bins, counts, counts, "in training"), (2,))
    return Lamp(f"rows.{text}", "red", "unseen", 0.1, 0.01, 0.02, "rows", text, said, "Look.", DAY, f"rejects.{text}")


def explained(text: str) -> Explained:
    """A day with that lamp, rows behind it, and one that cannot be judged."""
    lamp = lamp_of(text)
    row = {"file": text, "line": 1, "minutes": 1.5, text: text}
    behind = Evidence(lamp, lamp.sentence, 10, 1, {text: 10}, {text: 10}, {text: 10}, (row, row))
    grey = Lamp(f"rows.{text}2", "grey", "psi", sentence=lamp.sentence)
    return Explained(DayVerdict(DAY, "the training rows", (lamp, grey)), evidence=(behind,))


@pytest.mark.parametrize("text", MARKDOWN)
def test_a_terminal_obeys_nothing_of_it(text: str) -> None:
    shown = views.text([explained(text), explained("plain")])
    assert unseen(shown) == []
    assert lines_of_their_own(shown) == []
    assert json.dumps(views.as_json("visits", [explained(text)]))


def test_a_table_of_lamps_is_one_table_without_a_link_or_a_picture() -> None:
    rendered = RENDER.render(markdown.table(views.records([lamp_of(text) for text in MARKDOWN])))
    assert rendered.count("<tr>") == len(MARKDOWN) + 1
    assert set(re.findall(r"<(\w+)", rendered)) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}


def test_a_lamp_that_cannot_be_judged_has_no_numbers_in_the_table() -> None:
    (line,) = views.records([Lamp("rejects.type", "grey", "rejects", sentence="It cannot be judged.")])
    assert (line["state"], line["effect"], line["threshold"]) == ("grey", "", "")


def test_a_picture_is_drawn_of_any_names() -> None:
    bins = Bins("category", values=MARKDOWN)
    columns = {("rows", TERMINAL): Counts(np.arange(bins.number) + 1)}
    k = len(MARKDOWN)
    said = Said(np.ones(k, int), np.ones((k, k), int), np.ones(k, int), np.ones((k, 20), int))
    profile = Profile(columns, said, np.zeros(32, np.int64))
    reference = Reference({("rows", TERMINAL): bins}, MARKDOWN, (profile,), (10,), "file", (DAY, DAY))
    lamp = Lamp("rows", "red", "psi", source="rows", column=TERMINAL)
    drawn = small_multiples(views.panels(DayVerdict(DAY, "", (lamp,)), profile, reference), DAY)
    assert drawn.startswith("![")
    assert unseen(drawn) == []


@pytest.mark.parametrize("text", MARKDOWN)
def test_a_chat_is_told_one_line_that_calls_nobody(text: str, transactions: UseCase) -> None:
    lamp = lamp_of(text)
    turned = LampTurned(name=lamp.name, red=True, sentence=lamp.sentence, day=DAY, advice=lamp.advice)
    message = turned.message(transactions)
    assert "\n" not in message.title
    assert unseen(message.title + message.body) == []
    shown = message.to_post()["text"].replace("@\u200b", "")
    assert not re.search(r"<|@|\]\(", shown)
