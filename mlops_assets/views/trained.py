"""What a training made, in a few lines for a terminal: what counts, from when a class is said, what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.about import About
from mlops_assets.journey.train.records import MadeVersion
from mlops_assets.journey.train.thresholds import best
from mlops_assets.views.card import as_written
from mlops_assets.views.numbers import plain, size
from mlops_assets.work.printable import printable
from mlops_assets.workspace import Stores

COLUMNS = 5
"""Columns of which it is told what they bring."""


def render_newest(stores: Stores) -> str:
    """The version that the last training made; empty where it made none, or its card cannot be read."""
    made = stores.runs.newest(MadeVersion)
    if made is None or made.version is None:
        return ""
    try:
        return render(stores.registry.version(stores.use_case.name, made.version).details(), made.version)
    except MlopsError:  # `card` says what is wrong with it
        return ""


def render(about: About, version: int) -> str:
    """A few lines of a version.

    Parameters
    ----------
    about
        What is known of it.
    version
        Its number.

    Raises
    ------
    ModelRefused
        If its card was not written here.
    """
    with as_written(about, version):
        return "\n".join(_lines(about, version))


def _lines(about: About, version: int) -> Iterator[str]:
    yield f"version {version}, {about.candidate}, of this training"
    helpful = [(name, loss) for name, loss in about.importance.items() if loss > 0]
    metric = about.recipe["training"]["metric"]
    if about.importance:
        shown = ", ".join(f"{printable(name)} {plain(loss)}" for name, loss in helpful[:COLUMNS]) or "nothing"
        nothing = len(about.importance) - len(helpful)
        beside = f"; {nothing} of {len(about.importance)} columns bring nothing" if nothing else ""
        yield f"  counts most   {shown} (what {metric} loses when the column is shuffled){beside}"
    yield from _threshold(about)
    seconds = 1e6 / max(1e-9, about.rows_per_second)
    fitted, stored = about.cost.get("seconds to fit"), about.cost.get("bytes of the judged model")
    took = f"; fitted in {fitted:,.1f} s" if fitted is not None else ""
    yield f"  costs         {plain(seconds)} CPU s a million rows{took}; {size(stored)} stored"
    yield f"  more          mlops-assets card {about.use_case} {version}"


def _threshold(about: About) -> Iterator[str]:
    if not about.thresholds:
        return
    second, asked = about.labels[1], about.recipe["training"].get("threshold")
    now = f"from {asked:g} on" if asked is not None else "where it is the likelier one"
    line = best(list(about.thresholds))
    yield (
        f"  threshold     {printable(second)} is said {now}; from {line['threshold']:g} on its F1 would be largest: "
        f"{line['f1']:.3f}, precision {line['precision']:.3f}, recall {line['recall']:.3f} (training.threshold)"
    )
