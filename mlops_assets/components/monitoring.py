"""The monitoring assets of a use case: feedback, live metrics, who scored which day, champion against challenger."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from mlops_assets.components import showing
from mlops_assets.components.days import key, materialize_all
from mlops_assets.components.red import stopped
from mlops_assets.errors import MlopsError
from mlops_assets.journey.feedback import live
from mlops_assets.journey.feedback.audited import EVERYTHING, count_rows
from mlops_assets.journey.feedback.corrections import read_accepted, take_in
from mlops_assets.journey.feedback.degradation import Fall, find_fall, levels
from mlops_assets.journey.feedback.rules import RULES
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.score.day import CHALLENGER
from mlops_assets.journey.train.versions import known_labels
from mlops_assets.use_case import UseCase
from mlops_assets.views import made
from mlops_assets.views.made import FIRST, Text, read_first
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.monitoring")

AFTER_DAILY = 90
"""Minutes after the daily job at which feedback is taken in."""

NO_CORRECTIONS = "nobody has corrected anything yet: `mlops-assets audit` writes rows of a day for people to label"

SHOWN = 200
"""Lines of a table that the UI shows; the newest."""


def monitoring_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The monitoring assets; `challenger_comparison` only where the use case names a challenger."""
    steps = [_feedback, _live_metrics, _scored_days, *([_challenger_comparison] if use_case.challenger else [])]
    return [step(use_case) for step in steps]


def monitoring_schedule(use_case: UseCase, job: Any) -> dg.ScheduleDefinition:
    """Takes in feedback every night, after the daily job."""
    name = f"{use_case.name}_monitoring_schedule"
    partitions = use_case.partitions
    cron, zone = partitions.cron_of_days(AFTER_DAILY), partitions.timezone
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=zone,
        description="Takes in what people said of predictions, each night after the daily run, and tells how well they "
        "do and which version scored which day. Off until somebody switches it on.",
    )


def monitoring_group(use_case: UseCase) -> str:
    """The group of the monitoring assets, which look at all days: *Materialize all* of days asks for none of them."""
    return f"{use_case.name}_monitoring"


def _common(use_case: UseCase, name: str, daily: Sequence[str], others: Sequence[str] = ()) -> dict[str, Any]:
    """What the assets share; they look at all days of the `daily` ones."""
    # they look at every day at once, whatever day the upstream asset was made for
    days = dg.AllPartitionMapping()
    deps = [dg.AssetDep(key(use_case, upstream), partition_mapping=days) for upstream in daily]
    return {
        "key": [use_case.name, name],
        "deps": [*deps, *(key(use_case, upstream) for upstream in others)],
        "owners": [use_case.owner],
        "group_name": monitoring_group(use_case),
    }


def _feedback(use_case: UseCase) -> dg.AssetsDefinition:
    # it reads the audit samples too, but an edge from them would close a circle through training and predictions
    @dg.asset(
        **_common(use_case, "feedback", ["rows"]),
        kinds={"csv", "parquet"},
        description="Corrections by people: those that count, and those that do not, each with its reason.\n\n"
        + materialize_all(
            use_case,
            monitoring_group(use_case),
            "takes in corrections and looks at all that is published; no day is scored again, and nothing is trained",
        ),
    )
    def feedback(workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[None]:
        stores = workspace.of(use_case)
        folder = stores.corrections
        try:
            taken = take_in(use_case, stores.lake, folder, known_labels(use_case, stores.registry, stores.runs))
        except MlopsError as error:
            raise stopped(error, use_case.name) from None
        accepted, rejected = len(taken.accepted), len(taken.rejected)
        log.info("%s feedback: %d accepted, %d rejected", use_case.name, accepted, rejected)
        by_rule = [{"rule": rule, "entries": n, "meaning": RULES[rule]} for rule, n in taken.rules.items()]
        shown = read_first(
            {"came_out": f"{accepted:,} of {taken.entries:,} corrections count" if taken.entries else NO_CORRECTIONS},
            {"by_rule": made.table(by_rule), "first_rejects": made.table(taken.rejected.slice(0, FIRST).to_pylist())},
            {
                "rejects": Text(str(stores.lake.rejected), "path") if rejected else "",
                "folder": Text(str(folder), "path"),
            },
            {"files": taken.files, "entries": taken.entries, "accepted": accepted, "rejected": rejected},
            {"audited": sum(taken.accepted["audited"].to_pylist()), "unfilled": taken.unfilled},
        )
        return dg.MaterializeResult(metadata=showing.metadata(shown) | {"dagster/row_count": accepted})

    return feedback


def _live_metrics(use_case: UseCase) -> dg.AssetsDefinition:
    live_key = key(use_case, "live_metrics")

    @dg.asset(
        **_common(use_case, "live_metrics", ["predictions", "audit_sample"], ["feedback"]),
        kinds={"python"},
        check_specs=[
            dg.AssetCheckSpec(
                "degradation",
                asset=live_key,
                description="Whether the model that predicts does worse on audited rows than it did in evaluation.",
            )
        ],
        description=(
            "How well published predictions do, by day, version and slice, by window and by age of the model: on "
            "audited rows, drawn at random, and among the other corrections, which people chose and which are biased. "
            "The two are never mixed."
        ),
    )
    def live_metrics(workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.MaterializeResult[None]]:
        stores = workspace.of(use_case)
        lake, known = stores.lake, _known(stores)
        counted = count_rows(use_case, lake)
        records = live.live_metrics(use_case, counted, known)
        overall = [record for record in records if record["slice"] == EVERYTHING]
        by = _grouped(levels(use_case, lake, counted, known))
        fall = find_fall(use_case, lake, counted, known)
        tables = {
            "by_window": by["window"],
            "by_age": by["age"],
            "by_day": overall[-SHOWN:],
            "by_slice": [record for record in records if record not in overall][-SHOWN:],
            "slices_lately": by["slice"][:SHOWN],
        }
        counts = {
            "accepted": len(read_accepted(lake)),
            "audited": sum(record["audited"] for record in overall),
            "corrections": sum(record["corrections"] for record in overall),
        }
        shown = read_first({"verdict": fall.sentence}, {name: made.table(one) for name, one in tables.items()}, counts)
        picture = {"picture": showing.live_accuracy(overall[-60:])} if overall else {}  # of nothing is none
        figures = {f"degradation/{name}": number for name, number in fall.numbers.items()}
        yield dg.MaterializeResult(
            metadata=showing.metadata(shown) | picture | figures, check_results=[_degradation(live_key, fall)]
        )

    return live_metrics


def _known(stores: Stores) -> Mapping[int, Summary]:
    """What is known of the versions; nothing where MLflow cannot tell, for what people say is shown all the same."""
    try:
        return stores.registry.known(stores.use_case.name)
    except MlopsError as error:
        log.warning("%s live_metrics: ages and evaluations are not known: %s", stores.use_case.name, error)
        return {}


def _grouped(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """The lines by what they are of; without columns that nobody filled, such as those of the value."""
    kept = [name for name in table.column_names if table[name].null_count < len(table)]
    lines = table.select(kept).to_pylist()
    return {by: [line for line in lines if line["by"] == by] for by in ("window", "age", "slice")}


def _degradation(asset: dg.AssetKey, fall: Fall) -> dg.AssetCheckResult:
    """A fall that 95 % intervals show is a warning; one that hardly ever comes by chance is an error."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name="degradation",
        passed=not (fall.red or fall.yellow),
        severity=dg.AssetCheckSeverity.ERROR if fall.red else dg.AssetCheckSeverity.WARN,
        description=fall.sentence,
        metadata=dict(fall.numbers),
    )


def _scored_days(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "scored_days", ["predictions"], ["champion"]),
        kinds={"deltalake"},
        description="Which version scored which day, when, by which choice and run; and who was champion when.",
    )
    def scored_days(workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[None]:
        stores = workspace.of(use_case)
        records = live.scored_days(stores.lake)
        return dg.MaterializeResult(
            metadata={
                "days": showing.table(records[-SHOWN:]),
                "publications": len(records),
                "champions": showing.history(stores.history.changes()),
            }
        )

    return scored_days


def _challenger_comparison(use_case: UseCase) -> dg.AssetsDefinition:
    @dg.asset(
        **_common(use_case, "challenger_comparison", ["predictions", CHALLENGER]),
        kinds={"deltalake"},
        description="The challenger beside the champion, by day: rows that differ, and who is right where it is known.",
    )
    def challenger_comparison(workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[None]:
        records = live.compare_challenger(use_case, workspace.of(use_case).lake)
        return dg.MaterializeResult(metadata={"days": showing.table(records[-SHOWN:]), "compared": len(records)})

    return challenger_comparison
