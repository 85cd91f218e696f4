"""In: one published prediction. Out: all that led to it, from the raw line to the answer, which is computed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.journey.enrich.answers import Marks, answers_then, read_answers
from mlops_assets.journey.explain.again import (
    Again,
    Cleaned,
    Enriched,
    Feature,
    answer_again,
    enriched_of,
    features_of,
    interval_of,
    probabilities_of,
    words_of,
)
from mlops_assets.journey.explain.row import NotPredicted, Row, Scored, find_row, manifest_of, origin
from mlops_assets.journey.explain.strengths import Word
from mlops_assets.journey.features.day import stored_features
from mlops_assets.journey.features.shard import compute
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.read.attachments import Attachments
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.replay import Origin, origin_of
from mlops_assets.journey.read.rows import rows_code
from mlops_assets.journey.read.sources import Entry, Source, SourceError
from mlops_assets.journey.read.sources.kept import with_kept
from mlops_assets.journey.score.day import scores_code
from mlops_assets.journey.score.loaded import load_cached
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.work.shards import changed_code


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
        Of every class, the highest first; none of a number.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    prediction, probability
        What was published; the probability is that of the predicted class, a float32, and None of a number.
    recomputed, recomputed_probability
        The same, computed anew from the stored rows.
    origin
        Where a replayed line came from; None of any other.
    changed
        By table, how the code that made the row differs from that of today; empty if it does not. See `changed_code`.
    interval, recomputed_interval
        The ends of the interval around a number, published and computed anew; None of a class.
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
    prediction: str | float
    probability: float | None
    recomputed: str | float
    recomputed_probability: float | None
    origin: Origin | None
    changed: Mapping[str, tuple[str, ...]]
    interval: tuple[float, float] | None = None
    recomputed_interval: tuple[float, float] | None = None

    @property
    def agrees(self) -> bool:
        """Whether the recomputed answer is the published one, to the bit."""
        published = self.prediction, self.probability, self.interval
        return published == (self.recomputed, self.recomputed_probability, self.recomputed_interval)


def explain(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    version: Callable[[int], Version],
    day: str,
    file: str,
    line: int,
    then: Scored | None = None,
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
    then
        An earlier publication of its predictions, if not as they are.

    Raises
    ------
    NotPredicted
        If the day is not published, the line or the whole file was rejected, or SQL or the model fails on the row.
    UsageError
        If the day has no such file or line.
    LakeError
        If what the day was made of was cleaned up since.
    ModelRefused
        If the version that scored the row cannot be loaded.
    """
    published = published_of(lake, day) if then is None else then
    return explain_row(use_case, source, lake, version, day, published, find_row(lake, day, published, file, line))


def explain_row(
    use_case: UseCase,
    source: Source,
    lake: Lake,
    version: Callable[[int], Version],
    day: str,
    published: Scored,
    row: Row,
) -> Explanation:
    """Tell why a row that was found got its category.

    Parameters
    ----------
    use_case, source, lake, version, day
        As of `explain`.
    published
        The publication of its predictions.
    row
        The row.

    Raises
    ------
    LakeError
        If what the day was made of was cleaned up since.
    ModelRefused
        If the version that scored the row cannot be loaded.
    """
    file, line = row.entry["path"], row.line
    # the one that made the prediction, not the champion of today
    used = version(row.prediction["model_version"])
    model = load_cached(used, use_case)
    # as the tables were then, for they may have been asked anew since
    marks = answers_then(lake, day, published.accounting.enrichments, str(row.part))
    again = _answer_again(model, row, lake, day, use_case, marks)
    source = with_kept(use_case, source, lake)
    raw, problem, texts = raw_line(use_case, source, day, manifest_of(lake, day, published), row.entry, line)
    stored = row.stored()
    made = origin(lake, day, published)  # who restored the day did not make it
    return Explanation(
        use_case=use_case.name,
        day=day,
        file=file,
        line=line,
        raw=raw,
        raw_problem=problem,
        cleaned=tuple(Cleaned(name, texts.get(name), stored[name]) for name in use_case.columns if name in stored),
        enriched=tuple(enriched_of(stored, name, table) for name, table in read_answers(lake, marks).items()),
        features=features_of(model, again),
        words=words_of(model, again),
        version=used.version,
        candidate=used.about.candidate,
        champion=tuple(c.when for c in History(lake.root, use_case.name).changes() if c.version == used.version),
        choice=published.accounting.model_choice,
        run=made.run,
        published=made.time,
        restored_by="" if made is published else published.run,
        probabilities=probabilities_of(model, again),
        threshold=model.threshold if len(model.classes) == 2 else None,
        prediction=row.prediction["prediction"],
        probability=row.prediction.get("probability"),
        recomputed=again.prediction,
        recomputed_probability=again.probability,
        interval=interval_of(row.prediction),
        recomputed_interval=again.interval,
        origin=origin_of(lake, day, file, line),
        changed=_changed(use_case, lake, row),
    )


def _changed(use_case: UseCase, lake: Lake, row: Row) -> dict[str, tuple[str, ...]]:
    """How the code that read and scored a row differs from that of today; scoring reaches all that makes features."""
    changes = {
        "rows": changed_code(lake, lake.rows.folder / str(row.part), rows_code(use_case)),
        "predictions": changed_code(lake, lake.predictions.folder / row.scored, scores_code(use_case)),
    }
    return {table: names for table, names in changes.items() if names}


def _answer_again(model: Model, row: Row, lake: Lake, day: str, use_case: UseCase, marks: Marks) -> Again:
    """Run the shard of a row through SQL, and the batch that holds the row through its model, as the day was made."""
    stored = stored_features(lake, day, row.part.name, model.sql, marks) if row.whole else None
    batches = compute(row.rows, day, use_case, model.sql, stored, read_answers(lake, marks))
    return answer_again(model, row.rows, row.position, batches)


def published_of(lake: Lake, day: str) -> Scored:
    """How the predictions of a day are published now.

    Raises
    ------
    NotPredicted
        If they are not.
    """
    days = lake.predictions.days()
    if day in days:
        return days[day]
    dates = list(days)
    have = f"published are {dates[0]} to {dates[-1]}" if dates else "no day is published yet"
    raise NotPredicted(f"{day} is not published: {have}.")


def raw_line(
    use_case: UseCase, source: Source, day: str, manifest: Place, entry: Mapping[str, Any], line: int
) -> tuple[str | None, str, dict[str, str]]:
    """The line as it stands in its file and the text of every column; or why they cannot be shown.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie.
    day
        The day.
    manifest
        The list of files that the day was read from.
    entry
        That of the file in it.
    line
        The line.
    """
    listed = Entry(**{name: value for name, value in entry.items() if name != "shard"})
    try:
        data = source.read(day, listed)
        attached = Attachments(source, day, manifest, use_case.files.largest)
        pack = open_reader(use_case, attached).read([data], [listed.path])
    except (SourceError, OSError) as error:
        problem = f"{source.place(day)}/{listed.path} is gone or was changed since the day was read ({error})."
        return None, f"{problem} The values below are those that were read then.", {}
    at = np.flatnonzero(pack.line == line)
    if not len(at):
        return None, "By the contract of today, the file has no such row; the values below are those of then.", {}
    texts = {name: column[int(at[0])].as_py() for name, column in pack.columns.items()}
    return pack.raw(0, line), "", texts
