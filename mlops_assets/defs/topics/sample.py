"""Draws short texts that can be told apart: words of a topic among common ones, with words of other topics as noise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

import numpy as np

TOPICS = {
    "SPORTS": "goal coach league referee striker penalty stadium defender season trophy sprint tackle relay fans match",
    "TECH": "software startup chip browser robot laptop server update password camera code cloud device pixel battery",
    "FOOD & DRINK": "recipe oven butter garlic roast sauce lemon bakery soup flour pepper grill cheese dessert brew",
    "POLITICS": "senate ballot minister campaign treaty veto parliament lobby mayor debate vote party bill summit",
    "SCIENCE": "telescope molecule fossil orbit enzyme laboratory galaxy genome glacier particle neuron comet test",
    "TRAVEL": "airport luggage island hotel passport cruise beach tourist ferry hostel border summit museum train walk",
    "MONEY": "mortgage savings pension interest loan dividend budget tax inflation fund broker wage market bill",
    "WELLNESS": "sleep yoga breathing stress therapy diet vitamin posture habit anxiety walk calm meditation match",
}
"""Topic: its words; some stand in two lists."""
SHARED = "record test field plan season market party train bill walk code fund summit light court star"
"""Words that any topic uses."""
COMMON = """
the a of and to in for with on at from by that this it was are has have said new year week people more than after before
when where who would could about over many most first last day time while into them their against between
"""
FOREIGN_WORDS, COMMON_WORDS = " ".join([*TOPICS.values(), SHARED]).split(), COMMON.split()
OWN, FOREIGN, MIXED = 0.22, 0.08, 0.06
"""Share of words of the topic, and of words of any topic; share of texts that are half about another topic."""
ENCODINGS = (("utf-8", 0.82), ("utf-8-sig", 0.06), ("utf-16", 0.06), ("latin-1", 0.06))
ACCENTED = ("café", "naïve", "fiancée", "señor", "über", "déjà")
"""Words that are other bytes in each encoding."""
LONGEST = 1 << 20
"""Largest file that the contract allows, in bytes."""


def draw(
    generator: np.random.Generator, day: dt.date, files: int, rows: int, dirty: float, labelled: bool
) -> Iterator[tuple[str, bytes]]:
    """Draw the files of a day; there is one text in each, whatever `rows` says.

    Parameters
    ----------
    generator
        Source of randomness.
    day
        The day, for the names of files.
    files
        Number of files.
    rows
        Not used: a file is a record.
    dirty
        Share of files that get dirt.
    labelled
        Whether a file lies in the folder of its topic.

    Yields
    ------
    tuple
        Path and bytes.
    """
    del rows
    names = list(TOPICS)
    encodings, shares = list(dict(ENCODINGS)), list(dict(ENCODINGS).values())
    soiled = generator.permutation(files)[: round(files * dirty)].tolist()
    kinds = dict(zip(soiled, cycle(range(len(_dirt(b"")))), strict=False))
    for number in range(files):
        topic = names[int(generator.integers(len(names)))]
        text = _text(generator, topic)
        data = text.encode(str(generator.choice(encodings, p=shares)))
        if number in kinds:
            data = _dirt(data)[kinds[number]]
        folder = f"{topic}/" if labelled else ""
        yield f"{folder}{day:%Y%m%d}-{number:07d}.txt", data


def _text(generator: np.random.Generator, topic: str) -> str:
    """Sentences with the words of a topic."""
    own = TOPICS[topic].split()
    if generator.random() < MIXED:
        own = own + list(TOPICS.values())[int(generator.integers(len(TOPICS)))].split()
    lengths = generator.integers(6, 16, int(generator.integers(2, 7)))
    kinds, picks = generator.random((2, int(lengths.sum()))).tolist()
    words = (_pick(_list(kind, own), at) for kind, at in zip(kinds, picks, strict=True))
    sentences = [" ".join(islice(words, length)).capitalize() + "." for length in lengths.tolist()]
    return " ".join([*sentences, f"{_pick(ACCENTED, generator.random()).capitalize()}.\n"])


def _list(kind: float, own: Sequence[str]) -> Sequence[str]:
    """The words to pick from, for a number drawn between 0 and 1."""
    if kind < OWN:
        return own
    return FOREIGN_WORDS if kind < OWN + FOREIGN else COMMON_WORDS


def _pick(words: Sequence[str], at: float) -> str:
    return words[int(at * len(words))]


def _dirt(data: bytes) -> list[bytes]:
    """The ways in which a file is spoilt; all but the last two are refused."""
    return [
        b"",
        b" \r\n\t",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        b"\x01\x02\x03\x04" * 50,
        "\ufeff".encode("utf-16-le") + b"c\0u\0t\0!",
        b"x" * (LONGEST + 1),
        data.replace(b" ", b"\r\n"),
        data * 200,
    ]
