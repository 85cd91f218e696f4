"""In: files of one layout, many of whose lines have too few or too many fields. Out: those refused for it as a whole.

The parser calls Python for each such line; here they are counted in the bytes, so that millions of them cost little.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from mlops_assets.journey.read.readers.pack import FIRST_REJECTS, RAW_LIMIT, Refusal, has_too_many, too_many
from mlops_assets.use_case import Checks

RULE = "field_count"


def refuse_ragged(file: int, body: bytes, width: int, delimiter: bytes, quoted: bool, checks: Checks) -> Refusal | None:
    """Refuse a file if lines with another number of fields are more than it may have.

    Parameters
    ----------
    file
        Its number within its pack.
    body
        Its lines, each with a line feed at its end.
    width
        How many fields a line has.
    delimiter
        What stands between them, one byte.
    quoted
        Whether fields may stand in quotes, with delimiters in them.
    checks
        What is allowed.
    """
    text = np.frombuffer(body, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    cuts = np.flatnonzero(text == ord(delimiter))
    if quoted:  # a delimiter within quotes has an odd number of them before it
        cuts = cuts[np.searchsorted(np.flatnonzero(text == ord('"')), cuts) % 2 == 0]
    fields = np.diff(np.searchsorted(cuts, ends), prepend=0) + 1
    begins = np.concatenate([[0], ends[:-1] + 1])
    # a blank line breaks a rule of its own
    ragged = np.flatnonzero((fields != width) & (ends > begins))
    if not has_too_many(checks, len(ragged), len(ends)):
        return None
    first = [
        Refusal(file, line + 1, RULE, count_message(int(fields[line]), width), _text(body, begins[line], ends[line]))
        for line in ragged[:FIRST_REJECTS].tolist()
    ]
    return too_many(file, len(ends), Counter({RULE: len(ragged)}), first)


def _text(body: bytes, begin: int, end: int) -> str:
    return body[begin:end].decode(errors="replace")[:RAW_LIMIT]


def count_message(fields: int, expected: int) -> str:
    """What is wrong with a line that has another number of fields than expected."""
    return f"the line has {fields} fields, expected {expected}"
