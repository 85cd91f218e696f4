"""The daily asset that judges published days beside what their model learned from."""

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.components import showing
from mlops_assets.components.days import daily, daily_partitions, days_in, days_told, key, tell_day
from mlops_assets.components.red import red_since
from mlops_assets.monitoring.kept import Compared, Judged
from mlops_assets.monitoring.lamp import Lamp
from mlops_assets.monitoring.verdicts import Watcher, by_kind, try_to_judge
from mlops_assets.use_case import UseCase
from mlops_assets.views import drift as views
from mlops_assets.views.multiples import small_multiples
from mlops_assets.workspace import Stores, Workspace

log = logging.getLogger("mlops_assets.drift")

SURE = "answers_are_sure"
"""The check of the estimate."""

CHECKS: Mapping[str, tuple[str, ...]] = {
    "columns_are_usual": ("rows", "model_input"),
    "answers_are_usual": ("predictions",),
    "deliveries_are_usual": ("files", "rejects"),
}
"""By check, whose lamps it looks at."""

ASKED = {
    "columns_are_usual": "Whether the columns of the files, and what the model sees, are spread as in training.",
    "answers_are_usual": "Whether the model's answers, and how sure it is of them, are as in training.",
    "deliveries_are_usual": "Whether as many files, rows and rejects came as are usual.",
    SURE: "Whether the model is as sure of its answers as on the rows it was judged by; else rows got harder.",
}

MOST_LAMPS = 50
"""Lamps of a day, or of a check, that a table shows."""

MOST_CLASSES = 12
"""Classes of which a share is plotted."""


def drift_assets(use_case: UseCase) -> list[dg.AssetsDefinition]:
    """The asset `drift`, unless the use case is not watched."""
    return [_drift(use_case)] if use_case.drift.watch else []


def _drift(use_case: UseCase) -> dg.AssetsDefinition:
    drift_key = key(use_case, "drift")

    @dg.asset(
        key=drift_key,
        deps=[key(use_case, "predictions")],
        owners=[use_case.owner],
        group_name=use_case.name,
        kinds={"python"},
        check_specs=_check_specs(use_case, drift_key),
        description=(
            "Each published day beside what its model learned from, the 28 days before it and the same weekday: "
            "columns, what the model sees, its answers, files and rejects. What differs by more than chance has a red "
            "lamp, with what to do."
        ),
        **daily(use_case),
    )
    def drift(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[Any]:
        stores = workspace.of(use_case)
        found: dict[str, Judged | str] = {}
        watcher = Watcher(stores)
        days = days_in(stores.lake.predictions, context.partition_keys)
        for day in [*(watcher.catch_up(days[0]) if days else []), *days]:
            found[day] = show_drift(context, stores, watcher, day)
        # what is yielded by a run of one partition is of that; by any other run, of the run as a whole
        if not context.has_partition_key or [*found] != [context.partition_key]:
            each = [(day, one) for day, judged in found.items() for one in _checks(drift_key, watcher, {day: judged})]
            showing.tell_results(context, drift_key, each)
        yield from _checks(drift_key, watcher, found)
        yield days_told(drift_key)

    return drift


def _check_specs(use_case: UseCase, asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks; they have the partitions of the asset, so that each day has a result of its own."""
    with warnings.catch_warnings():
        # partitions of checks are marked as a preview, which is ours to know and nobody's to read at each start
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=asset, description=asked, partitions_def=daily_partitions(use_case))
            for name, asked in ASKED.items()
        ]


def _checks(asset: dg.AssetKey, watcher: Watcher, found: Mapping[str, Judged | str]) -> Iterator[dg.AssetCheckResult]:
    """The results of all checks over some days."""
    for name, sources in CHECKS.items():
        yield _check(asset, name, sources, found)
    yield _sure(asset, watcher, found)


def show_drift(context: dg.AssetExecutionContext, stores: Stores, watcher: Watcher, day: str) -> Judged | str:
    """Judge a published day, keep what is said of it, and show that.

    Also by the step of `predictions`, where one day of a range was not published: `drift` is skipped then, and the
    other days are to be judged all the same.

    Returns
    -------
    Judged or str
        What is said, or why nothing is.
    """
    found = try_to_judge(stores.use_case, watcher, day)
    _tell(context, stores, watcher, day, found)
    return found


def _tell(context: dg.AssetExecutionContext, stores: Stores, watcher: Watcher, day: str, found: Judged | str) -> None:
    use_case, drift_key = stores.use_case, key(stores.use_case, "drift")
    if isinstance(found, str):
        context.log_event(dg.AssetObservation(drift_key, partition=day, metadata={"skipped": found}))
        return
    verdict = found.verdict
    level = logging.WARNING if verdict.red else logging.INFO
    log.log(level, "%s drift %s: %s", use_case.name, day, found.sentence)
    metadata: dict[str, Any] = {
        "verdict": found.sentence,
        **({"red_since": red_since(stores, day)} if verdict.red else {}),
        "red_lamps": len(verdict.red_lamps),
        "lamps": showing.table(views.records([lamp for lamp in verdict.lamps if lamp.state != "green"][:MOST_LAMPS])),
        "green": len([lamp for lamp in verdict.lamps if lamp.state == "green"]),
        "compared": showing.table([_line(each) for each in (Compared.of(verdict), *found.others)]),
        "see": f"`mlops-assets drift {use_case.name} --day {day}`",
        "model_version": found.version,
    }
    # numbers that are there to be plotted come last: the page shows them in this order
    effects = {f"effect/{what}": _short(one) for what, one in by_kind(verdict.lamps).items() if math.isfinite(one)}
    tell_day(context, drift_key, day, metadata | _shown(watcher, day, found) | effects)


def _line(compared: Compared) -> dict[str, str]:
    state = "red" if compared.red else "green"
    return {"against": compared.against, "state": state, "says": compared.sentence}


def _short(number: float) -> float:
    """As many digits as somebody reads."""
    return float(f"{number:.4g}")


def _shown(watcher: Watcher, day: str, found: Judged) -> dict[str, Any]:
    """The classes' shares, the estimate and the picture; nothing where there is no reference."""
    reference = watcher.reference(found.version)
    if reference is None:
        return {}
    today = watcher.watched(day)
    profile = today.profile
    shares = views.class_shares(reference.classes, profile.said)
    guess = watcher.estimate(today)
    numbers = {name: getattr(guess, name) for name in ("accuracy", "low", "high", "baseline")} if guess else {}
    panels = views.panels(found.verdict, profile, reference)
    arrivals = {f"came/{name}": number for name, number in today.arrivals.items() if number is not None}
    return {
        "picture": dg.MetadataValue.md(small_multiples(panels, f"{day} beside the training rows")),
        "came": today.came,
        **arrivals,
        **({"estimate": guess.sentence} if guess else {}),
        **{f"estimate/{name}": _short(number) for name, number in numbers.items()},
        **{f"share/{name}": _short(share) for name, share in [*shares.items()][:MOST_CLASSES]},
    }


def _check(
    asset: dg.AssetKey, name: str, sources: Sequence[str], found: Mapping[str, Judged | str]
) -> dg.AssetCheckResult:
    """One result over some days."""
    red = {day: _red(judged, sources) for day, judged in found.items()}
    days = [day for day, lamps in red.items() if lamps]
    lines = [{"day": day, **line} for day in days for line in views.records(red[day])]
    unjudged = [{"day": day, "why": judged} for day, judged in found.items() if isinstance(judged, str)]
    judged = len(found) - len(unjudged)
    description = f"usual on {judged} {'day' if judged == 1 else 'days'}"
    if days:
        first = red[days[0]][0]
        description = f"{days[0]}: {first.sentence}"
        if more := sum(map(len, red.values())) - 1:
            description += f" {more} more red, on {', '.join(days)}."
    elif unjudged:
        description += f"; {len(unjudged)} not judged: {unjudged[0]['why']}"
    metadata: dict[str, Any] = {"red": showing.table(lines[:MOST_LAMPS])} if lines else {}
    # green days, too, have their numbers: without them there is nothing to plot
    lamps = [lamp for each in found.values() for lamp in _lit(each, sources)]
    if lamps:
        metadata |= _numbers(max(lamps, key=lambda lamp: (lamp.red, lamp.excess)))
    if unjudged:
        metadata["not_judged"] = showing.table(unjudged)
    # a warning: a day that is published wakes nobody; `drift.stop` keeps it from that, by a check of `predictions`
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=not days,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )


def _sure(asset: dg.AssetKey, watcher: Watcher, found: Mapping[str, Judged | str]) -> dg.AssetCheckResult:
    """Whether the lamp of the estimate is red on a day of the run."""
    red = {day: judged.doubt for day, judged in found.items() if isinstance(judged, Judged) and judged.doubt}
    judged = sum(isinstance(each, Judged) for each in found.values())
    description = f"as sure as it was judged on {judged} {'day' if judged == 1 else 'days'}"
    if red:
        first = min(red)
        description = f"{first}: {red[first]}" + (f" So are {', '.join(sorted(red)[1:])}." if len(red) > 1 else "")
    told = {"days": showing.table([{"day": day, "says": said} for day, said in red.items()])} if red else {}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=SURE,
        passed=not red,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={**_falls(watcher, [day for day, each in found.items() if isinstance(each, Judged)]), **told},
    )


def _falls(watcher: Watcher, days: Sequence[str]) -> dict[str, float]:
    """How far the mean confidence fell on the day that it fell most on, and how far it may; negative where it rose."""
    guesses = [guess for day in days if (guess := watcher.estimate(watcher.watched(day))) is not None]
    if not guesses:
        return {}
    most = max(guesses, key=lambda guess: guess.fell - guess.allowed)
    return {"effect": _short(most.fell), "threshold": _short(most.allowed)}


def _lit(judged: Judged | str, sources: Sequence[str]) -> list[Lamp]:
    """The lamps of these sources that could be judged."""
    if isinstance(judged, str):
        return []
    return [lamp for lamp in judged.verdict.lamps if lamp.source in sources and lamp.state != "grey"]


def _red(judged: Judged | str, sources: Sequence[str]) -> list[Lamp]:
    return [] if isinstance(judged, str) else [lamp for lamp in judged.verdict.red_lamps if lamp.source in sources]


def _numbers(lamp: Lamp) -> dict[str, float]:
    numbers = {"effect": lamp.effect, "threshold": lamp.threshold}
    return {name: _short(value) for name, value in numbers.items() if math.isfinite(value)}
