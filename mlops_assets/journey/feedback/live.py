"""In: published predictions, and what people say of them. Out: how well the models do, by day, version and slice."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.feedback.audit import drawn_rows
from mlops_assets.journey.feedback.corrections import corrections, read_accepted
from mlops_assets.journey.feedback.published import Row, look_up
from mlops_assets.journey.score.unpredicted import left_out, without
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import read_json, write_json
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
    for day, labels in corrections(read_accepted(lake) if accepted is None else accepted).items():
        counts = _count_day(use_case, lake, day, labels)
        records += [
            {"day": day, "model_version": version, "slice": part, **_shares(count)}
            for (version, part), count in sorted(counts.items(), key=_by_version)
            if count["audited"] + count["corrections"]
        ]
    return sorted(records, key=lambda record: str(record["day"]))


def _count_day(
    use_case: UseCase, lake: Lake, day: str, labels: Mapping[Row, str]
) -> dict[tuple[int, str], Counter[str]]:
    """By version and slice: the rows that were drawn, audited and corrected, and how many of these are right."""
    drawn = drawn_rows(lake, day)
    rows = labels.keys() | drawn
    names = use_case.feedback.slices
    predicted = look_up(lake, lake.predictions, day, rows, ("prediction", "model_version"))
    features = look_up(lake, lake.rows, day, rows, names) if names else {}
    counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for row, answer in predicted.items():
        right = answer["prediction"] == labels[row] if row in labels else None
        tally = _tally(drawn=row in drawn, right=right)
        slices = [f"{name}={features[row].get(name)}" for name in names if row in features]
        for part in (EVERYTHING, *slices):
            counts[answer["model_version"], part].update(tally)
    return counts


def _tally(*, drawn: bool, right: bool | None) -> dict[str, int]:
    """What one row adds: what was drawn at random and what people chose are never mixed."""
    kind = "audited" if drawn else "corrections"
    return {"drawn": int(drawn), kind: int(right is not None), f"right {kind}": int(right is True)}


def _by_version(item: tuple[tuple[int, str], Counter[str]]) -> tuple[int, bool, str]:
    """Orders slices by version and name, after that of all rows."""
    (version, part), _ = item
    return version, part != EVERYTHING, part


def _shares(count: Counter[str]) -> dict[str, Any]:
    audited, right = count["audited"], count["right audited"]
    low, high = wilson(right, audited) if audited else (None, None)
    return {
        "drawn": count["drawn"],
        "audited": audited,
        "right_audited": right,
        "accuracy": _share(right, audited),
        "low": low,
        "high": high,
        "corrections": count["corrections"],
        "right_corrected": _share(count["right corrections"], count["corrections"]),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def scored_days(lake: Lake) -> list[dict[str, Any]]:
    """Which version scored which day, when, by which choice and in which run; of each day the newest stands."""
    return [
        {
            "day": day,
            "model_version": publication.accounting.model_version,
            "choice": publication.accounting.model_choice,
            "published": dt.datetime.fromtimestamp(publication.time / 1000, dt.UTC).isoformat(timespec="seconds"),
            "run": publication.run,
            "restored_from": publication.accounting.restored_from,
            "stands": publication is publications[-1],
        }
        for day, publications in lake.predictions.publications().items()
        for publication in publications
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
        scored_by = {
            "champion": champion.accounting.model_version,
            "challenger": challenger.accounting.model_version,
        }
        records.append({"day": day, **scored_by, **_compared(use_case, lake, day, versions)})
    return records


def _compared(use_case: UseCase, lake: Lake, day: str, versions: list[int | None]) -> dict[str, Any]:
    """The comparison of a day, kept for these versions of its tables."""
    path = lake.challenge(day)
    kept = read_json(path) if path.exists() else {}
    if kept.get("versions") != versions:
        kept = {"versions": versions, "found": _compare(use_case, lake, day)}
        write_json(path, kept)
    comparison: dict[str, Any] = kept["found"]
    return comparison


def _scored_together(lake: Lake, day: str) -> bool:
    """Whether one run made the predictions of both; then the parts of a shard have the same name and order of rows.

    The challenger has no part of a shard without rows.
    """
    champion, challenger = lake.predictions, lake.challenger_predictions
    as_many = champion.days()[day].accounting.predictions == challenger.days()[day].accounting.predictions
    return as_many and challenger.parts(day) <= champion.parts(day)


def _compare(use_case: UseCase, lake: Lake, day: str) -> dict[str, Any]:
    champion, challenger, rows = lake.predictions, lake.challenger_predictions, lake.rows
    parts_of_rows = {shard_number(part): rows.folder / part for part in rows.parts(day)}
    count: Counter[str] = Counter()
    for part in sorted(challenger.parts(day)):
        first, second = (
            read_rows(table.folder / part, ["file", "line", "prediction"]) for table in (champion, challenger)
        )
        own = parts_of_rows.get(shard_number(part))
        labels = read_rows(own, ["file", "line", use_case.label]) if own else first.slice(0, 0)
        count.update(_compare_part(first, second, without(labels, left_out(lake, part)), use_case.label))
    return {
        "rows": count["rows"],
        "differ": count["differ"] / max(1, count["rows"]),
        "labelled": count["labelled"],
        "champion_right": _share(count["champion"], count["labelled"]),
        "challenger_right": _share(count["challenger"], count["labelled"]),
    }


def _compare_part(first: pa.Table, second: pa.Table, labels: pa.Table, label: str) -> dict[str, int]:
    """Rows, those in which two models differ, and where the labels are of the same rows, how many each has right."""
    champion, challenger = as_text(first["prediction"]), as_text(second["prediction"])
    count = {"rows": len(first), "differ": _number(pc.not_equal(champion, challenger))}
    # the rows may have been read again since, and be others
    if len(labels) != len(first) or not labels["line"].equals(first["line"]):
        return count
    truth = as_text(labels[label])
    return {
        **count,
        "labelled": len(truth) - truth.null_count,
        "champion": _number(pc.equal(champion, truth)),
        "challenger": _number(pc.equal(challenger, truth)),
    }


def _number(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
