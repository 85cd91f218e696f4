"""The model card: all that is known of a version, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mlops_assets.journey.train.versions import REPEATS
from mlops_assets.views.output import markdown_table

FINGERPRINTS = {"training set": "training_set", "features.sql": "sql", "contract": "contract", "code": "code"}


def render(about: Mapping[str, Any], version: int | None = None) -> str:
    """The model card as Markdown.

    Parameters
    ----------
    about
        What `make_version` returned.
    version
        Its number, once it is registered.
    """
    title = f"{about['use_case']}: {about['candidate']}" + (f", version {version}" if version else "")
    training = about["recipe"]["training"]
    origin, data = about.get("origin"), about["set"]
    sections = [
        f"# {title}",
        about["recipe"]["description"],
        f"**{'Passed the gate' if about['passed'] else 'Refused by the gate'}.** {about['reason']}",
        _conditions(about["conditions"]),
        "## On held-out rows",
        markdown_table([{"": "this version", **about["metrics"]}]),
        _folds(about, training["metric"]),
        "### Classes",
        markdown_table(
            [
                {"class": name, **{key: round(value, 3) for key, value in numbers.items()}}
                for name, numbers in sorted(about["classes"].items(), key=lambda item: -item[1]["rows"])
            ]
        ),
        "### Confusion matrix",
        "True classes down, predicted ones across.",
        confusion_table(list(about["classes"]), about["confusion"]),
        "### Calibration",
        "Of the rows whose answer was about this probable: how many were right. A good model has the same in both.",
        markdown_table(about["calibration"]),
        "### Importance",
        f"What {training['metric']} loses when the column is shuffled (mean of {REPEATS}).",
        markdown_table([{"column": name, "loss": loss} for name, loss in about["importance"].items()]),
        "## Cost",
        markdown_table([about["cost"]]),
        "## What it was judged by" if origin else "## What it learned from",
        markdown_table(
            [
                {
                    "rows": data["rows"],
                    "held out": data["held_out"],
                    "days": " to ".join(data["days"]),
                    "split at": data["boundary"] or training["split"]["by"],
                    "corrected by people": data["corrected"],
                }
            ]
        ),
        "## Made of",
        markdown_table([{"what": what, "fingerprint": about[key]} for what, key in FINGERPRINTS.items()]),
        markdown_table([{"library": name, "version": number} for name, number in about["libraries"].items()]),
        _origin(origin) if origin else _recipe(about["candidate"], training["candidates"]),
        f"```sql\n{about['recipe']['features_sql'].rstrip()}\n```",
        f"Made {about['made']}."
        + ("" if origin else f" To make it again: `mlops-assets rebuild {about['use_case']} {version or 'VERSION'}`."),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _folds(about: Mapping[str, Any], metric: str) -> str:
    values = ", ".join(f"{value:.3f}" for value in about["folds"])
    return f"Over {len(about['folds'])} folds of the training part, {metric}: {values}" if values else ""


def _recipe(name: str, candidates: Mapping[str, Any]) -> str:
    members = {member: candidates[member] for member in candidates[name].get("members", ())}
    recipe = json.loads(json.dumps({name: candidates[name], **members}))
    return f"```yaml\n{yaml.safe_dump(recipe, sort_keys=False)}```"


def _origin(origin: Mapping[str, str]) -> str:
    told = {name: value or "not told" for name, value in origin.items()}
    return markdown_table([told]) + (
        "\n\nIt was made elsewhere, and how cannot be seen from here. **If it learned from the held-out rows, all "
        "numbers above are too good.**"
    )


def _conditions(conditions: Sequence[Mapping[str, Any]]) -> str:
    lines = [{**one, "passed": "yes" if one["passed"] else "**NO**"} for one in conditions]
    return markdown_table([{name: line[name] for name in ("passed", "name", "asked", "found")} for line in lines])


def confusion_table(names: Sequence[str], cells: Sequence[Sequence[int]]) -> str:
    """A confusion matrix as a Markdown table."""
    return markdown_table(
        [{"": name, **dict(zip(names, row, strict=True))} for name, row in zip(names, cells, strict=True)]
    )
