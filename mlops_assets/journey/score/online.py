"""In: files as they were sent, and a model. Out: what becomes of each line, as the daily job would say it.

The same reading, features and model as of a day, for a handful of files at a time, and without a table.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import NOTHING
from mlops_assets.journey.features.blame import RowsFailed
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.score.predict import predict
from mlops_assets.journey.score.vectors import Vectors
from mlops_assets.plugins import FileRefused, NotAttached, RecordReader, load_plugin
from mlops_assets.use_case import UseCase


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it was sent.

    Attributes
    ----------
    name
        Its name, with its ending; two files may have the same.
    data
        Its bytes, as a raw file has them.
    attached
        Files that its records refer to, by their path from where `name` begins: a record of `a/b.json` that gives
        `c.png` means `a/c.png`.
    """

    name: str
    data: bytes
    attached: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that answers.

    Attributes
    ----------
    use_case
        The use case, as it is configured now.
    version
        Number of the version.
    model
        The model that makes predictions.
    """

    use_case: UseCase
    version: int
    model: Model


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a file.

    Attributes
    ----------
    name
        Its name.
    lines
        Number of its data lines (records, where the use case has a reader of its own); 0 of a refused file.
    line
        int32 array, the lines that have a prediction, in their order.
    numbers
        int32 array, the class that is said of each of them; `Model.classes` names it.
    probability
        float32 array, the probability of that class, as `predictions` stores it.
    probabilities
        float32 array of one row a prediction and one column a class, rounded as `predictions` stores them.
    refusals
        Lines without a prediction, and with `line` None the whole file, each with its reason; `file` is 0.
    """

    name: str
    lines: int
    line: np.ndarray
    numbers: np.ndarray
    probability: np.ndarray
    probabilities: np.ndarray
    refusals: tuple[Refusal, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the file was refused as a whole."""
        return any(refusal.line is None for refusal in self.refusals)


def answer_files(
    loaded: Loaded, files: Sequence[Sent], day: str, enriched: Mapping[str, pa.Table] = NOTHING
) -> list[Answered]:
    """What a model says of files, each of them as if it were alone: `file_features` are of the rows of one file.

    Parameters
    ----------
    loaded
        The model and its use case.
    files
        The files.
    day
        The day that their rows are taken to be of.
    enriched
        The answers of enrichments for the keys of these rows, by name.

    Returns
    -------
    list
        One item a file, in their order. Lines are rows and refused lines, in each of them.

    Raises
    ------
    MlopsError
        If SQL or model fail on all rows, whichever they are.
    """
    return [_answer_file(loaded, file, day, enriched) for file in files]


def file_around(use_case: UseCase, name: str, data: bytes) -> Sent | None:
    """A file of one record around an attachment that was sent alone, such as a picture; see `RecordReader.around`.

    Parameters
    ----------
    use_case
        The use case.
    name
        Name of the attachment; that of the file is made of it.
    data
        Its bytes.

    Returns
    -------
    Sent
        The file; None if the use case makes no record of this.

    Raises
    ------
    ConfigError
        If its reader fails to.
    """
    form = use_case.files
    if not form.reader or not name.endswith(form.attachments):
        return None
    around: Any = getattr(load_plugin(form.reader, RecordReader), "around", None)
    if around is None:
        return None
    try:
        made = around(posixpath.basename(name))
    except FileRefused:
        return None
    except MemoryError:
        raise
    except Exception as error:  # the user's own code
        raise ConfigError(f"{form.reader}.around fails: {type(error).__name__}: {error}") from error
    if not isinstance(made, bytes):
        raise ConfigError(f"{form.reader}.around gives a {type(made).__name__}, expected bytes")
    return Sent(name + form.suffix, made, {posixpath.normpath(name): data})


def _answer_file(loaded: Loaded, file: Sent, day: str, enriched: Mapping[str, pa.Table]) -> Answered:
    use_case, model = loaded.use_case, loaded.model

    def attached(_: int, path: str) -> bytes:
        if path not in file.attached:
            raise NotAttached(f"{path} was not sent")
        return file.attached[path]

    pack = open_reader(use_case, attached).read([file.data], [file.name])
    rows, refusals = check_rows(use_case, [file.name], pack)
    refusals = [*pack.refusals, *refusals]
    classes = len(model.classes)
    if not rows.num_rows:
        nothing = np.zeros(0, np.int32)
        some = np.zeros(0, np.float32), np.zeros((0, classes), np.float32)
        return Answered(file.name, int(pack.lines[0]), nothing, nothing, *some, tuple(refusals))
    try:
        predicted = predict(
            [model],
            rows.combine_chunks(),
            day,
            use_case,
            enriched=enriched,
            witnesses=lambda model, rows: (Vectors(model.classes, rows, None),),
        )
    except RowsFailed as error:
        nothing = np.zeros(0, np.int32)
        some = np.zeros(0, np.float32), np.zeros((0, classes), np.float32)
        return Answered(file.name, 0, nothing, nothing, *some, (Refusal(0, None, error.rule, str(error)),))
    refusals += [Refusal(0, one.line, one.rule, one.reason) for one in predicted.left_out]
    (answers,) = predicted.answers
    (vectors,) = answers.witnesses
    assert isinstance(vectors, Vectors)  # noqa: S101
    line = predicted.rows["line"].to_numpy()
    return Answered(
        file.name,
        int(pack.lines[0]),
        line,
        answers.numbers,
        answers.probabilities,
        vectors.values,
        tuple(sorted(refusals, key=lambda refusal: refusal.line or 0)),
    )
