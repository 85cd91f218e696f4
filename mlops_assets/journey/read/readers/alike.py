"""Files that are alike. In: bodies whose lines have one form. Out: their rows, cut by Arrow in one go, each proven.

Lines are cut at a sign that stands between their values, and only there if they have the form. What comes out are few
distinct texts, and each must be what the form says of its place: so the line is what a parser would have found. A file
with a single line that is not proven is left to whoever reads a file at a time, and is told of by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from mlops_assets.journey.read.readers.names import Settled
from mlops_assets.journey.read.readers.pack import TEXT

FEWEST = 4
"""Files for which joining pays."""

MOST_FORMS = 8
"""Forms of lines that are tried among the files of a shard."""

BLOCK = 1 << 20
"""Bytes that are parsed at a time, as of CSV files."""

Text = Callable[[str], str | None]
"""The text of a value by how the format spells it; None where it is none, or one to be looked at where it stands."""


@dataclass(frozen=True)
class Part:
    """A place of a line between two signs.

    Attributes
    ----------
    before, behind
        What stands around the value.
    text
        Reads the value; None where there is none, and nothing but `before`.
    column
        The column of the contract that has the value, if one has.
    """

    before: str
    behind: str = ""
    text: Text | None = None
    column: str | None = None

    def read(self, spelt: str) -> str | None:
        """The text of the value, or None if the place does not hold what it should."""
        if self.text is None:
            return "" if spelt == self.before else None
        end = len(spelt) - len(self.behind)
        if end < len(self.before) or not (spelt.startswith(self.before) and spelt.endswith(self.behind)):
            return None
        return self.text(spelt[len(self.before) : end])


@dataclass(frozen=True)
class Form:
    """What lines are like.

    Attributes
    ----------
    parts
        Their places, in order.
    sign
        What they are cut at: one sign, which no value holds.
    settled
        What there is to say of their names.
    stands_for
        What is written where the sign is put; empty where it is the sign itself.
    """

    parts: tuple[Part, ...]
    sign: str
    settled: Settled
    stands_for: str = ""


@dataclass
class Joined:
    """Rows of files of which every record is one.

    Attributes
    ----------
    rows
        How many rows each file has, by its number, in the order of the rows.
    columns
        The text of each column that the files have.
    settled
        What there is to say of the names in each of them.
    noticed
        What refuses nothing, each with how often, by the number of its file.
    """

    rows: dict[int, int]
    columns: dict[str, pa.DictionaryArray]
    settled: Settled = field(default_factory=Settled)
    noticed: dict[int, Sequence[tuple[str, int]]] = field(default_factory=dict)


def join_alike(bodies: Mapping[int, bytes], form_of: Callable[[bytes], Form | None]) -> Iterator[Joined]:
    """Read files of one form together, form by form.

    Parameters
    ----------
    bodies
        Content of files by their number: each line ends with a line feed, and no sign stands for something else yet.
    form_of
        The form of a body's first line; None if its lines are to be read one by one.
    """
    left, tried = dict(bodies), set[Form]()
    for number in bodies:
        if len(left) < FEWEST or len(tried) == MOST_FORMS:
            return
        form = form_of(left[number]) if number in left else None
        if form is None or form in tried:
            continue
        tried.add(form)
        joined = _cut(left, form)
        for done in joined.rows:
            del left[done]
        if joined.rows:
            yield joined


def _cut(bodies: Mapping[int, bytes], form: Form) -> Joined:
    """The rows of those bodies that have the form in all their lines."""
    start, sign = form.parts[0].before.encode(), form.sign.encode()
    # what was replaced could be put back: no body has had the sign
    bodies = {
        number: body.replace(form.stands_for.encode(), sign) if form.stands_for else body
        for number, body in bodies.items()
        if body.startswith(start)
    }
    signs = len(form.parts) - 1
    counts = {number: body.count(b"\n") for number, body in bodies.items()}
    counts = {number: lines for number, lines in counts.items() if bodies[number].count(sign) == lines * signs}
    if not counts:
        return Joined({}, {})
    table, ragged = _parse([bodies[number] for number in counts], form)
    file = np.repeat(np.arange(len(counts)), [*counts.values()])
    unproven = np.zeros(len(counts), bool)
    unproven[file[ragged]] = True
    file = np.delete(file, ragged)
    if table.num_rows != len(file):  # parser and count disagree
        return Joined({}, {})
    columns = {}
    for part, column in zip(form.parts, table.columns, strict=True):
        texts, wrong = _read(column, part)
        unproven[file[wrong]] = True
        if part.column:
            columns[part.column] = texts
    rows = {number: lines for (number, lines), no in zip(counts.items(), unproven.tolist(), strict=True) if not no}
    if unproven.any():
        kept = pa.array(~unproven[file])
        columns = {name: texts.filter(kept) for name, texts in columns.items()}
    return Joined(rows, columns, form.settled)


def _parse(bodies: Sequence[bytes], form: Form) -> tuple[pa.Table, list[int]]:
    """The parts of all lines, and the places of lines that have another number of them."""
    ragged: list[int] = []

    def skip(row: pacsv.InvalidRow) -> str:
        ragged.append(row.number - 1)
        return "skip"

    names = [str(at) for at in range(len(form.parts))]
    parsing = pacsv.ParseOptions(
        delimiter=form.sign,
        quote_char=False,
        double_quote=False,
        ignore_empty_lines=False,
        invalid_row_handler=skip,
    )
    converting = pacsv.ConvertOptions(
        column_types=dict.fromkeys(names, TEXT),
        strings_can_be_null=False,
        check_utf8=False,  # it was decoded
    )
    block = max(BLOCK, max(map(len, bodies)) + 1)
    reading = pacsv.ReadOptions(column_names=names, use_threads=False, block_size=block)
    return pacsv.read_csv(pa.BufferReader(b"".join(bodies)), reading, parsing, converting), ragged


def _read(column: pa.ChunkedArray, part: Part) -> tuple[pa.DictionaryArray, np.ndarray]:
    """The texts of the values of a place, and where it does not hold what it should."""
    whole = column.unify_dictionaries().combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    read = [part.read(spelt) for spelt in whole.dictionary.to_pylist()]
    indices = whole.indices.to_numpy()
    odd = [at for at, text in enumerate(read) if text is None]
    wrong = np.flatnonzero(np.isin(indices, odd)) if odd else np.zeros(0, np.int64)
    texts = pa.DictionaryArray.from_arrays(whole.indices, pa.array(read, pa.string()).fill_null(""))
    return once_each(texts), wrong


def once_each(texts: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same texts, each once in the dictionary."""
    again = texts.dictionary.dictionary_encode()
    if len(again.dictionary) == len(texts.dictionary):
        return texts.cast(TEXT)
    return pa.DictionaryArray.from_arrays(again.indices.take(texts.indices), again.dictionary).cast(TEXT)
