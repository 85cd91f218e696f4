"""What happens to a day of a shown home: its amounts are damaged, it is run, and people label what was drawn of it."""

from __future__ import annotations

from collections.abc import Callable

from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.corrections import take_in
from mlops_assets.journey.feedback.handing import as_file, hand_in
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.monitoring.verdicts import Watcher
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import ignore, read_raw
from mlops_assets_tests.helpers.shown_home import Shown


def damage_amounts(shown: Shown, day: str) -> None:
    """The decimal comma is gone from every amount of a day."""
    for path in (shown.workspace.settings.home / "raw" / shown.use_case.name / f"day={day}").glob("*.csv"):
        head, *lines = path.read_bytes().splitlines(keepends=True)
        at = [name.strip() for name in head.split(b";")].index(b"valor")
        cells = [line.split(b";") for line in lines]
        path.write_bytes(
            head + b"".join(b";".join([*one[:at], one[at].replace(b",", b""), *one[at + 1 :]]) for one in cells)
        )


def publish(shown: Shown, day: str) -> None:
    """Read, score and judge a day, as a run does it."""
    stores = shown.stores
    read_raw(shown.use_case, shown.workspace.settings.home / "raw", stores.lake, day)
    champion = stores.champion()
    assert champion is not None
    scorers = Scorers(stores.registry.prove(champion))
    score_day(shown.use_case, stores.lake, day, scorers, LocalEngine(1), ignore, "the folder")
    Watcher(stores).judge_and_keep(day)


def label_audit(shown: Shown, label: Callable[[int, str], str], *days: str) -> None:
    """What was drawn of some days is labelled, by the number of a row and what was said of it, and taken in."""
    stores, when = shown.stores, "2026-01-01T08:00:00Z"
    labels = set()
    for day in days:
        rows = draw_audit(shown.use_case, stores.lake, day).to_pylist()
        said = [
            {**row, "day": day, "label": label(number, row["prediction"]), "who": "ann", "when": when}
            for number, row in enumerate(rows)
        ]
        labels |= {one["label"] for one in said}
        hand_in(stores.corrections, day, as_file(said))
    assert not take_in(shown.use_case, stores.lake, stores.corrections, sorted(labels)).rules
