"""How well a day's answers are estimated to be right, for people: lines, and records for a table or JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mlops_assets.monitoring.estimate import Estimate
from mlops_assets.monitoring.estimate_checks import Checked
from mlops_assets.monitoring.words import percent
from mlops_assets.views.output import text_table

MOST_CLASSES = 10
"""Classes that are shown, those whose shares moved most."""


def estimate_record(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain values, for JSON."""
    return asdict(estimate)


def checked_record(checked: Checked) -> dict[str, Any]:
    """How estimates did, as plain values, for JSON; `days` has a record for each audited day."""
    return {**asdict(checked), "sentence": checked.sentence}


def estimate_text(estimate: Estimate, checked: Checked | None = None, doubt: str = "") -> str:
    """An estimate, its class mix, and what audits say of such estimates.

    Parameters
    ----------
    estimate
        Of a day.
    checked
        How the estimates of the use case did; None where no audit has come.
    doubt
        What is said where the model is less sure than it was; else empty.
    """
    rows = [
        [one["class"], *(percent(one[name]) for name in ("said", "expected", "reference"))]
        for one in class_mix(estimate)
    ]
    audits = checked.sentence if checked else "No audit of such a day has come that could tell how far that is off."
    mix = text_table([["class", "said", "expected", "when judged"], *rows], longest=40)
    return "\n".join([doubt or estimate.sentence, audits, "", mix.rstrip()])


def class_mix(estimate: Estimate) -> list[dict[str, Any]]:
    """The classes whose shares moved most: `class`, `said`, `expected`, and as `reference` what it was when judged."""
    moved = sorted(estimate.class_mix.items(), key=lambda item: -abs(item[1].expected - item[1].reference))
    return [{"class": name, **asdict(share)} for name, share in moved[:MOST_CLASSES]]
