"""In: published predictions, and what people say of them. Out: how well the models do, by day, version and slice."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.features.matrix import as_text
from mlops_assets.journey.features.sql import read_rows
from mlops_assets.journey.feedback.audited import Counted, share, shares_right
from mlops_assets.journey.feedback.degradation import age_of
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.score.unpredicted import left_out, without
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import shard_number


def live_metrics(
    use_case: UseCase, counted: Sequence[Counted], known: Mapping[int, Summary] | None = None
) -> list[dict[str, Any]]:
    """How well published predictions do by what people say of them.

    Parameters
    ----------
    use_case
        The use case.
    counted
        What people say; see `audited.count_rows`.
    known
        What is known of the versions, by number.

    Returns
    -------
    list
        A record for each day with feedback, version and slice. `accuracy` with its Wilson interval is that on the
        `audited` ones of the `drawn` rows: they were drawn at random, so it stands for the whole slice.
        `right_corrected` is the share of right predictions among the other `corrections`, which people chose: rather
        the wrong ones. Both are None where there are none. `age` is in days, see `degradation.age_of`.
    """
    return [
        {
            "day": one.day,
            "model_version": one.version,
            "age": age_of(one, known or {}),
            "slice": one.part,
            "drawn": one.count["drawn"],
            **shares_right(one.count, valued=use_case.value is not None),
            "corrections": one.count["corrections"],
            "right_corrected": share(one.count["right corrections"], one.count["corrections"]),
        }
        for one in counted
    ]


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
            "accepted_drift": publication.accounting.accepted_drift,
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
        numbers = use_case.training.says_numbers
        columns = ["file", "line", "prediction", *(("low", "high") if numbers else ())]
        first, second = (read_rows(table.folder / part, columns) for table in (champion, challenger))
        own = parts_of_rows.get(shard_number(part))
        labels = read_rows(own, ["file", "line", use_case.label]) if own else first.slice(0, 0)
        count.update(_compare_part(first, second, without(labels, left_out(lake, part)), use_case.label))
    return {
        "rows": count["rows"],
        "differ": count["differ"] / max(1, count["rows"]),
        "labelled": count["labelled"],
        "champion_right": share(count["champion"], count["labelled"]),
        "challenger_right": share(count["challenger"], count["labelled"]),
    }


def _compare_part(first: pa.Table, second: pa.Table, labels: pa.Table, label: str) -> dict[str, int]:
    """Rows, those in which two models differ, and where the labels are of the same rows, how many each has right.

    A number is right where it lies in the interval of its prediction.
    """
    if "low" in first.column_names:
        return _compare_numbers(first, second, labels, label)
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


def _compare_numbers(first: pa.Table, second: pa.Table, labels: pa.Table, label: str) -> dict[str, int]:
    differ = pc.not_equal(first["prediction"], second["prediction"])
    count = {"rows": len(first), "differ": _number(differ)}
    if len(labels) != len(first) or not labels["line"].equals(first["line"]):
        return count
    truth = labels[label].cast(pa.float64())
    inside = {
        name: pc.and_(pc.less_equal(rows["low"], truth), pc.less_equal(truth, rows["high"]))
        for name, rows in (("champion", first), ("challenger", second))
    }
    return {
        **count,
        "labelled": len(truth) - truth.null_count,
        **{name: _number(mask) for name, mask in inside.items()},
    }


def _number(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0
