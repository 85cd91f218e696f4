"""In: what was looked at of some rows. Out: what the page of it shows, in a browser and as a single file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from mlops_assets.monitoring.overview import Overview, Seen
from mlops_assets.views.histograms import bar, histogram
from mlops_assets.views.html.render import single_file
from mlops_assets.views.numbers import percent
from mlops_assets.views.profiles import Profiled, kind_of, span, top
from mlops_assets.work.printable import cut

SHOWN = 500
"""Columns that a page shows at most; JSON has all."""

LONGEST = 60
"""Signs of a value that are shown."""

TOP = 10
"""Values of a column that are listed: `--format json` has all."""

CLASSES = 100
"""Classes of the label that are listed."""

HEADS = (
    *("Used as", "#Missing", "#In training", "#Values", "Spread", "From to, or most frequent"),
    *("#Label V", "#Alone", "#Area"),
)
"""Of the table of columns, behind their names; those that begin with # are numbers."""

EXPLAINED = (
    "Label V: Cramer's V of the column and the label, corrected for few rows (Bergsma 2013): 0 for nothing, 1 where "
    "one says the other. Numbers and dates are cut into bins of equal frequency for it; a missing value is a bin.",
    "Alone: share of rows whose label is told right by the most frequent label of their bin in the other half of the "
    "rows. Area: the area under the ROC curve of the same, for two classes. Both are of rows that were not fitted on.",
    "A column with many different texts, a key of rows and the account may name people: their values are not listed, "
    "and of examples the form alone is shown, a for a letter and 9 for a digit.",
    "Of numbers with long tails the first and the last half per cent are not drawn.",
)
COMPARED = "The line over a histogram is what the champion learned from, as if that were even between two of its bins."


def page(profiled: Profiled) -> str:
    """One HTML file that needs nothing else; every text of others is escaped.

    Parameters
    ----------
    profiled
        What was looked at.
    """
    return single_file("data.html", profiled.title, days=(), day=None, rejects=None, **content(profiled))


def content(profiled: Profiled) -> dict[str, Any]:
    """What the page shows, as plain values.

    Parameters
    ----------
    profiled
        What was looked at.

    Returns
    -------
    dict
        `profiled` itself; `odd`, what is to be looked at, None where no row was; `classes` of the label; `heads` and
        `columns` of the table of columns, a cell a head; `values`, the most frequent ones by column; `dictionary`;
        `explained`, how to read it.
    """
    seen, names = profiled.overview, [*profiled.use_case.columns][:SHOWN]
    heads, columns = _columns(profiled, seen, names) if seen else ([], [])
    known = seen.columns.values() if seen else ()
    return {
        "profiled": profiled,
        "odd": [(each.column, each.sentence) for each in seen.suspicions] if seen else None,
        "of_numbers": profiled.use_case.training.says_numbers,
        "classes": _classes(seen) if seen and profiled.label else None,
        "heads": heads,
        "columns": columns,
        "more_columns": len(profiled.use_case.columns) - len(names),
        "values": [*_values(seen, names)] if seen else [],
        "dictionary": [_entry(profiled, name) for name in names],
        "explained": [*EXPLAINED, *([COMPARED] if any(each.training is not None for each in known) else [])],
    }


def _classes(seen: Overview) -> dict[str, Any]:
    rows = sum(seen.classes.values())
    shown = [*seen.classes.items()][:CLASSES]
    listed = [
        {"name": name, "rows": number, "share": number / rows, "bar": bar(number / rows, percent(number / rows, 2))}
        for name, number in shown
    ]
    return {
        "listed": listed,
        "number": len(seen.classes),
        "more": len(seen.classes) - len(shown),
        "rows": rows,
        "unlabelled": seen.unlabelled,
    }


def _columns(
    profiled: Profiled, seen: Overview, names: Sequence[str]
) -> tuple[list[str], list[tuple[str, list[tuple[str, object]]]]]:
    """The heads of the table of columns, and of each column its name and a cell a head."""
    table = {name: _cells(profiled, seen, name) for name in names if name in seen.columns}
    # what nothing is known of is left out: before a training, without a label, or where there are more classes than two
    heads = [head for head in HEADS if any(cells[head] for cells in table.values())]
    return heads, [(name, [(head, cells[head]) for head in heads]) for name, cells in table.items()]


def _cells(profiled: Profiled, overview: Overview, name: str) -> Mapping[str, object]:
    seen = overview.columns[name]
    told, away = seen.told, seen.training_missing
    cells = (
        profiled.uses.get(name, ""),
        percent(seen.missing),
        "" if away is None else percent(away),
        f"{seen.distinct:,}",
        _picture(seen, name),
        cut(span(seen, overview.day), 120),
        *(
            "" if number is None else f"{number:.3f}"
            for number in (seen.association, told and told.accuracy, told and told.auc)
        ),
    )
    return dict(zip(HEADS, cells, strict=True))


def _picture(seen: Seen, name: str) -> Markup | str:
    """Its histogram; that of a category has a bar a value, the most frequent first."""
    if seen.hidden and seen.kind in ("number", "date"):  # bars without names tell nothing of anybody
        return "not shown"
    rows = max(1, seen.counts.rows)
    if seen.kind == "category" and seen.counts.bins[-1] > rows / 2:
        return "many values"
    shares = np.asarray(seen.counts.bins / rows, float)
    training = seen.training
    # what is smaller or larger than all bars; and all further values, if there are any
    inner = slice(1, -1) if seen.kind != "category" else slice(None, None if shares[-1] else -1)
    shares, training = shares[inner], None if training is None else training[inner]
    if seen.kind == "date":
        shares, training = shares[::-1], None if training is None else training[::-1]
    if not shares.any():
        return "no value"
    return histogram(shares.tolist(), f"how {name} is spread", None if training is None else training.tolist())


def _values(seen: Overview, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The most frequent values of every column whose values may be listed."""
    for name in names:
        values = top(seen.columns[name]) if name in seen.columns else []
        if values:
            yield {
                "column": name,
                "listed": [{"value": value, "share": share, "training": was} for value, share, was in values[:TOP]],
                "compared": any(was is not None for _, _, was in values),
                "more": max(0, len(values) - TOP),
            }


def _entry(profiled: Profiled, name: str) -> dict[str, Any]:
    """What the contract says of a column, in words, and examples of what was seen."""
    column, overview = profiled.use_case.columns[name], profiled.overview
    seen = overview.columns.get(name) if overview else None
    least, most = (f"{bound:,.15g}" if isinstance(bound, float) else bound for bound in column.bounds)
    ends = {(True, True): f"{least} to {most}", (True, False): f"from {least}", (False, True): f"up to {most}"}
    return {
        "name": name,
        "header": column.header(name) or "(no name)",
        "kind": kind_of(column),
        "required": "yes" if column.required else "",
        "missing": ", ".join(map(repr, column.missing)),
        "allowed": ", ".join(column.allowed) or ends.get((least is not None, most is not None), ""),
        "about": column.about,
        "examples": [cut(example, LONGEST) for example in seen.examples] if seen else [],
    }
