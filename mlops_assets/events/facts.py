"""In: the lake of a use case, and what is known of its runs. Out: all that news are told by, gathered at one moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mlops_assets.errors import MlopsError
from mlops_assets.events.behind import Behind, Behinds
from mlops_assets.events.happened import DaysHeld, LampTurned
from mlops_assets.journey.deliver.contents import publication_of
from mlops_assets.journey.explain.retro.records import read_decision
from mlops_assets.journey.explain.retro.standing import standing_of
from mlops_assets.journey.model.history import Change
from mlops_assets.journey.train.records import MadeVersion
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import newest
from mlops_assets.storage.tables import Published
from mlops_assets.work import forecast
from mlops_assets.work.engines.kinds import processes
from mlops_assets.workspace import Stores

SOON = dt.timedelta(hours=6)
"""How long before a deadline a day is forecast."""

WINDOW = 7
"""Days back for which a day can be late."""

Lamps = Callable[[str], Sequence[LampTurned]]
"""The lamps of a day, red ones and others; none where the day was not judged."""


@dataclass(frozen=True)
class LastRun:
    """The last run of a day, or of a job without days, that has ended.

    Attributes
    ----------
    run_id
        Dagster's id.
    errors
        What its failed steps said; none where it ended well.
    is_day
        Whether it is that of a day.
    ended
        In seconds since 1970.
    """

    run_id: str
    errors: tuple[str, ...] = ()
    is_day: bool = True
    ended: float = 0.0


@dataclass(frozen=True)
class Runs:
    """What is known of runs.

    Attributes
    ----------
    last
        By day, or by the name of a job without days.
    under_way
        By day, when the run began that is at work on it.
    """

    last: Mapping[str, LastRun] = field(default_factory=dict)
    under_way: Mapping[str, dt.datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Due:
    """A day that is not published.

    Attributes
    ----------
    day, moment
        The day, and its deadline.
    state
        How far it is, in words.
    expected
        When it may be published; None where nobody can tell.
    """

    day: str
    moment: dt.datetime
    state: str
    expected: dt.datetime | None


@dataclass(frozen=True)
class Facts:
    """How a use case stands.

    Attributes
    ----------
    now
        The moment.
    published
        The published days.
    changes
        The changes of the champion; None where they cannot be read, and the API says what is wrong.
    training, made
        The newest training that came to an end, and what it made.
    runs
        What is known of runs.
    due
        The days whose deadline is not far from now and that are not published.
    lamps
        Those of the newest published day.
    behind
        What processes of the API say that do not serve the champion.
    held
        The past days that were scored again by the champion and wait for a person; None where none do.
    """

    now: dt.datetime
    published: Mapping[str, Published[PredictionsAccounting]]
    changes: Sequence[Change] | None
    training: str
    made: MadeVersion | None
    runs: Runs
    due: Sequence[Due]
    lamps: Sequence[LampTurned]
    behind: Sequence[Behind] = ()
    held: DaysHeld | None = None

    def publications(self) -> dict[str, str]:
        """The name of each day's publication."""
        return {day: publication_of(published) for day, published in self.published.items()}


def gather(stores: Stores, runs: Runs, now: dt.datetime, lamps: Lamps = lambda _: ()) -> Facts:
    """Look at a use case.

    Parameters
    ----------
    stores
        What there is of it.
    runs
        What is known of its runs.
    now
        The moment.
    lamps
        Reads the lamps of a day.
    """
    published = stores.lake.predictions.days()
    behind = Behinds(stores.lake).standing(now.timestamp())
    changes = _changes(stores, behind)
    training, made = _newest_training(stores.lake)
    newest_day = max(published, default=None)
    return Facts(
        now=now,
        published=published,
        changes=changes,
        training=training,
        made=made,
        runs=runs,
        # without a champion nothing is predicted, and nothing is late
        due=_due(stores, published, runs, now) if changes else (),
        lamps=lamps(newest_day) if newest_day else (),
        behind=behind,
        held=_held(stores.lake, changes) if changes else None,
    )


def _held(lake: Lake, changes: Sequence[Change]) -> DaysHeld | None:
    """The past days that are kept back by the bound of the newest change of the champion."""
    change = changes[-1]
    decision = read_decision(lake, change.number)
    if decision is None or decision.publish:
        return None
    days = standing_of(lake, changes, change.number).days
    held = {day: one.record for day, one in days.items() if one.state == "held" and one.record}
    if not held:
        return None
    before = max(record.before for record in held.values())
    return DaysHeld(
        number=change.number, version=change.version, before=before, days=tuple(sorted(held)), why=f"{decision.why}."
    )


def _changes(stores: Stores, behind: Sequence[Behind]) -> Sequence[Change] | None:
    try:
        return stores.history.changes()
    except MlopsError:
        if not behind:
            raise
        return None  # what processes of the API say of it reaches people all the same


def _newest_training(lake: Lake) -> tuple[str, MadeVersion | None]:
    path = newest(lake.training, f"{MadeVersion.step}.json")
    if path is None:
        return "", None
    from mlops_assets.storage.integrity import read_json

    return path.parent.name, MadeVersion.from_json(read_json(path))


def _due(stores: Stores, published: Mapping[str, object], runs: Runs, now: dt.datetime) -> list[Due]:
    use_case = stores.use_case
    deadline, partitions = use_case.due, use_case.partitions
    if deadline is None:
        return []
    first = max(use_case.first_day, partitions.days_ago(now, WINDOW))
    # the zone of a deadline may be ahead of that of the days
    days = partitions.between(first, partitions.after(partitions.key(now)))
    missing = [(day, deadline.of(day)) for day in days if day not in published]
    near = [(day, moment) for day, moment in missing if moment <= now + SOON]
    paces = forecast.measured(stores.lake) if any(moment > now for _, moment in near) else {}
    return [_how_far(stores, day, moment, paces, runs.under_way.get(day), now) for day, moment in near]


def _how_far(
    stores: Stores,
    day: str,
    moment: dt.datetime,
    paces: dict[str, forecast.Pace],
    began: dt.datetime | None,
    now: dt.datetime,
) -> Due:
    lake = stores.lake
    listed, read = lake.raw_files.days().get(day), lake.rows.days().get(day)
    state = "no raw files of it were listed yet"
    if listed:
        state = f"{listed.accounting.files:,} files of it are listed"
    if read:
        state = f"{read.accounting.rows:,} rows of it are read"
    state += f"; a run is at work on it since {began:%H:%M} UTC" if began else "; no run is at work on it"
    if read:
        rows = float(read.accounting.rows)
    elif listed and Lake.rows.name in paces:
        rows = listed.accounting.bytes * paces[Lake.rows.name].rows_a_byte
    else:  # as many as the newest day has, of which the pace is known
        newest_day = next(reversed(lake.rows.days().values()), None)
        rows = float(newest_day.accounting.rows) if newest_day else 0.0
    return Due(
        day, moment, state, _expected(lake, day, rows, paces, processes(stores.settings, stores.use_case), began, now)
    )


def _expected(
    lake: Lake,
    day: str,
    rows: float,
    paces: dict[str, forecast.Pace],
    workers: int,
    began: dt.datetime | None,
    now: dt.datetime,
) -> dt.datetime | None:
    """When a day may be published: by what all steps cost since its run began, and not before those to come."""
    # a use case without features of files has no pace of them
    steps = [step for step in forecast.STEPS if step in paces or step != Lake.features.name]
    whole = forecast.expect(paces, steps, rows, workers)
    if whole is None:
        return None
    if began is None:
        return now + dt.timedelta(seconds=whole)
    done = [step for step in steps if _made_since(lake, step, day, began)]
    later = steps[len(done) + 1 :]  # of the step under way nobody knows how far it is
    left = forecast.expect(paces, later, rows, workers) or 0.0
    return max(began + dt.timedelta(seconds=whole), now + dt.timedelta(seconds=left))


def _made_since(lake: Lake, step: str, day: str, began: dt.datetime) -> bool:
    published = lake.table(step).days().get(day)
    return published is not None and published.time / 1000 >= began.timestamp()
