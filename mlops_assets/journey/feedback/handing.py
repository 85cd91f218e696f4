"""In: corrections as somebody sends them. Out: a file of corrections, under the hash of its content.

Files of corrections are the truth, so what comes by another way than the folder becomes such a file first.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.feedback.corrections import Taken
from mlops_assets.journey.feedback.files import HEADER, WHY, WITHDRAWN, read_records, written_line
from mlops_assets.storage.places import Place, write_whole


@dataclass(frozen=True)
class HandedIn:
    """A file of corrections in the folder.

    Attributes
    ----------
    name
        Its name there.
    before
        Whether the same content lay there before, under whatever name.
    """

    name: str
    before: bool


def hand_in(folder: Place, stem: str, content: bytes) -> HandedIn:
    """Lay a file under the hash of its content: the same one lies there once, and none replaces another.

    Parameters
    ----------
    folder
        The folder of the corrections of a use case.
    stem
        What its name begins with.
    content
        The file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    mark = hashlib.sha256(content).hexdigest()[:16]
    # by the hash alone: the same content may have another name now
    for present in folder.glob(f"*-{mark}.csv"):
        return HandedIn(present.name, before=True)
    # names that begin with a point or _ are no data
    copy = folder / f"{stem.lstrip('._')[:40] or 'feedback'}-{mark}.csv"
    write_whole(copy, content)
    return HandedIn(copy.name, before=False)


def as_file(corrections: Iterable[Mapping[str, object]]) -> bytes:
    """A file of corrections that were sent as records; a field that one lacks is empty."""
    records = list(corrections)
    # without a column of nothing: the same corrections are the same file as before there were these
    header = [*HEADER, *(name for name in (WHY, WITHDRAWN) if any(one.get(name) for one in records))]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(["" if one.get(name) is None else str(one[name]) for name in header] for one in records)
    return text.getvalue().encode()


@dataclass(frozen=True)
class Signed:
    """A file of corrections whose sender is known.

    Attributes
    ----------
    content
        The file, with the sender's name where an entry had none.
    entries
        Lines that say something.
    others
        Lines by somebody else, each with the name that it has; see `sign`.
    """

    content: bytes
    entries: int
    others: Sequence[tuple[int, str]]


def sign(content: bytes, who: str) -> Signed:
    """Give the entries of a file that name nobody the name of the one who sent it.

    A sender speaks for themselves, or for people of theirs: by the name `SENDER`, or by `SENDER/ANYTHING`. What cannot
    be read stays as it is, and is told when the file is taken in.

    Parameters
    ----------
    content
        The file as it was sent.
    who
        Name of the sender.
    """
    lines, entries, others = list[bytes](), 0, list[tuple[int, str]]()
    at = 1
    for record in read_records(content):
        line, values = record.line, record.values
        if values is None or not any(values[name] for name in ("label", "who", "when")):
            entries += values is None and record.number > 1
        else:
            entries += 1
            if not values["who"]:
                line = written_line({**values, "who": who})
            elif values["who"] != who and not values["who"].startswith(f"{who}/"):
                others.append((record.number, values["who"]))
        # blank lines stay, so that a line has the number that it was sent with
        lines += [b""] * (record.number - at)
        lines.append(line)
        at = record.number + 1 + record.line.count(b"\n")
    return Signed(b"\n".join(lines) + b"\n", entries, others)


def outcomes(taken: Taken, name: str) -> list[dict[str, object]]:
    """What became of each entry of a file: its line, whether it counts, and if not, by which rule.

    Parameters
    ----------
    taken
        What came of all files.
    name
        The file.
    """
    accepted, rejected = taken.accepted, taken.rejected
    counted = accepted.filter(_is_of(accepted, name))["source_line"].to_pylist()
    others = rejected.filter(_is_of(rejected, name)).to_pylist()
    told: list[dict[str, object]] = [{"line": line, "counts": True} for line in counted]
    told += [
        {"line": one["source_line"], "counts": False, "rule": one["rule"], "message": one["message"]} for one in others
    ]
    return sorted(told, key=lambda one: str(one["line"]).zfill(9))


def _is_of(entries: pa.Table, name: str) -> pa.Array:
    return pc.equal(entries["source_file"], name)
