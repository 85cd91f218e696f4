"""In: one published prediction. Out: all that led to it, from the raw line to the answer, which is computed again."""

from __future__ import annotations

import bisect
import difflib
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.errors import LakeError, MlopsError, UsageError
from mlops_assets.journey.enrich.answers import Marks, answers_then, read_answers
from mlops_assets.journey.features.sql import TEXT, compute, read_rows, stored_features
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.registry import Version
from mlops_assets.journey.read.listing import ATTACHMENT, Attachments
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.sources import Entry, Source, SourceError
from mlops_assets.journey.score.day import Answers, load_cached
from mlops_assets.storage.files import read_part
from mlops_assets.storage.places import Place
from mlops_assets.storage.tables import Lake, Published
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import shard_number

OTHERS = 200
"""Most other rows of the shard from which a feature gets its other values."""

WORDS, SHOWN_WORDS = 500, 20
"""Most different words of a text that are taken out one by one, and how many of them are told."""

NEIGHBOURS = 2_000
"""Names before and after a mistyped one, in their order, among which similar ones are looked for."""


class NotPredicted(MlopsError):
    """A line has no prediction, for a reason that is known."""


@dataclass(frozen=True)
class Cleaned:
    """One column of the contract: its text in the raw file (None where that is not at hand) and its stored value."""

    column: str
    raw: str | None
    value: Any

    @property
    def differs(self) -> bool:
        """Whether the value, written down, is another text than the raw one."""
        written = "" if self.value is None else str(self.value)
        if isinstance(self.value, float):
            written = written.removesuffix(".0")  # 31 is no other text than 31.0
        return self.raw is not None and self.raw != written


@dataclass(frozen=True)
class Feature:
    """One column of the model's input.

    Attributes
    ----------
    name, value
        As `features.sql` made it.
    unseen
        Whether it is a category that the model never saw in training.
    strength
        How much probability of the predicted class hangs on it; see `occlusion`.
    """

    name: str
    value: Any
    unseen: bool
    strength: float


@dataclass(frozen=True)
class Word:
    """A word of a text column and its strength; see `word_strengths`."""

    column: str
    word: str
    strength: float


@dataclass(frozen=True)
class Enriched:
    """What an enrichment said of the row.

    Attributes
    ----------
    name
        The enrichment.
    keys, values
        The row's keys, and what was answered for them.
    status
        `fetched`, `last known` or `missing`.
    of_day
        The day for which it was fetched; None without an answer.
    """

    name: str
    keys: Mapping[str, Any]
    values: Mapping[str, Any]
    status: str
    of_day: str | None


@dataclass(frozen=True)
class Explanation:
    """Why a row got its category.

    Attributes
    ----------
    use_case, day, file, line
        Which row.
    raw
        Its line in the raw file; None if that cannot be shown.
    raw_problem
        Why not, or an empty text.
    cleaned
        Every column of the contract.
    enriched
        What every enrichment of that time said.
    features
        Every column of the model's input, the strongest first.
    words
        The words of its texts that matter most, the strongest first; empty if the model sees no text.
    version, candidate
        The model that scored it.
    champion
        When that version became champion, each time; empty if it never did.
    choice
        How it was chosen: `current`, `as-of` or its number.
    run, published
        The Dagster run that made the day, and when it published it, in milliseconds since 1970.
    restored_by
        The run that brought this state of the day back, or an empty text.
    probabilities
        Of every class, the highest first.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    prediction, probability
        What was published; the probability is that of the predicted class, a float32.
    recomputed, recomputed_probability
        The same, computed anew from the stored rows.
    """

    use_case: str
    day: str
    file: str
    line: int
    raw: str | None
    raw_problem: str
    cleaned: tuple[Cleaned, ...]
    enriched: tuple[Enriched, ...]
    features: tuple[Feature, ...]
    words: tuple[Word, ...]
    version: int
    candidate: str
    champion: tuple[str, ...]
    choice: str
    run: str
    published: int
    restored_by: str
    probabilities: Mapping[str, float]
    threshold: float | None
    prediction: str
    probability: float
    recomputed: str
    recomputed_probability: float

    @property
    def agrees(self) -> bool:
        """Whether the recomputed answer is the published one, to the bit."""
        return (self.prediction, self.probability) == (self.recomputed, self.recomputed_probability)


@dataclass(frozen=True)
class _Row:
    """Where a row lies: its manifest entry, its part of `rows`, its place there, and its published prediction."""

    entry: dict[str, Any]
    part: Path
    rows: pa.Table
    place: int
    prediction: dict[str, Any]


def explain(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    version: Callable[[int], Version],
    day: str,
    file: str,
    line: int,
) -> Explanation:
    """Tell why a row got its category, and compute the answer again by the way of the daily job.

    The shard of the file is run through the SQL as a whole and the model answers for the same batch of rows, so that
    the numbers are those of the day to the bit.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie; a file that is gone or changed is no error.
    lake
        The tables of the use case.
    version
        Finds a registered version by its number, as `Registry.version` does.
    day, file, line
        The row, as `predictions` names it.

    Raises
    ------
    NotPredicted
        If the day is not published, or the line or the whole file was rejected.
    UsageError
        If the day has no such file or line.
    LakeError
        If what the day was made of was cleaned up since.
    ModelRefused
        If the version that scored the row cannot be loaded.
    """
    table = lake.table("predictions")
    published = table.days().get(day)
    if published is None:
        known = list(table.days())
        have = f"published are {known[0]} to {known[-1]}" if known else "no day is published yet"
        raise NotPredicted(f"{day} is not published: {have}.")
    row = _find(lake, day, published, file, line)
    found = version(row.prediction["model_version"])
    model = load_cached(found, use_case)
    marks = answers_then(lake, day, published.accounting.get("enrichments", {}), str(row.part))
    batch, at, answers, others = _answer(model, row, lake, day, use_case, marks)
    matrix = model.matrix(batch)
    said = int(answers.said[row.place])
    strengths = occlusion(model, matrix[at], others, said)
    values = batch.slice(at, 1).to_pylist()[0]
    features = [
        Feature(
            name, values[name], bool(isinstance(known, tuple) and values[name] is not None and code < 0), float(one)
        )
        for (name, known), code, one in zip(model.columns.items(), matrix[at], strengths, strict=True)
    ]
    probabilities = zip(model.classes, model.probabilities(matrix)[at].tolist(), strict=True)
    raw, problem, texts = _raw(use_case, source, day, _manifest(lake, day, published), row.entry, line)
    stored = row.rows.slice(row.place, 1).to_pylist()[0]
    made = _origin(lake, day, published)
    return Explanation(
        use_case=use_case.name,
        day=day,
        file=file,
        line=line,
        raw=raw,
        raw_problem=problem,
        cleaned=tuple(Cleaned(name, texts.get(name), stored[name]) for name in use_case.columns if name in stored),
        enriched=tuple(_enriched(stored, name, table) for name, table in read_answers(lake, marks).items()),
        features=tuple(sorted(features, key=lambda one: -one.strength)),
        words=tuple(word_strengths(model, matrix[at], said)[:SHOWN_WORDS]),
        version=found.version,
        candidate=found.about.candidate,
        champion=tuple(c.when for c in History(lake.root, use_case.name).changes() if c.version == found.version),
        choice=published.accounting.get("model_choice", ""),
        run=made.run,
        published=made.time,
        restored_by="" if made is published else published.run,
        probabilities=dict(sorted(probabilities, key=lambda one: -one[1])),
        threshold=model.threshold if len(model.classes) == 2 else None,
        prediction=row.prediction["prediction"],
        probability=row.prediction["probability"],
        recomputed=model.classes[said],
        recomputed_probability=float(answers.sure[row.place]),
    )


def occlusion(model: Model, row: np.ndarray, others: np.ndarray, said: int) -> np.ndarray:
    """Strength of every feature by occlusion: what the answer loses when that feature alone is not known.

    It is the mean fall of the probability of the class when the feature is replaced by its values in other rows. It is
    below 0 where the feature speaks against the answer. What two features tell both is found in neither.

    Parameters
    ----------
    model
        The model.
    row
        The row as the estimator sees it.
    others
        Other rows, as many as wanted; without any, all strengths are 0.
    said
        The class.

    Returns
    -------
    np.ndarray
        float64, one number a feature, from -1 to 1.
    """
    width, count = len(row), len(others)
    if not count:
        return np.zeros(width)
    changed = np.repeat(row[None], width * count + 1, axis=0)  # the row itself comes last
    for place in range(width):
        changed[place * count : (place + 1) * count, place] = others[:, place]
    probabilities = model.probabilities(changed)[:, said]
    strengths: np.ndarray = probabilities[-1] - probabilities[:-1].reshape(width, count).mean(axis=1)
    return strengths


def word_strengths(model: Model, row: np.ndarray, said: int) -> list[Word]:
    """What the answer loses when one word is taken out of a text, wherever it stands in it; the strongest first.

    Parameters
    ----------
    model
        The model.
    row
        The row as the estimator sees it.
    said
        The class.
    """
    taken, changed = [], [row]
    for place, (name, known) in enumerate(model.columns.items()):
        if known != TEXT:
            continue
        words = dict.fromkeys(word.lower() for word in re.findall(r"\w+", row[place]))
        for word in list(words)[:WORDS]:
            without = row.copy()
            without[place] = re.sub(rf"\b{re.escape(word)}\b", " ", row[place], flags=re.IGNORECASE)
            taken.append((name, word))
            changed.append(without)
    if not taken:
        return []
    probabilities = model.probabilities(np.stack(changed))[:, said]
    losses = (probabilities[0] - probabilities[1:]).tolist()
    found = [Word(*one, strength) for one, strength in zip(taken, losses, strict=True)]
    return sorted(found, key=lambda one: -one.strength)


def _find(lake: Lake, day: str, published: Published, file: str, line: int) -> _Row:
    """The row, in the state of the day that the predictions were made from."""
    entry = _entry(lake, day, published, file)
    shard = entry["shard"]
    rows, rejects, predictions = (lake.table(name) for name in ("rows", "rejects", "predictions"))
    part = next(path for path in _parts(lake, day, published) if shard_number(path) == shard)
    refused = rejects.folder / part
    if refused.exists():
        lines = read_part(refused)
        for one in lines.filter(pa.compute.equal(lines["file"], file)).to_pylist():
            if one["line"] is None:
                raise NotPredicted(f"{file} was refused as a whole: {one['rule']}: {one['message']}.")
            if one["line"] == line:
                raise NotPredicted(
                    f"Line {line} of {file} was rejected: {one['rule']}: {one['message']}.\n{one['raw']}"
                )
    table = read_rows(rows.folder / part)
    place = _place(table, file, line)
    if place is None:
        last = pa.compute.max(table.filter(pa.compute.equal(table["file"], file))["line"]).as_py()
        raise UsageError(
            f"{file} of {day} has no line {line}: lines count from 1 after the header, the last is {last}."
        )
    for path in predictions.parts(day):
        if shard_number(path) == shard:
            found = read_rows(predictions.folder / path)
            at = _place(found, file, line)
            if at is not None:
                return _Row(entry, Path(part), table, place, found.slice(at, 1).to_pylist()[0])
    raise LakeError(f"{file}, line {line} of {day} has no prediction, though the day is published. Run the day again.")


def _place(table: pa.Table, file: str, line: int) -> int | None:
    """Place of a row in a part."""
    mask = pa.compute.and_(pa.compute.equal(table["file"], file), pa.compute.equal(table["line"], line))
    places = pa.compute.indices_nonzero(mask).to_pylist()
    return places[0] if places else None


def _manifest(lake: Lake, day: str, published: Published) -> Place:
    return lake.table("raw_files").place(day, f"manifest-{published.accounting['manifest']}")


def _entry(lake: Lake, day: str, published: Published, file: str) -> dict[str, Any]:
    """The entry of a file in the manifest that the day was read from."""
    manifest = _manifest(lake, day, published)
    if not manifest.exists():
        raise LakeError(f"{day}: the list of its files was cleaned up since (`keep_days`). Run the day again.")
    entries = read_part(manifest)
    entries = entries.filter(pa.compute.not_equal(entries["shard"], ATTACHMENT))
    found: list[dict[str, Any]] = entries.filter(pa.compute.equal(entries["path"], file)).to_pylist()
    if found:
        return found[0]
    names = sorted(entries["path"].to_pylist())
    near = bisect.bisect(names, file)
    close = difflib.get_close_matches(file, names[max(0, near - NEIGHBOURS) : near + NEIGHBOURS])
    hint = f" Did you mean {', '.join(close)}?" if close else f" It has {len(names):,} others."
    raise UsageError(f"{day} has no file {file}.{hint}")


def _parts(lake: Lake, day: str, published: Published) -> list[str]:
    """Paths of the parts of `rows` that the day was scored from: the rows may have been read again since."""
    rows = lake.table("rows")
    for state in reversed(rows.publications().get(day, [])):
        if state.version == published.accounting.get("rows_version"):
            return [part.path for part in rows.parts_at(day, state)]
    raise LakeError(f"{day}: the rows that its predictions were made from are not known. Run the day again.")


def _origin(lake: Lake, day: str, published: Published) -> Published:
    """The publication that a restored day was made by; that of the day itself where nothing was restored."""
    known = {one.version: one for one in lake.table("predictions").publications()[day]}
    while (earlier := published.accounting.get("restored_from")) in known:
        published = known[earlier]
    return published


def _enriched(row: Mapping[str, Any], name: str, table: pa.Table) -> Enriched:
    """What the answers of an enrichment hold for a row: its keys are the columns that the row has."""
    keys = {key: row[key] for key in table.column_names if key in row}
    for one in table.to_pylist():
        if all(one[key] == value for key, value in keys.items()):
            status, day = one.pop(f"{name}_status"), one.pop(f"{name}_day")
            values = {column: value for column, value in one.items() if column not in keys}
            return Enriched(name, keys, values, status, day and day.isoformat())
    return Enriched(name, keys, {}, "missing", None)  # the row has no key


def _answer(
    model: Model, row: _Row, lake: Lake, day: str, use_case: UseCase, marks: Marks
) -> tuple[pa.Table, int, Answers, np.ndarray]:
    """The batch of the model's input that holds the row, the row's place in it, the answers, and some other rows."""
    count = row.rows.num_rows
    seed = zlib.crc32(f"{row.prediction['file']}:{row.prediction['line']}".encode())
    drawn = np.random.default_rng(seed).permutation(np.delete(np.arange(count), row.place))[:OTHERS]
    answers = Answers(model, count)
    others: list[np.ndarray] = []
    here: tuple[pa.Table, int] | None = None
    stored, enriched = stored_features(lake, day, row.part.name, model.sql, marks), read_answers(lake, marks)
    for batch, places in compute(row.rows, day, use_case, model.sql, stored, enriched):
        if len(at := np.flatnonzero(places == row.place)):
            here = batch, int(at[0])
            answers.add(batch, places)
        others.append(model.matrix(batch.take(np.flatnonzero(np.isin(places, drawn)))))
    assert here is not None, "the SQL gives every row"  # noqa: S101 - compute() saw to it
    return *here, answers, np.concatenate(others)


def _raw(
    use_case: UseCase, source: Source, day: str, manifest: Place, entry: Mapping[str, Any], line: int
) -> tuple[str | None, str, dict[str, str]]:
    """The line as it stands in its file and the text of every column; or why they cannot be shown."""
    listed = Entry(**{name: value for name, value in entry.items() if name != "shard"})
    try:
        data = source.read(day, listed)
        attached = Attachments(source, day, manifest, use_case.files.largest)
        pack = open_reader(use_case, attached).read([data], [listed.path])
    except (SourceError, OSError) as error:
        said = f"{source.place(day)}/{listed.path} is gone or was changed since the day was read ({error})."
        return None, f"{said} The values below are those that were read then.", {}
    at = np.flatnonzero(pack.line == line)
    if not len(at):
        return None, "By the contract of today, the file has no such row; the values below are those of then.", {}
    texts = {name: column[int(at[0])].as_py() for name, column in pack.columns.items()}
    return pack.raw(0, line), "", texts
