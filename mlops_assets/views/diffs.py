"""What a comparison of two versions looks like in a terminal and as JSON; `diff_page` has it for a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.journey.explain.moves import QUANTILES
from mlops_assets.views.numbers import plain
from mlops_assets.views.output import text_table, to_json
from mlops_assets.work.printable import LONGEST


def as_json(comparison: Comparison) -> str:
    """All of it, with the share of rows that change."""
    return to_json({**asdict(comparison), "share": comparison.share}, indent=2)


def text(comparison: Comparison) -> str:
    """The most of it, as tables for a terminal."""
    tables = [f"{title}\n{_text(lines)}" for title, lines in _tables(comparison).items() if lines]
    return "\n\n".join([summary(comparison), *tables])


def version_name(version: int) -> str:
    """What a version is called; one that is not registered yet has no number."""
    return f"version {version}" if version else "the new version"


def title(comparison: Comparison) -> str:
    """What was compared, in a few words."""
    before, after = version_name(comparison.before), version_name(comparison.after)
    return f"{comparison.use_case}, {comparison.day}: {after} against {before}"


def summary(comparison: Comparison) -> str:
    """What changes, in sentences."""
    another = "another answer" if comparison.moves is None else "a number out of the interval of the one before"
    sentences = [f"{comparison.changed:,} of {comparison.rows:,} rows ({comparison.share:.2%}) get {another}."]
    if comparison.moves is not None:
        sentences.append(
            f"The sum of all was {plain(comparison.moves['sum_before'])} and becomes "
            f"{plain(comparison.moves['sum_after'])}; in the mean, a number moves by "
            f"{plain(comparison.moves['mean_distance'])}."
        )
    if comparison.value is not None and comparison.changed_value is not None:
        share = comparison.changed_value / comparison.value if comparison.value else 0.0
        sentences.append(f"They are worth {comparison.changed_value:,.2f} of {comparison.value:,.2f} ({share:.2%}).")
    if comparison.labelled:
        before, after = comparison.right_before / comparison.labelled, comparison.right_after / comparison.labelled
        right = "right" if comparison.moves is None else "in its interval"
        sentences.append(
            f"Of {comparison.labelled:,} rows with a label, {version_name(comparison.before)} has {before:.2%} {right} "
            f"and {version_name(comparison.after)} {after:.2%}. Rows that a version learned from flatter it."
        )
    else:
        sentences.append("No row of the day has a label, so nobody knows who is right.")
    return " ".join(sentences)


def moves(comparison: Comparison) -> list[dict[str, str]]:
    """How far numbers move, as lines of a table; none of classes."""
    if comparison.moves is None:
        return []
    told = comparison.moves
    quantiles = {f"{share:.0%}": value for share, value in zip(QUANTILES, told["quantiles"], strict=True)}
    lines = {"in the mean": told["mean_move"], "in the mean, without sign": told["mean_distance"], **quantiles}
    if told["error_before"] is not None:
        lines |= {
            f"mean absolute error of {version_name(comparison.before)}": told["error_before"],
            f"mean absolute error of {version_name(comparison.after)}": told["error_after"],
        }
    return [{"": name, "by": plain(value)} for name, value in lines.items()]


def answer(example: Mapping[str, Any], side: str) -> str:
    """The answer of one side for an example: a class with its probability, or a number."""
    said = example[side]
    return f"{said} ({example[f'{side}_probability']:.2f})" if isinstance(said, str) else plain(said)


def _tables(comparison: Comparison) -> dict[str, list[dict[str, Any]]]:
    """The lists by their titles."""
    transitions = [
        {
            "from": transition["before"],
            "to": transition["after"],
            "rows": transition["rows"],
            "value": transition["value"],
            f"right: {version_name(comparison.before)}": f"{transition['right_before']} of {transition['labelled']}",
            f"right: {version_name(comparison.after)}": f"{transition['right_after']} of {transition['labelled']}",
        }
        for transition in comparison.transitions
    ]
    examples = [
        {
            "file": example["file"],
            "line": example["line"],
            "value": example["value"],
            version_name(comparison.before): answer(example, "before"),
            version_name(comparison.after): answer(example, "after"),
            "label": "" if example["label"] is None else example["label"],
        }
        for example in comparison.examples
    ]
    accounts = [
        {"account": account["account_id"], "rows": account["rows"], "value": account["value"]}
        for account in comparison.accounts
    ]
    tables = {
        "From one category to another": transitions,
        "How far numbers move": moves(comparison),
        "Accounts most affected": accounts,
        "Examples": examples,
    }
    if comparison.value is None:
        for lines in tables.values():
            for line in lines:
                # no row of this use case has a value: a column of nothing says nothing
                line.pop("value", None)
    return tables


def _text(lines: list[dict[str, Any]]) -> str:
    shown = [list(line.values()) for line in _cells(lines[:20])]
    more = f"\n... and {len(lines) - 20} more; --format json has all." if len(lines) > 20 else ""
    return text_table([list(lines[0]), *shown], LONGEST).rstrip() + more


def _cells(lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{name: _cell(value) for name, value in line.items()} for line in lines]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)
