"""How a version was chosen and tested: sentences and tables, the same on the card, on its page and in Dagster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.journey.train.metrics import shown as figure
from mlops_assets.views import markdown


@dataclass(frozen=True)
class Judging:
    """What is told of `About.judging`.

    Attributes
    ----------
    headline
        The figure with its bounds and the baseline's; empty where nothing is known of how it was judged.
    sentences
        What else there is to say.
    tables
        By caption, lines with the same keys.
    """

    headline: str = ""
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, Sequence[Mapping[str, object]]] | None = None

    def as_markdown(self) -> Iterator[str]:
        """The same as paragraphs of Markdown."""
        if self.headline:
            yield f"**{markdown.text(self.headline)}**"
        for sentence in self.sentences:
            yield markdown.text(sentence)
        for caption, lines in (self.tables or {}).items():
            yield f"### {caption}"
            yield markdown.table(lines)


def judged(
    told: Mapping[str, Any], metrics: Mapping[str, float], baseline: Mapping[str, float], held_out: int
) -> Judging:
    """What is shown of how a version was chosen and tested; nothing of one that an earlier release made.

    Parameters
    ----------
    told
        `About.judging`.
    metrics, baseline, held_out
        As in `About`.
    """
    if not told:
        return Judging()
    metric = told["metric"]
    tables: dict[str, list[dict[str, object]]] = {"Which rows were which": [_part(one) for one in told["parts"]]}
    if len(told["rounds"]) > 1:
        tables["By month"] = [_figured(one, metric) for one in told["rounds"]]
    if told["ages"]:
        tables["By whole months since it learned last"] = [_figured(one, metric) for one in told["ages"]]
    headline = _headline(told, metric, metrics, baseline, held_out)
    return Judging(headline, tuple(_sentences(told, metric)), tables)


def _headline(
    told: Mapping[str, Any], metric: str, metrics: Mapping[str, float], baseline: Mapping[str, float], held_out: int
) -> str:
    """The published figure."""
    if metric not in metrics:
        return f"{metric} has no value on the {held_out:,} rows that chose nothing."
    bounds = told["intervals"].get(metric)
    sure = f", 95 % sure between {figure(bounds[0])} and {figure(bounds[1])}" if bounds else ""
    beside = f"; the baseline has {figure(baseline[metric])} on the same rows" if metric in baseline else ""
    return f"{metric} {figure(metrics[metric])} on {held_out:,} rows that chose nothing{sure}{beside}."


def _sentences(told: Mapping[str, Any], metric: str) -> Iterator[str]:
    yield told["how"]
    if told["intervals"]:
        yield "Bounds are of a jackknife that leaves out whole accounts, for the rows of one stand or fall together."
    yield from _chosen(told, metric)
    if told["seeds"]:
        values = [figure(value) for value in told["seeds"]]
        all_of_them = values[0] + " each time" if len({*values}) == 1 < len(values) else ", ".join(values)
        yield f"Fitted from {len(values)} other seeds, without calibration, it has {metric} {all_of_them}."
    if (unseen := told["unseen"]).get("figure") is not None:
        yield f"On {unseen['rows']:,} rows of accounts that it had not learned, {metric} is {figure(unseen['figure'])}."
    yield from _weighed(told)


def _chosen(told: Mapping[str, Any], metric: str) -> Iterator[str]:
    """How it came to be chosen; nothing of a model from elsewhere."""
    if "validation" not in told:
        return
    value = told["validation"].get(metric)
    if value is not None:
        why = f": {told['choice']}" if told["choice"] else ""
        yield f"It was chosen by {metric} {figure(value)} on the rows that choose{why}."


def _weighed(told: Mapping[str, Any]) -> Iterator[str]:
    """What old rows count."""
    if "half_life" not in told:
        return
    if told["half_life"] is None:
        yield "Old rows count as much as new ones (`training.half_life` is off)."
        return
    yield f"A row counts half as much for each {told['half_life']:g} days that it is older (`training.half_life`)."
    if told["unweighted"]:
        parts = ", ".join(told["unweighted"])
        yield f"To these parts it cannot be told what a row counts, so all rows count the same for them: {parts}."


def _part(one: Mapping[str, Any]) -> dict[str, object]:
    names = {"part": "these rows", "rows": "rows", "accounts": "accounts", "from": "from", "to": "to"}
    return {**{shown: one[name] for name, shown in names.items()}, "in rounds": one.get("by", "")}


def _figured(one: Mapping[str, Any], metric: str) -> dict[str, object]:
    names = ("tested", "months old", "rows", "learned", "up to")  # in this order, whatever that of the card is
    plain = {name: one[name] for name in names if name in one}
    figures = {metric: one["figure"], "baseline": one["baseline"]}
    return {**plain, **{name: "none" if value is None else figure(value) for name, value in figures.items()}}
