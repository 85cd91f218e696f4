"""The model card: all that is known of a version, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.about import About, Condition
from mlops_assets.journey.train.training_set import TrainingSet
from mlops_assets.journey.train.versions import REPEATS
from mlops_assets.views import markdown, number_card
from mlops_assets.views.judging import judged
from mlops_assets.views.numbers import plain


def render(about: About, version: int | None = None) -> str:
    """The model card as Markdown.

    Parameters
    ----------
    about
        What is known of the version.
    version
        Its number, once it is registered.

    Raises
    ------
    ModelRefused
        If its card was not written here.
    """
    with as_written(about, version):
        sections = [*_verdict(about, version), *_quality(about), *_cost(about), *_making(about, version)]
    # what has nothing to say is left out
    return "\n\n".join(filter(None, sections)) + "\n"


@contextmanager
def as_written(about: About, version: int | None) -> Iterator[None]:
    """Refuse a card that no training wrote, where that is seen inside; parameters and errors as of `render`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        which = f"version {version}" if version else about.candidate
        raise ModelRefused(
            f"The card of {which} is not as a training wrote it: {error!r}. Bring it back from a backup."
        ) from None


def _verdict(about: About, version: int | None) -> Iterator[str]:
    title = f"# {markdown.value(about.use_case)}: {markdown.value(about.candidate)}"
    yield f"{title}, version {version}" if version else title
    yield markdown.text(about.recipe["description"])
    yield f"**{'Passed the gate' if about.passed else 'Refused by the gate'}.** {markdown.text(about.reason)}"
    yield markdown.table([_condition(condition) for condition in about.conditions])


def _condition(condition: Condition) -> dict[str, str]:
    return {
        "passed": "yes" if condition.passed else "NO",
        "name": condition.name,
        "asked": condition.asked,
        "found": condition.found,
    }


def _quality(about: About) -> Iterator[str]:
    """How it did on rows that neither taught nor chose it."""
    metric = about.recipe["training"]["metric"]
    yield "## On held-out rows"
    shown = judged(about.judging, about.metrics, about.baseline_metrics, about.held_out)
    headline, *more = [*shown.as_markdown()] or [""]
    yield headline
    yield markdown.table([{"": "this version", **about.metrics}])
    yield from more
    yield _folds(about, metric)
    yield from number_card.sections(about) if about.says_numbers else _classes(about)
    if about.thresholds:
        yield "### Thresholds"
        yield f"If {markdown.value(about.labels[1])} were said from another probability on (`training.threshold`)."
        yield markdown.table(about.thresholds)
    yield "### Importance"
    yield f"What {markdown.value(metric)} loses when the column is shuffled (mean of {REPEATS})."
    yield markdown.table([{"column": name, "loss": loss} for name, loss in about.importance.items()])


def _classes(about: About) -> Iterator[str]:
    """How each class is told, and what its probabilities are worth."""
    yield "### Classes"
    yield markdown.table(class_lines(about.classes))
    yield "### Confusion matrix"
    yield "True classes down, predicted ones across."
    yield confusion_table(list(about.classes), about.confusion)
    yield "### Calibration"
    yield "Of the rows whose answer was about this probable: how many were right. A good model has the same in both."
    yield markdown.table(about.calibration)
    yield calibrated(about.calibrated)
    if about.origin:
        yield "It is not calibrated here: it was made elsewhere, and no rows are known that it has surely not learned."


def calibrated(told: Mapping[str, Any]) -> str:
    """How probabilities were made true; empty where nothing is told of it.

    Parameters
    ----------
    told
        `About.calibrated`.
    """
    if not told:
        return ""
    line = {
        "calibrated by": told["kind"],
        "rows that choose": told["rows"],
        "error without it": told["before"],
        "error with it": told["after"],
        "by chance": told["chance"],
        "why": told["why"],
    }
    meaning = (
        "Expected calibration error on the held-out rows: how far probability and share that was right lie apart in "
        "the table above, in the mean of all rows. True probabilities would have the one by chance."
    )
    return f"{meaning}\n\n{markdown.table([line])}"


def class_lines(classes: Mapping[str, Mapping[str, float]]) -> list[dict[str, object]]:
    """Precision, recall and F1 of every class, the most frequent first."""
    ranked = sorted(classes.items(), key=lambda item: -item[1]["rows"])
    return [{"class": name, **{what: round(value, 3) for what, value in values.items()}} for name, values in ranked]


def _folds(about: About, metric: str) -> str:
    values = ", ".join(f"{value:.3f}" if not about.says_numbers else plain(value) for value in about.folds)
    return f"In {len(about.folds)} rounds that choose, {markdown.value(metric)}: {values}" if values else ""


def _cost(about: About) -> Iterator[str]:
    yield "## Cost"
    yield markdown.table([about.cost])


def _making(about: About, version: int | None) -> Iterator[str]:
    """What it was made of, and how it can be made again."""
    training = about.recipe["training"]
    yield "## What it was judged by" if about.origin else "## What it learned from"
    yield markdown.table([_learned(TrainingSet.from_json(about.set), training["split"]["by"])])
    yield "## Made of"
    fingerprints = {
        "training set": about.training_set,
        "features.sql": about.sql,
        "contract": about.contract,
        "code": about.code,
    }
    yield markdown.table([{"what": what, "fingerprint": value} for what, value in fingerprints.items()])
    yield markdown.table([{"library": name, "version": number} for name, number in about.libraries.items()])
    yield (
        _origin(about.origin)
        if about.origin
        else markdown.code(recipe_of(about.candidate, training["candidates"]), "yaml")
    )
    yield markdown.code(about.recipe["features_sql"], "sql")
    again = f" To make it again: `mlops-assets rebuild {about.use_case} {version or 'VERSION'}`."
    yield f"Made {markdown.value(about.made)}." + ("" if about.origin else again)


def _learned(data: TrainingSet, split: str) -> dict[str, object]:
    return {
        "rows": data.rows,
        "held out": data.held_out,
        "days": " to ".join(data.days),
        "split at": data.boundary or split,
        "corrected by people": data.corrected,
    }


def recipe_of(name: str, candidates: Mapping[str, Any]) -> str:
    """How a candidate and its members are configured, as YAML."""
    members = {member: candidates[member] for member in candidates[name].get("members", ())}
    recipe = json.loads(json.dumps({name: candidates[name], **members}))
    return yaml.safe_dump(recipe, sort_keys=False)


def _origin(origin: Mapping[str, str]) -> str:
    shown = {name: value or "not told" for name, value in origin.items()}
    return markdown.table([shown]) + (
        "\n\nIt was made elsewhere, and how cannot be seen from here. **If it learned from the held-out rows, all "
        "numbers above are too good.**"
    )


def confusion_table(names: Sequence[str], cells: Sequence[Sequence[int]]) -> str:
    """A confusion matrix as a Markdown table."""
    return markdown.table(
        [{"": name, **dict(zip(names, row, strict=True))} for name, row in zip(names, cells, strict=True)]
    )
