"""Files that come and go, and a source that lists them by a clock of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlops_assets.journey.read.arrivals import Finding, Lookout, Verdict
from mlops_assets.journey.read.listing import Content
from mlops_assets.journey.read.looks import Known, State
from mlops_assets.journey.read.sources import Entry, FolderSource
from mlops_assets.use_case import Sensor

WINDOW = ("2026-01-01", "2026-01-02", "2026-01-03")
OLD, DAY, TODAY = WINDOW
START = 1_767_000_000.0


class Slow:
    """A folder whose every entry takes a second to list, by a clock of its own; it counts what it lists."""

    def __init__(self, root: Path) -> None:
        self.folder = FolderSource(root, ".csv")
        self.seconds = START
        self.listed: list[str] = []

    def now(self) -> float:
        return self.seconds

    def days(self) -> list[str]:
        return self.folder.days()

    def place(self, day: str) -> str:
        return self.folder.place(day)

    def delivered(self, day: str) -> bool:
        return self.folder.delivered(day)

    def has(self, day: str, name: str) -> bool:
        return self.folder.has(day, name)

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        for entry in self.folder.list(day, after):
            self.seconds += 1
            self.listed.append(f"{day}/{entry.path}")
            yield entry

    def read(self, day: str, entry: Entry) -> bytes:
        return self.folder.read(day, entry)


class World:
    """Files that come and go, looks at them, and a lake that learns of a day when it is run."""

    ticks = 60
    """How often it looks in the hour after which nothing is left to be seen."""

    def __init__(self, root: Path, asked: Sensor | None = None, source: type[Slow] = Slow) -> None:
        self.source = source(root)
        self.asked = asked or Sensor()
        self.lake: dict[str, Known] = {}
        self.cursor: str | None = None
        self.changes = 0

    def put(self, day: str, name: str) -> None:
        """Write a file, or write it anew; no two are ever the same."""
        self.changes += 1
        path = Path(self.source.place(day)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, ns=(self.changes, self.changes))

    def remove(self, day: str, name: str) -> None:
        (Path(self.source.place(day)) / name).unlink(missing_ok=True)

    def wait(self, minutes: float) -> None:
        self.source.seconds += 60 * minutes

    def tick(self, *called: str) -> dict[str, Finding]:
        """One tick of the sensor, when messages name some days; what goes from one to the next is the cursor alone."""
        state = State.read(self.cursor, self.source.place("D"))
        lookout = Lookout(self.source, self.asked, WINDOW, state, self.source.now, called)
        lookout.look(self.lake)
        findings = {one.day: one for one in lookout.findings(self.lake)}
        self.cursor = lookout.state.model_dump_json()
        return findings

    def verdicts(self) -> dict[str, Verdict]:
        return {day: one.verdict for day, one in self.tick().items()}

    def run(self, day: str) -> None:
        """What a run of the day leaves in the lake."""
        content, files = self.lies_there(day)
        known = self.lake.get(day, Known())
        if content != known.content or day not in self.lake:
            self.lake[day] = Known(sum(one.version + 1 for one in self.lake.values()) + 1, content, files)

    def lies_there(self, day: str) -> tuple[str, int]:
        content, entries = Content(), list(self.source.folder.list(day))
        for entry in entries:
            content.add(entry)
        return content.mark, len(entries)

    def settle(self) -> dict[str, Finding]:
        """The findings after so long that nothing is left to be seen, and no listing is half-way."""
        for _ in range(self.ticks):
            findings = self.tick()
            self.wait(60 / self.ticks)
        while any(one.verdict is Verdict.LISTING for one in findings.values()):
            findings = self.tick()
        return findings
