"""What differs over a range of days, by day, class, slice and value: for a terminal, as JSON, and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlops_assets.journey.explain.flows import Flow, add_flows, by_class, totals
from mlops_assets.journey.explain.span import Span
from mlops_assets.views import grids
from mlops_assets.views.diffs import version_name
from mlops_assets.views.html.render import single_file
from mlops_assets.views.output import text_table, to_json
from mlops_assets.work.printable import LONGEST

LISTED = 20
"""Lines of a list in a terminal, and flows on a page."""

MOST_SLICES = 100
"""Slices on a page, those of most rows."""


def content(span: Span) -> dict[str, Any]:
    """All of it as plain values; sums of `value` are None where the use case has none."""
    flows = span.flows
    whole = [flow for flow in flows if not flow.column]
    return {
        "use_case": span.use_case,
        "before": sorted({one.before for one in span.days}),
        "after": sorted({one.after for one in span.days}),
        **_sums(whole, span),
        "days": [
            {"day": one.day, "before": one.before, "after": one.after, **_sums(_whole(one.flows), span)}
            for one in span.days
        ],
        "flows": [_flow(flow, span) for flow in whole if flow.changed],
        "classes": _classes(whole, span),
        "slices": _slices(flows, span),
        "left_out": dict(span.left_out),
    }


def _whole(flows: Iterable[Flow]) -> list[Flow]:
    return [flow for flow in flows if not flow.column]


def _sums(flows: Sequence[Flow], span: Span) -> dict[str, Any]:
    total = totals(flows)
    return {
        "rows": total["rows"],
        "changed": total["changed"],
        "share": total["changed"] / max(1, total["rows"]),
        "value": total["cents"] / 100 if span.valued else None,
        "changed_value": total["changed_cents"] / 100 if span.valued else None,
        "labelled": total["labelled"],
        "right_before": total["right_before"],
        "right_after": total["right_after"],
    }


def _flow(flow: Flow, span: Span) -> dict[str, Any]:
    return {
        "before": flow.before,
        "after": flow.after,
        "rows": flow.rows,
        "value": flow.cents / 100 if span.valued else None,
        "labelled": flow.labelled,
        "right_before": flow.right_before,
        "right_after": flow.right_after,
    }


def _classes(flows: Sequence[Flow], span: Span) -> list[dict[str, Any]]:
    rows = max(1, sum(flow.rows for flow in flows))
    return [
        {
            "class": one["class"],
            "before": one["before"],
            "after": one["after"],
            "share_before": one["before"] / rows,
            "share_after": one["after"] / rows,
            "came": one["came"],
            "went": one["went"],
            "value_before": one["cents_before"] / 100 if span.valued else None,
            "value_after": one["cents_after"] / 100 if span.valued else None,
        }
        for one in by_class(flows)
    ]


def _slices(flows: Iterable[Flow], span: Span) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[Flow]] = {}
    for flow in flows:
        if flow.column:
            found.setdefault((flow.column, flow.value), []).append(flow)
    # columns and values apart: `a=b` could be of either
    lines = [{"column": column, "value_of": value, **_sums(some, span)} for (column, value), some in found.items()]
    return sorted(lines, key=lambda one: (-one["rows"], one["column"], one["value_of"]))


def as_json(span: Span) -> str:
    """All of it as JSON; see `content`, and for each day what went from which class to which."""
    told = content(span)
    for day, one in zip(told["days"], span.days, strict=True):
        day["flows"] = [_flow(flow, span) for flow in _whole(one.flows) if flow.changed]
    return to_json(told, indent=2)


def title(span: Span) -> str:
    """What was compared, in a few words."""
    if not span.days:
        return f"{span.use_case}: no day was compared"
    before, after = ({getattr(one, side) for one in span.days} for side in ("before", "after"))
    names = [" and ".join(version_name(number) for number in sorted(versions)) for versions in (after, before)]
    days = [one.day for one in span.days]
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{span.use_case}, {when}: {names[0]} against {names[1]}"


def summary(span: Span) -> str:
    """What differs, in sentences."""
    told = _sums(_whole(span.flows), span)
    rows = f"{told['changed']:,} of {told['rows']:,} rows ({told['share']:.2%})"
    said = f"{rows} of {len(span.days)} days have another answer."
    if told["value"] is not None:
        part = told["changed_value"] / told["value"] if told["value"] else 0.0
        said += f" They are worth {told['changed_value']:,.2f} of {told['value']:,.2f} ({part:.2%})."
    if told["labelled"]:
        before, after = (told[f"right_{side}"] / told["labelled"] for side in ("before", "after"))
        said += (
            f" Of {told['labelled']:,} rows with a label {before:.2%} were right and {after:.2%} are. "
            "Rows that a version learned from flatter it."
        )
    return said


def text(span: Span) -> str:
    """The most of it, as tables for a terminal."""
    told, parts = content(span), [title(span), summary(span)]
    parts += [f"{name}\n{_text(lines)}" for name, lines in _tables(told).items() if lines]
    parts += [f"Not compared: {day}: {why}" for day, why in span.left_out.items()]
    return "\n\n".join(parts)


def _tables(told: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    valued = told["value"] is not None
    return {
        "By day": [
            {"day": one["day"], "version": f"{one['before']} to {one['after']}", **_changed(one)}
            for one in told["days"]
        ],
        "From one class to another": [
            {
                "from": one["before"],
                "to": one["after"],
                "rows": f"{one['rows']:,}",
                **({"value": f"{one['value']:,.2f}"} if valued else {}),
                **(
                    {"right before": f"{one['right_before']:,}", "right after": f"{one['right_after']:,}"}
                    if told["labelled"]
                    else {}
                ),
            }
            for one in told["flows"]
        ],
        "By class": [
            {
                "class": one["class"],
                "before": f"{one['before']:,}",
                "after": f"{one['after']:,}",
                "difference": f"{one['after'] - one['before']:+,}",
                "share": f"{one['share_before']:.1%} to {one['share_after']:.1%}",
                **({"value before": f"{one['value_before']:,.2f}"} if valued else {}),
                **({"value after": f"{one['value_after']:,.2f}"} if valued else {}),
            }
            for one in told["classes"]
        ],
        "By slice": [{"slice": f"{one['column']}={one['value_of']}", **_changed(one)} for one in told["slices"]],
    }


def _changed(one: dict[str, Any]) -> dict[str, str]:
    shown = {"rows": f"{one['rows']:,}", "changed": f"{one['changed']:,}", "share": f"{one['share']:.2%}"}
    return {**shown, "value": f"{one['changed_value']:,.2f}"} if one["value"] is not None else shown


def _text(lines: list[dict[str, str]]) -> str:
    more = f"\n... and {len(lines) - LISTED} more; --format json has all." if len(lines) > LISTED else ""
    return text_table([list(lines[0]), *(list(line.values()) for line in lines[:LISTED])], LONGEST).rstrip() + more


def told(span: Span) -> dict[str, Any]:
    """What the template shows, as plain values."""
    shown = content(span)
    counts = {(one["before"], one["after"]): one["rows"] for one in shown["flows"]}
    return {
        **shown,
        "title": title(span),
        "summary": summary(span),
        "has_value": span.valued,
        "grid": grids.transitions(counts) if counts else None,
        "flows": shown["flows"][:LISTED],
        "more": max(0, len(shown["flows"]) - LISTED),
        "slices": shown["slices"][:MOST_SLICES],
        "more_slices": max(0, len(shown["slices"]) - MOST_SLICES),
    }


def page(span: Span) -> str:
    """A comparison as one HTML file."""
    return single_file("models_span.html", title(span), span=told(span), standing=None)


def flows_of_day(flows: Iterable[Flow], *, valued: bool) -> list[dict[str, Any]]:
    """What went from which class to which on a day, the most first, for Dagster's pages."""
    return [
        {"from": flow.before, "to": flow.after, "rows": flow.rows, **({"value": flow.cents / 100} if valued else {})}
        for flow in add_flows(flows)
        if flow.changed and not flow.column
    ][:LISTED]
