"""In: the audit sample of a day, and what people say of it. Out: what is done, and which row a person does next.

The model's answers are told once all rows are done: whoever sees an answer first agrees with it more often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import without_paths
from mlops_assets.journey.explain.as_read import read_row
from mlops_assets.journey.feedback.audit import read_audit
from mlops_assets.journey.feedback.corrections import read_accepted, read_rejected
from mlops_assets.journey.feedback.published import Row
from mlops_assets.journey.train.versions import known_labels
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Stores

STANDS = "contradiction"
"""A person's entry that breaks this rule is still what they say last, though it does not count."""


@dataclass(frozen=True)
class Drawn:
    """A row of the sample.

    Attributes
    ----------
    number
        Its place in the sample, from 1.
    day, file, line, account
        Which row.
    prediction, probability
        What the model said; a number as text, without a probability.
    mine, when
        What this person says, and since when; None where they say nothing.
    label
        What counts, whoever says it; None where nothing does.
    """

    number: int
    day: str
    file: str
    line: int
    account: str
    prediction: str
    probability: float | None
    mine: str | None
    when: str | None
    label: str | None

    @property
    def is_done(self) -> bool:
        """Whether this person need not look at it any more."""
        return self.mine is not None or self.label is not None


@dataclass(frozen=True)
class Sample:
    """The rows of a day that were drawn for people to label, as one person sees them."""

    rows: Sequence[Drawn]

    @property
    def done(self) -> int:
        """How many rows are done."""
        return sum(row.is_done for row in self.rows)

    @property
    def last(self) -> Drawn | None:
        """What this person said last."""
        mine = [row for row in self.rows if row.when is not None]
        return max(mine, key=lambda row: row.when or "", default=None)

    def after(self, number: int = 0) -> Drawn | None:
        """The next row that is to be done, from the beginning again behind the last one; None if all are done."""
        left = [row for row in self.rows if not row.is_done]
        return next((row for row in left if row.number > number), left[0] if left else None)

    def find(self, file: str, line: int) -> Drawn | None:
        """A row of the sample, by what it is about."""
        return next((row for row in self.rows if (row.file, row.line) == (file, line)), None)

    @property
    def agreed(self) -> int:
        """Rows on which people and the model say the same class."""
        return sum(row.label == row.prediction for row in self.rows)

    @property
    def apart(self) -> float | None:
        """How far the numbers of people and of the model lie apart in the mean; None where nobody said any."""
        said = [abs(float(row.label) - float(row.prediction)) for row in self.rows if row.label is not None]
        return sum(said) / len(said) if said else None


def sample_of(stores: Stores, day: str, who: str) -> Sample | None:
    """The audit sample of a day, with what a person said of it; None where none was drawn.

    Parameters
    ----------
    stores
        Of the use case.
    day
        The day.
    who
        The person.
    """
    drawn = read_audit(stores.lake, day)
    if drawn is None:
        return None
    accepted = _of_day(read_accepted(stores.lake), day)
    refused = _of_day(read_rejected(stores.lake), day)
    counting = {(one["file"], one["line"]): one["label"] for one in accepted}
    standing = [*accepted, *(one for one in refused if one["rule"] == STANDS)]
    mine: Mapping[Row, Any] = {(one["file"], one["line"]): one for one in standing if one["who"] == who}
    rows = []
    for number, row in enumerate(drawn.to_pylist(), 1):
        place = row["file"], row["line"]
        said = mine.get(place, {})
        rows.append(
            Drawn(
                number=number,
                day=day,
                file=row["file"],
                line=row["line"],
                account=row["account_id"],
                prediction=row["prediction"],
                probability=row["probability"],
                mine=said.get("label"),
                when=said.get("when"),
                label=counting.get(place),
            )
        )
    return Sample(rows)


def _of_day(entries: pa.Table, day: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = entries.filter(pc.equal(entries["day"], day)).to_pylist()
    return found


def classes_of(stores: Stores) -> list[str]:
    """The labels that people may give."""
    known = known_labels(stores.use_case, stores.registry, stores.runs)
    return sorted({*known, *stores.use_case.feedback.labels})


def bounds_in_words(use_case: UseCase) -> str:
    """Between which numbers one may be said, where a number is predicted and the contract has bounds."""
    least, most = use_case.columns[use_case.label].bounds
    if not use_case.training.says_numbers or (least is None and most is None):
        return ""
    said = [f"{word} {bound:,.15g}" for word, bound in (("from", least), ("up to", most)) if isinstance(bound, float)]
    return " ".join(said)


def row_shown(stores: Stores, row: Drawn) -> dict[str, Any]:
    """A row as people look at it.

    Returns
    -------
    dict
        `raw`, its line, or None with the reason in `problem`; `telling`, whether its file has a label of its own, so
        that the line would tell it; `columns`, each with `name`, `about`, `unit`, `raw` and `value`; `pictures`, those
        of them that name one; `gone`, why none of it can be shown, or None.
    """
    use_case = stores.use_case
    nothing: dict[str, Any] = {"raw": None, "problem": "", "telling": False, "columns": [], "pictures": []}
    try:
        read = read_row(use_case, stores.source, stores.lake, row.day, row.file, row.line)
    except MlopsError as error:  # the sample stays as it was drawn, whatever becomes of the day
        return {**nothing, "gone": without_paths(str(error))}
    columns = [
        {
            "name": one.column,
            "about": use_case.columns[one.column].about,
            "unit": use_case.columns[one.column].unit,
            "raw": one.raw if one.differs else None,
            "value": None if one.value is None else str(one.value),
        }
        for one in read.cleaned
    ]
    return {
        "raw": read.raw,
        # the reason has a path of this machine in it
        "problem": "Its file is gone or was changed since the day was read." if read.raw_problem else "",
        "telling": read.labelled,
        "columns": columns,
        "pictures": [*read.attachments],
        "gone": None,
    }
