"""The page of some rows: what is odd, the label, every column with its histogram, and the data dictionary."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mlops_assets.monitoring.overview import Overview, Seen
from mlops_assets.views import pages
from mlops_assets.views.histograms import bar, histogram
from mlops_assets.views.profiles import Profiled, kind_of, span, top
from mlops_assets.work.printable import cut, printable

SHOWN = 500
"""Columns that a page shows at most; JSON has all."""

LONGEST = 60
"""Signs of a value that are shown."""

TOP = 10
"""Values of a column that are listed, and classes of the label that are drawn: `--format json` has all."""

HEADS = (
    *("used as", "missing", "in training", "values", "spread", "from to, or most frequent"),
    *("label V", "alone", "area"),
)
"""Of the table of columns, behind their names."""

CLASSES = 100
"""Classes of the label that are listed."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #55626f; --line: #d5dde5; --head: #f3f6f9; --bar: #3b76b0;
  --over: #b3471c; --page: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe6ee; --soft: #a3b0bd; --line: #34404c; --head: #202a34;
  --bar: #6aa5dd; --over: #f0925f; --page: #141b22 } }
body { background: var(--page); color: var(--ink); max-width: 90rem }
h2 { border-color: var(--line) } h3 { font-size: 14px; margin: 0 0 .3rem }
table { display: table } th, td { border-color: var(--line); vertical-align: middle }
th { background: var(--head) } tbody tr:hover { background: var(--head) }
td.n { text-align: right; font-variant-numeric: tabular-nums } td.about { white-space: normal; min-width: 16rem }
td.wide, .wide { white-space: normal; max-width: 22rem; overflow-wrap: anywhere } span.wide { display: block }
.scroll { overflow-x: auto } .soft { color: var(--soft) }
.odd { border-left: 3px solid var(--over); padding-left: .7rem }
svg { width: 180px; height: 36px; display: block; border-bottom: 1px solid var(--line) } .bars { fill: var(--bar) }
.classes svg { height: 14px; border: 0 }
.line { fill: none; stroke: var(--over); stroke-width: 1.5; vector-effect: non-scaling-stroke }
.values { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1.2rem }
.values table { margin: 0; width: 100% } .values th[scope="row"] { white-space: normal; overflow-wrap: anywhere }
@media print {
  body { max-width: none; margin: 0; font-size: 11px } .scroll { overflow: visible } tr { break-inside: avoid }
  table { font-size: 9px } th, td { padding: .1rem .3rem } svg { width: 110px; height: 24px }
}
"""


def page(profiled: Profiled) -> str:
    """One HTML file that needs nothing else; every text of others is escaped.

    Parameters
    ----------
    profiled
        What was looked at.
    """
    seen = profiled.overview
    names = [*profiled.use_case.columns][:SHOWN]
    parts = [
        f"<h1>{_text(profiled.title)}</h1>",
        *(f"<p>{_text(line, 500)}</p>" for line in (profiled.use_case.description, profiled.how) if line),
        _list([*profiled.facts, *(f"rejected by the rule {rule}: {n:,}" for rule, n in profiled.rejects.items())]),
        *(_odd(seen) if seen is not None else []),
        *(_label(profiled, seen) if seen is not None and profiled.label else []),
        *(_columns(profiled, seen, names) if seen is not None else []),
        *(_values(seen, names) if seen is not None else []),
        *_dictionary(profiled, names),
        *_explained(profiled),
    ]
    body = "\n".join(filter(None, parts))
    return pages.document(profiled.title, f"<main>\n{body}\n</main>", STYLE)


def _odd(seen: Overview) -> Iterator[str]:
    yield "<h2>Look at</h2>"
    lines = [each.sentence for each in seen.suspicions]
    yield f'<div class="odd">{_list(lines, 400)}</div>' if lines else "<p>Nothing odd was found.</p>"


def _label(profiled: Profiled, seen: Overview) -> Iterator[str]:
    yield f"<h2>The label {_text(profiled.label)}</h2>"
    rows = sum(seen.classes.values())
    if not rows:
        yield "<p>No row has one.</p>"
        return
    yield f"<p>{len(seen.classes):,} classes in {rows:,} rows; {seen.unlabelled:,} rows have none.</p>"
    shown = [*seen.classes.items()][:CLASSES]
    lines = [[_row(name), _number(f"{n:,}"), _number(f"{n / rows:.2%}"), _bar(n / rows)] for name, n in shown]
    yield f'<div class="classes">{_table("Classes", ("class", "rows", "share", ""), lines)}</div>'
    if len(shown) < len(seen.classes):
        yield f"<p>And {len(seen.classes) - len(shown):,} more.</p>"


def _bar(share: float) -> str:
    return f"<td>{bar(share, f'{share:.2%}')}</td>"


def _columns(profiled: Profiled, seen: Overview, names: Sequence[str]) -> Iterator[str]:
    yield "<h2>Columns</h2>"
    if len(names) < len(profiled.use_case.columns):
        yield f"<p>The first {len(names)} of {len(profiled.use_case.columns):,} columns; --format json has all.</p>"
    known = {name: seen.columns[name] for name in names if name in seen.columns}
    table = {name: _cells(profiled, seen, name) for name in known}
    # what nothing is known of is left out: before a training, without a label, or where there are more classes than two
    heads = [head for head in HEADS if any(cells[head] for cells in table.values())]
    numbers = {*HEADS} - {"used as", "spread", "from to, or most frequent"}
    lines = [
        [_row(name), *(_number(cells[head]) if head in numbers else f"<td>{cells[head]}</td>" for head in heads)]
        for name, cells in table.items()
    ]
    yield _table("Columns", ("column", *heads), lines)


def _cells(profiled: Profiled, overview: Overview, name: str) -> dict[str, str]:
    seen = overview.columns[name]
    told, away = seen.told, seen.training_missing
    cells = (
        _text(profiled.uses.get(name, "")),
        f"{seen.missing:.1%}",
        "" if away is None else f"{away:.1%}",
        f"{seen.distinct:,}",
        _picture(seen, name),
        f'<span class="wide">{_text(span(seen, overview.day), 120)}</span>',
        *(
            "" if number is None else f"{number:.3f}"
            for number in (seen.association, told and told.accuracy, told and told.auc)
        ),
    )
    return dict(zip(HEADS, cells, strict=True))


def _picture(seen: Seen, name: str) -> str:
    """Its histogram; that of a category has a bar a value, the most frequent first."""
    if seen.hidden and seen.kind in ("number", "date"):  # bars without names tell nothing of anybody
        return '<span class="soft">not shown</span>'
    rows = max(1, seen.counts.rows)
    if seen.kind == "category" and seen.counts.bins[-1] > rows / 2:
        return '<span class="soft">many values</span>'
    shares = np.asarray(seen.counts.bins / rows, float)
    training = seen.training
    # what is smaller or larger than all bars; and all further values, if there are any
    inner = slice(1, -1) if seen.kind != "category" else slice(None, None if shares[-1] else -1)
    shares, training = shares[inner], None if training is None else training[inner]
    if seen.kind == "date":
        shares, training = shares[::-1], None if training is None else training[::-1]
    if not shares.any():
        return '<span class="soft">no value</span>'
    return histogram(shares.tolist(), f"how {name} is spread", None if training is None else training.tolist())


def _values(seen: Overview, names: Sequence[str]) -> Iterator[str]:
    listed = {name: values for name in names if name in seen.columns and (values := top(seen.columns[name]))}
    if not listed:
        return
    yield "<h2>Most frequent values</h2>"
    yield f'<div class="values">{"".join(_top(name, values) for name, values in listed.items())}</div>'


def _top(name: str, values: Sequence[tuple[str, float, float | None]]) -> str:
    compared = any(training is not None for _, _, training in values)
    heads = ("value", "share", *(["in training"] if compared else []))
    lines = [
        [_row(value), _number(f"{share:.1%}"), *([_number(f"{training or 0:.1%}")] if compared else [])]
        for value, share, training in values[:TOP]
    ]
    more = f'<p class="soft">and {len(values) - TOP} more</p>' if len(values) > TOP else ""
    return f"<section><h3>{_text(name)}</h3>{_table(name, heads, lines)}{more}</section>"


def _dictionary(profiled: Profiled, names: Sequence[str]) -> Iterator[str]:
    yield "<h2>Data dictionary</h2>"
    heads = ("column", "in the file", "type", "required", "no value is", "allowed", "meaning", "examples")
    yield _table("Data dictionary", heads, [_entry(profiled, name) for name in names])


def _entry(profiled: Profiled, name: str) -> list[str]:
    column, overview = profiled.use_case.columns[name], profiled.overview
    seen = overview.columns.get(name) if overview else None
    least, most = (f"{bound:,.15g}" if isinstance(bound, float) else bound for bound in column.bounds)
    ends = {(True, True): f"{least} to {most}", (True, False): f"from {least}", (False, True): f"up to {most}"}
    allowed = ", ".join(column.allowed) or ends.get((least is not None, most is not None), "")
    cells = (
        column.header(name) or "(no name)",
        kind_of(column),
        "yes" if column.required else "",
        ", ".join(map(repr, column.missing)),
    )
    examples = ", ".join(cut(printable(example), LONGEST) for example in seen.examples) if seen else ""
    return [
        _row(name),
        *(f"<td>{_text(cell)}</td>" for cell in cells),
        f'<td class="wide">{_text(allowed, 400)}</td>',
        f'<td class="about">{_text(column.about, 400)}</td>',
        f'<td class="wide">{html.escape(examples)}</td>',
    ]


EXPLAINED = (
    "label V: Cramer's V of the column and the label, corrected for few rows (Bergsma 2013): 0 for nothing, 1 where "
    "one says the other. Numbers and dates are cut into bins of equal frequency for it; a missing value is a bin.",
    "alone: share of rows whose label is told right by the most frequent label of their bin in the other half of the "
    "rows. area: the area under the ROC curve of the same, for two classes. Both are of rows that were not fitted on.",
    "A column with many different texts, a key of rows and the account may name people: their values are not listed, "
    "and of examples the form alone is shown, a for a letter and 9 for a digit.",
    "Of numbers with long tails the first and the last half per cent are not drawn.",
)
COMPARED = "The line over a histogram is what the champion learned from, as if that were even between two of its bins."


def _explained(profiled: Profiled) -> Iterator[str]:
    yield "<h2>How to read this</h2>"
    seen = profiled.overview.columns.values() if profiled.overview else ()
    compared = [COMPARED] if any(each.training is not None for each in seen) else []
    yield _list([*EXPLAINED, *compared], 500)


def _table(name: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(each)}</th>' if each else "<td></td>" for each in heads)
    body = "\n".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    # what can be scrolled must be reached by the keyboard
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(name)}">'
    return f"{region}<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"


def _row(name: str) -> str:
    return f'<th scope="row">{_text(name)}</th>'


def _number(shown: str) -> str:
    return f'<td class="n">{shown}</td>'


def _list(lines: Sequence[str], longest: int = 200) -> str:
    return f"<ul>{''.join(f'<li>{_text(line, longest)}</li>' for line in lines)}</ul>" if lines else ""


def _text(value: object, longest: int = LONGEST) -> str:
    """A text of others as HTML that shows it and does nothing."""
    return html.escape(cut(printable(str(value)), longest))
