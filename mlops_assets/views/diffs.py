"""What a comparison of two versions looks like: in a terminal, as JSON, as a page with plots."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.views import markdown, pages, pictures
from mlops_assets.views.output import text_table, to_json
from mlops_assets.work.printable import LONGEST


def as_json(comparison: Comparison) -> str:
    """All of it, with the share of rows that change."""
    return to_json({**asdict(comparison), "share": comparison.share}, indent=2)


def text(comparison: Comparison) -> str:
    """The most of it, as tables for a terminal."""
    tables = [f"{title}\n{_text(lines)}" for title, lines in _tables(comparison).items() if lines]
    return "\n\n".join([_summary(comparison), *tables])


def html(comparison: Comparison) -> str:
    """One page, with the transitions as a picture."""
    parts = [f"# {_title(comparison)}", _summary(comparison)]
    if comparison.transitions:
        parts.append(_picture(comparison))
    parts += [f"## {title}\n\n{markdown.table(_cells(lines))}" for title, lines in _tables(comparison).items() if lines]
    return pages.page(_title(comparison), "\n\n".join(parts))


def _name(version: int) -> str:
    """What a version is called; one that is not registered yet has no number."""
    return f"version {version}" if version else "the new version"


def _title(comparison: Comparison) -> str:
    return f"{comparison.use_case}, {comparison.day}: {_name(comparison.after)} against {_name(comparison.before)}"


def _summary(comparison: Comparison) -> str:
    sentences = [f"{comparison.changed:,} of {comparison.rows:,} rows ({comparison.share:.2%}) get another answer."]
    if comparison.value is not None and comparison.changed_value is not None:
        share = comparison.changed_value / comparison.value if comparison.value else 0.0
        sentences.append(f"They are worth {comparison.changed_value:,.2f} of {comparison.value:,.2f} ({share:.2%}).")
    if comparison.labelled:
        before, after = comparison.right_before / comparison.labelled, comparison.right_after / comparison.labelled
        sentences.append(
            f"Of {comparison.labelled:,} rows with a label, {_name(comparison.before)} has {before:.2%} right and "
            f"{_name(comparison.after)} {after:.2%}. Rows that a version learned from flatter it."
        )
    else:
        sentences.append("No row of the day has a label, so nobody knows who is right.")
    return " ".join(sentences)


def _tables(comparison: Comparison) -> dict[str, list[dict[str, Any]]]:
    """The lists by their titles."""
    transitions = [
        {
            "from": transition["before"],
            "to": transition["after"],
            "rows": transition["rows"],
            "value": transition["value"],
            f"right: {_name(comparison.before)}": f"{transition['right_before']} of {transition['labelled']}",
            f"right: {_name(comparison.after)}": f"{transition['right_after']} of {transition['labelled']}",
        }
        for transition in comparison.transitions
    ]
    examples = [
        {
            "file": example["file"],
            "line": example["line"],
            "value": example["value"],
            _name(comparison.before): f"{example['before']} ({example['before_probability']:.2f})",
            _name(comparison.after): f"{example['after']} ({example['after_probability']:.2f})",
            "label": example["label"] or "",
        }
        for example in comparison.examples
    ]
    accounts = [
        {"account": account["account_id"], "rows": account["rows"], "value": account["value"]}
        for account in comparison.accounts
    ]
    tables = {"From one category to another": transitions, "Accounts most affected": accounts, "Examples": examples}
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


def _picture(comparison: Comparison) -> str:
    """Rows by old (down) and new answer (across), of the categories that change most."""
    rows: Counter[str] = Counter()
    for transition in comparison.transitions:
        rows.update({transition["before"]: transition["rows"], transition["after"]: transition["rows"]})
    # a picture of all of them could not be read; the tables have all
    names = sorted(name for name, _ in rows.most_common(pictures.CLASSES))
    number = {(transition["before"], transition["after"]): transition["rows"] for transition in comparison.transitions}
    matrix = pictures.Matrix(
        names=names,
        cells=[[number.get((before, after), 0) for after in names] for before in names],
        down=_name(comparison.before),
        across=_name(comparison.after),
        title="",
        colours="oranges",
        scale="rows that change",
    )
    return pictures.matrix(matrix, "transitions between categories")
