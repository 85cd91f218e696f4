"""What a comparison of two versions looks like: in a terminal, as JSON, as a page with plots."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from mlops_assets.journey.explain.comparison import Comparison
from mlops_assets.views import pages, pictures
from mlops_assets.views.output import markdown_table, text_table


def as_json(found: Comparison) -> str:
    """All of it, with the share of rows that change."""
    return json.dumps({**asdict(found), "share": found.share}, indent=2, ensure_ascii=False)


def text(found: Comparison) -> str:
    """The most of it, as tables for a terminal."""
    tables = [f"{title}\n{_text(lines)}" for title, lines in _tables(found).items() if lines]
    return "\n\n".join([_summary(found), *tables])


def html(found: Comparison) -> str:
    """One page, with the transitions as a picture."""
    parts = [f"# {_title(found)}", _summary(found)]
    if found.transitions:
        parts.append(_picture(found))
    parts += [f"## {title}\n\n{markdown_table(_cells(lines))}" for title, lines in _tables(found).items() if lines]
    return pages.page(_title(found), "\n\n".join(parts))


def _name(version: int) -> str:
    """What a version is called; one that is not registered yet has no number."""
    return f"version {version}" if version else "the new version"


def _title(found: Comparison) -> str:
    return f"{found.use_case}, {found.day}: {_name(found.after)} against {_name(found.before)}"


def _summary(found: Comparison) -> str:
    said = [f"{found.changed:,} of {found.rows:,} rows ({found.share:.2%}) get another answer."]
    if found.value is not None and found.changed_value is not None:
        share = found.changed_value / found.value if found.value else 0.0
        said.append(f"They are worth {found.changed_value:,.2f} of {found.value:,.2f} ({share:.2%}).")
    if found.labelled:
        before, after = found.right_before / found.labelled, found.right_after / found.labelled
        said.append(
            f"Of {found.labelled:,} rows with a label, {_name(found.before)} has {before:.2%} right and "
            f"{_name(found.after)} {after:.2%}. Rows that a version learned from flatter it."
        )
    else:
        said.append("No row of the day has a label, so nobody knows who is right.")
    return " ".join(said)


def _tables(found: Comparison) -> dict[str, list[dict[str, Any]]]:
    """The lists by their titles."""
    transitions = [
        {
            "from": one["before"],
            "to": one["after"],
            "rows": one["rows"],
            "value": one["value"],
            f"right: {_name(found.before)}": f"{one['right_before']} of {one['labelled']}",
            f"right: {_name(found.after)}": f"{one['right_after']} of {one['labelled']}",
        }
        for one in found.transitions
    ]
    examples = [
        {
            "file": one["file"],
            "line": one["line"],
            "value": one["value"],
            _name(found.before): f"{one['before']} ({one['before_probability']:.2f})",
            _name(found.after): f"{one['after']} ({one['after_probability']:.2f})",
            "label": one["label"] or "",
        }
        for one in found.examples
    ]
    accounts = [{"account": one["account_id"], "rows": one["rows"], "value": one["value"]} for one in found.accounts]
    tables = {"From one category to another": transitions, "Accounts most affected": accounts, "Examples": examples}
    if found.value is None:
        for lines in tables.values():
            for line in lines:
                line.pop("value", None)
    return tables


def _text(lines: list[dict[str, Any]]) -> str:
    shown = [list(line.values()) for line in _cells(lines[:20])]
    more = f"\n... and {len(lines) - 20} more; --format json has all." if len(lines) > 20 else ""
    return text_table([list(lines[0]), *shown]).rstrip() + more


def _cells(lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{name: _cell(value) for name, value in line.items()} for line in lines]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _picture(found: Comparison) -> str:
    """Rows by old (down) and new answer (across), of the categories that change most."""
    rows: Counter[str] = Counter()
    for one in found.transitions:
        rows.update({one["before"]: one["rows"], one["after"]: one["rows"]})
    names = sorted(name for name, _ in rows.most_common(pictures.CLASSES))
    number = {(one["before"], one["after"]): one["rows"] for one in found.transitions}
    matrix = pictures.Matrix(
        names=names,
        cells=[[number.get((before, after), 0) for after in names] for before in names],
        down=_name(found.before),
        across=_name(found.after),
        title="",
        colours="Oranges",
        scale="rows that change",
    )
    return pictures.matrix(matrix, "transitions between categories")
