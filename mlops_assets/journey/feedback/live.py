"""In: published predictions, and what people say of them. Out: how well the models do, by day, version and slice."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.feedback.audit import drawn_rows
from mlops_assets.journey.feedback.corrections import corrections, look_up, read_accepted
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import shard_number

EVERYTHING = "all"
"""The slice of all rows."""


def wilson(right: int, number: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share, for few cases too.

    Method: Wilson (1927), 'Probable inference, the law of succession, and statistical inference'.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    if not number:
        return 0.0, 1.0
    share, spread = right / number, z * z / number
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / number + spread / (4 * number)) / (1 + spread)
    # rounding must not put the share outside
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def live_metrics(use_case: UseCase, lake: Lake, accepted: pa.Table | None = None) -> list[dict[str, Any]]:
    """How well published predictions do by what people say of them.

    Parameters
    ----------
    use_case
        The use case; `feedback.slices` names the columns of the slices.
    lake
        Its tables.
    accepted
        What people say, in `feedback.ACCEPTED`; by default all that was accepted last.

    Returns
    -------
    list
        A record for each day with feedback, version and slice. `accuracy` with its Wilson interval is that on the
        `audited` ones of the `drawn` rows: they were drawn at random, so it stands for the whole slice.
        `right_corrected` is the share of right predictions among the other `corrections`, which people chose: rather
        the wrong ones. Both are None where there are none.
    """
    records = []
    for day, said in corrections(read_accepted(lake) if accepted is None else accepted).items():
        drawn = drawn_rows(lake, day)
        rows = said.keys() | drawn
        predicted = look_up(lake, lake.predictions, day, rows, ("prediction", "model_version"))
        features = look_up(lake, lake.rows, day, rows, use_case.feedback.slices) if use_case.feedback.slices else {}
        counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        for row, one in predicted.items():
            right = one["prediction"] == said[row] if row in said else None
            slices = [f"{name}={features[row].get(name)}" for name in use_case.feedback.slices if row in features]
            for part in (EVERYTHING, *slices):
                count = counts[one["model_version"], part]
                count["drawn"] += row in drawn
                kind = "audited" if row in drawn else "corrections"
                count[kind] += right is not None
                count[f"right {kind}"] += bool(right)
        records += [
            {"day": day, "model_version": version, "slice": part, **_shares(count)}
            for (version, part), count in sorted(counts.items(), key=lambda item: (item[0][0], _first(item[0][1])))
            if count["audited"] or count["corrections"]
        ]
    return sorted(records, key=lambda one: str(one["day"]))


def _first(part: str) -> tuple[bool, str]:
    """Orders slices by name, after that of all rows."""
    return part != EVERYTHING, part


def _shares(count: Counter[str]) -> dict[str, Any]:
    audited, corrected = count["audited"], count["corrections"]
    low, high = wilson(count["right audited"], audited)
    return {
        "drawn": count["drawn"],
        "audited": audited,
        "right_audited": count["right audited"],
        "accuracy": count["right audited"] / audited if audited else None,
        "low": low if audited else None,
        "high": high if audited else None,
        "corrections": corrected,
        "right_corrected": count["right corrections"] / corrected if corrected else None,
    }


def scored_days(lake: Lake) -> list[dict[str, Any]]:
    """Which version scored which day, when, by which choice and in which run; of each day the newest stands."""
    return [
        {
            "day": day,
            "model_version": one.accounting.model_version,
            "choice": one.accounting.model_choice,
            "published": dt.datetime.fromtimestamp(one.time / 1000, dt.UTC).isoformat(timespec="seconds"),
            "run": one.run,
            "restored_from": one.accounting.restored_from,
            "stands": one is publications[-1],
        }
        for day, publications in lake.predictions.publications().items()
        for one in publications
    ]


def compare_challenger(use_case: UseCase, lake: Lake) -> list[dict[str, Any]]:
    """The challenger beside the champion, for every day whose rows one run scored with both.

    A day that was compared before is not read again while its rows and predictions stay as they are.

    Returns
    -------
    list
        A record a day: rows, share that differs, rows with a label of their own, and the shares of these that each has
        right.
    """
    champions, challengers, rows = lake.predictions.days(), lake.challenger_predictions.days(), lake.rows.days()
    records = []
    for day, champion in champions.items():
        challenger = challengers.get(day)
        if challenger is None or not _scored_together(lake, day):
            continue
        versions = [champion.version, challenger.version, rows[day].version if day in rows else None]
        path = lake.challenge(day)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if known.get("versions") != versions:
            known = {"versions": versions, "found": _compare(use_case, lake, day)}
            write_json(path, known)
        scored_by = {
            "champion": champion.accounting.model_version,
            "challenger": challenger.accounting.model_version,
        }
        records.append({"day": day, **scored_by, **known["found"]})
    return records


def _scored_together(lake: Lake, day: str) -> bool:
    """Whether one run made the predictions of both; then the parts of a shard have the same name and order of rows.

    The challenger has no part of a shard without rows.
    """
    champion, challenger = lake.predictions, lake.challenger_predictions
    as_many = champion.days()[day].accounting.predictions == challenger.days()[day].accounting.predictions
    return as_many and challenger.parts(day) <= champion.parts(day)


def _compare(use_case: UseCase, lake: Lake, day: str) -> dict[str, Any]:
    champion, challenger, rows = lake.predictions, lake.challenger_predictions, lake.rows
    labels_of = {shard_number(part): rows.folder / part for part in rows.parts(day)}
    count: Counter[str] = Counter()
    for part in sorted(challenger.parts(day)):
        columns = ["file", "line", "prediction"]
        first, second = read_rows(champion.folder / part, columns), read_rows(challenger.folder / part, columns)
        one, other = (as_text(table["prediction"]) for table in (first, second))
        count["rows"] += len(one)
        count["differ"] += _number(pc.not_equal(one, other))
        place = labels_of.get(shard_number(part))
        known = read_rows(place, ["file", "line", use_case.label]) if place else first.slice(0, 0)
        if len(known) == len(first) and known["line"].equals(first["line"]):
            label = as_text(known[use_case.label])
            count["labelled"] += len(label) - label.null_count
            count["champion"] += _number(pc.equal(one, label))
            count["challenger"] += _number(pc.equal(other, label))
    labelled = count["labelled"]
    return {
        "rows": count["rows"],
        "differ": count["differ"] / max(1, count["rows"]),
        "labelled": labelled,
        "champion_right": count["champion"] / labelled if labelled else None,
        "challenger_right": count["challenger"] / labelled if labelled else None,
    }


def _number(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
