"""A day of clean and dirty files, what the daily job makes of each, and what the API answers for it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.day import Scorers, score_day
from mlops_assets.journey.score.online import Answered, Loaded, Sent, answer_files
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.storage.catalog import Lake
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Checks, Scoring, UseCase, load_use_case
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.days import DAY, draw_day, ignore, in_shards_of, read_raw
from mlops_assets_tests.helpers.models import as_version

CANDIDATES = {
    "compound_rings": "linear",
    "loan_approval": "linear",
    "santander": "bayes",
    "topics": "linear",
    "transactions": "vote",
}
"""Of each use case, a candidate that has been its champion; `loan_approval` has none."""

LEARNED = {
    "compound_rings": (4, 10),
    "loan_approval": (8, 60),
    "santander": (8, 20),
    "topics": (300, 1),
    "transactions": (8, 60),
}
"""Files, and rows of each, that suffice for a model."""

SIZES = (1, 7, 64, 400)
"""Files a call."""

Told = dict[str, Any]
"""What became of a file: its rejects, and the line, class, probability and probabilities of each row, as bytes."""


def lenient(name: str) -> UseCase:
    """A use case whose days are published however dirty they are, with all probabilities."""
    use_case = load_use_case(OWN_USE_CASES / name)
    checks = Checks(reject_rate=1, quarantine_rate=1, file_rejects=5)
    files = use_case.files.model_copy(update={"largest": 200_000})
    update = {"checks": checks, "scoring": Scoring(probabilities="all"), "files": files}
    return in_shards_of(1_000, use_case).model_copy(update=update)


def learn(use_case: UseCase, folder: Path) -> tuple[Version, Loaded]:
    """A version of a use case that was trained on a few rows."""
    lake = draw_day(use_case, folder, *LEARNED[use_case.name])
    training_set = build_training_set(use_case, lake)
    candidate = use_case.training.candidates[CANDIDATES[use_case.name]]
    model = fit(use_case, candidate, training_set, training_set.load())
    return as_version(model, folder / "version"), Loaded(use_case, 1, model)


@dataclass
class DirtyDay:
    """The files of a day."""

    use_case: UseCase
    folder: Path
    sent: list[Sent] = field(default_factory=list)

    @property
    def raw(self) -> Path:
        return self.folder / "raw" / self.use_case.name / f"day={DAY}"

    def draw(self, files: int, rows: int) -> None:
        """Draw files, and spoil some of them in ways that the sample does not."""
        day = dt.date.fromisoformat(DAY)
        for _ in write_sample(self.use_case, self.folder / "raw", day, files, rows, 0.3, 11, labelled=False):
            pass
        generator = np.random.default_rng(5)
        form = self.use_case.files
        paths = [path for path in sorted(self.raw.rglob("*")) if path.is_file()]
        for number, path in enumerate(paths):
            if path.name.endswith(form.suffix) and number % 4 == 1:
                path.write_bytes(spoil(path.read_bytes(), form.delimiter.encode(), generator))
        (self.raw / "other.ending").write_bytes(b"?")
        (self.raw / f"huge{form.suffix}").write_bytes(b"x" * (form.largest + 1))
        data = {
            path.relative_to(self.raw).as_posix(): path.read_bytes() for path in self.raw.rglob("*") if path.is_file()
        }
        attached = {name: content for name, content in data.items() if name.endswith(form.attachments)}
        self.sent = [Sent(name, data[name], attached) for name in sorted(data.keys() - attached.keys())]

    def in_batch(self, version: Version) -> dict[str, Told]:
        """What the daily job makes of them."""
        lake = Lake(self.folder / "lake", self.use_case.name)
        read_raw(self.use_case, self.folder / "raw", lake, DAY)
        done = score_day(self.use_case, lake, DAY, Scorers(version), LocalEngine(1), ignore, "the folder")
        assert not done.problems
        told: dict[str, Told] = {sent.name: {"rejects": [], "rows": []} for sent in self.sent}
        for table in (lake.rejects, lake.unpredicted):
            for row in table.read_all([DAY]).to_pylist() if DAY in table.days() else []:
                told[row["file"]]["rejects"].append((row["line"], row["rule"], row["message"], row["raw"]))
        for row in lake.predictions.read_all([DAY]).to_pylist():
            bits = np.float32(row["probability"]).tobytes(), np.array(row["probabilities"], np.float32).tobytes()
            told[row["file"]]["rows"].append((row["line"], row["prediction"], *bits))
        for one in told.values():
            one["rows"].sort()
            one["rejects"].sort(key=lambda reject: reject[0] or 0)
        return told


def spoil(data: bytes, delimiter: bytes, generator: np.random.Generator) -> bytes:
    """A file with one further kind of dirt."""
    lines = data.split(b"\n")
    at = int(generator.integers(1, max(2, len(lines) - 1)))
    before, line, after = lines[:at], lines[at : at + 1], lines[at + 1 :]
    (line,) = line or [b""]
    fields = line.split(delimiter)
    first = fields[0]
    spoilt = [
        [line, b"", b"  ", delimiter * (len(fields) - 1)],
        [line, line + delimiter + b"more", first],
        [b'"' + first + b'"' + line[len(first) :]],
        [b'"' + line],
        [line, delimiter.join([b"another", *fields[1:]])],
        [line.replace(b"a", "\u00e3\u00e9".encode()) + "\u00e7\u00f5".encode()],
        [line.replace(b"o", b"\xf5\x99"), b"\r"],
        [delimiter.join([first] + [b"1.234,5"] * (len(fields) - 1))],
        [line] * 3 + [b"x" + delimiter * 2] * 8,
        [delimiter.join([first] + [b""] * (len(fields) - 1))],
    ]
    return b"\n".join([*before, *spoilt[int(generator.integers(len(spoilt)))], *after])


def told_of(classes: Sequence[str], answered: Answered) -> Told:
    """What the API answers for a file, in the form of `DirtyDay.in_batch`."""
    rows = zip(answered.line, answered.numbers, answered.sure["probability"], answered.probabilities, strict=True)
    rejects = [(one.line, one.rule, one.message, one.raw) for one in answered.refusals]
    assert answered.lines == len(answered.line) + len([line for line, *_ in rejects if line is not None])
    return {
        "rejects": rejects,
        "rows": [(int(line), classes[number], top.tobytes(), every.tobytes()) for line, number, top, every in rows],
    }


def ask(loaded: Loaded, files: Sequence[Sent], size: int) -> list[tuple[str, Told]]:
    """What the API answers for files, so many a call."""
    answers = []
    for begin in range(0, len(files), size):
        answers += answer_files(loaded, files[begin : begin + size], DAY)
    return [(one.name, told_of(loaded.model.classes, one)) for one in answers]


def ask_in_any_company(loaded: Loaded, files: Sequence[Sent], seed: int) -> list[tuple[str, Told]]:
    """The same, each file once and in any order: alone or with others, of each of `SIZES` about as many files."""
    generator = np.random.default_rng(seed)
    shuffled = [files[at] for at in generator.permutation(len(files))]
    # calls of one file outnumber those of many as many times as they are smaller
    chances = 1 / np.array(SIZES)
    asked: list[tuple[str, Told]] = []
    while len(asked) < len(shuffled):
        size = int(generator.choice(SIZES, p=chances / chances.sum()))
        asked += ask(loaded, shuffled[len(asked) : len(asked) + size], size)
    return asked


def differences(batch: Mapping[str, Told], online: Sequence[tuple[str, Told]]) -> dict[str, list[str]]:
    """The files of which the API says another thing, by what differs."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, told in online:
        for part in told:
            if told[part] != batch[name][part]:
                found[part].append(name)
    if len({name for name, _ in online}) != len(batch):
        found["files"].append(f"{len(batch)} files, {len(online)} answers")
    return dict(found)
