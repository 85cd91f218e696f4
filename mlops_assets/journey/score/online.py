"""In: files as they were sent, and a model. Out: what becomes of each line, as the daily job would say it.

The same reading, features and model as of a day, for a handful of files at a time, and without a table.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pyarrow as pa

from mlops_assets.errors import ConfigError
from mlops_assets.journey.enrich.answers import NOTHING
from mlops_assets.journey.enrich.at_once import Enrich, enrich_rows
from mlops_assets.journey.features.blame import RowsFailed
from mlops_assets.journey.features.shard import NotEveryRow
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.read.attachments import attachment_too_large, not_listed
from mlops_assets.journey.read.listing import file_too_large, named_wrongly
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.readers.pack import Refusal
from mlops_assets.journey.read.rows import check_rows
from mlops_assets.journey.score.predict import Answers, answer, predict
from mlops_assets.journey.score.vectors import Vectors
from mlops_assets.plugins import FileRefused, RecordReader, load_plugin
from mlops_assets.use_case import FileFormat, UseCase

FAILS = RowsFailed, NotEveryRow
"""What goes wrong with the rows of one file, and not with those of another."""


def unasked(_rows: pa.Table) -> Mapping[str, pa.Table]:
    """No answers: nobody is asked."""
    return NOTHING


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
        What is said of each of them: int32 array, the class, which `Model.classes` names; or float64 array, the number.
    sure
        What stands beside it, an array by its column, as `predictions` stores it: `probability` of that class, float32;
        or `low` and `high`, the ends of the interval around that number, NaN where there is none.
    probabilities
        float32 array of one row a prediction and one column a class, rounded as `predictions` stores them.
    refusals
        Lines without a prediction, and with `line` None the whole file, each with its reason; `file` is 0.
    """

    name: str
    lines: int
    line: np.ndarray
    numbers: np.ndarray
    sure: Mapping[str, np.ndarray]
    probabilities: np.ndarray
    refusals: tuple[Refusal, ...] = ()

    def said(self, classes: Sequence[str]) -> list[Any]:
        """What is said of each line: the name of its class, or where there are no classes, its number."""
        numbers: list[Any] = self.numbers.tolist()
        return [classes[number] for number in numbers] if classes else numbers

    @property
    def refused(self) -> bool:
        """Whether the file was refused as a whole."""
        return any(refusal.line is None for refusal in self.refusals)


def answer_files(loaded: Loaded, files: Sequence[Sent], day: str, enrich: Enrich = unasked) -> list[Answered]:
    """What a model says of files, each of them as if it were alone: `file_features` are of the rows of one file.

    Parameters
    ----------
    loaded
        The model and its use case.
    files
        The files; of several requests, they may have the same names.
    day
        The day that their rows are taken to be of.
    enrich
        Is asked with rows, once they are read, for the answers of enrichments.

    Returns
    -------
    list
        One item a file, in their order. Lines are rows and refused lines, in each of them. A file on which SQL or the
        model fails is refused by the rule of that name, or lines of it are, by `checks.sql_rejects`.

    Raises
    ------
    MlopsError
        If SQL or model fail on all rows, whichever they are.
    """
    use_case, names = loaded.use_case, [file.name for file in files]
    refused = {number: why for number, file in enumerate(files) if (why := _refuse_unread(use_case.files, file))}
    contents = [None if number in refused else file.data for number, file in enumerate(files)]
    pack = open_reader(use_case, partial(attached_to, files, use_case.files.largest)).read(contents, names)
    rows, broken = check_rows(use_case, names, pack)
    rows, enriched, stopped = enrich_rows(use_case, rows, enrich)
    scores = _Scores(loaded, rows.combine_chunks(), day, enriched)
    scores.add(range(len(files)))
    refusals: list[list[Refusal]] = [[] for _ in files]
    for number, (rule, message) in refused.items():
        refusals[number].append(Refusal(number, None, rule, message))
    for refusal in (*pack.refusals, *broken, *stopped, *scores.refusals):
        refusals[refusal.file].append(refusal)
    # a record between quotes may span lines
    lines = pack.lines - pack.swallowed
    return [scores.answered(number, name, int(lines[number]), refusals[number]) for number, name in enumerate(names)]


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


def _refuse_unread(form: FileFormat, file: Sent) -> tuple[str, str] | None:
    """Why a file is not read at all, as the listing of a day would have it; None if it is read."""
    if not file.name.endswith(form.suffix):
        return "unreadable", named_wrongly(form)
    if len(file.data) > form.largest:
        return "too_large", file_too_large(len(file.data), form.largest)
    return None


def attached_to(files: Sequence[Sent], largest: int, number: int, path: str) -> bytes:
    """What was sent with a file, and with no other one.

    Parameters
    ----------
    files
        The files.
    largest
        Bytes that it may have.
    number, path
        Which file refers to it, and by what path.

    Raises
    ------
    NotAttached
        If it was not sent, or is larger.
    """
    data = files[number].attached.get(path)
    if data is None:
        raise not_listed(path)
    if len(data) > largest:
        raise attachment_too_large(path, len(data), largest)
    return data


def _all_classes(model: Model, rows: int) -> Sequence[Vectors]:
    return (Vectors(model.classes, rows, None),)


class _Scores:
    """What a model says of rows, in their order.

    Parameters
    ----------
    loaded, day, enriched
        As for `answer_files`, and what enrichments answer for the keys of these rows.
    rows
        The rows of the files, in one chunk.
    """

    def __init__(self, loaded: Loaded, rows: pa.Table, day: str, enriched: Mapping[str, pa.Table]) -> None:
        self.refusals: list[Refusal] = []
        self._loaded = loaded
        self._rows = rows
        self._run = partial(self._ask, day=day, enriched=enriched)
        self._line = rows["line"].to_numpy()
        self._file = rows["file"].chunk(0).indices.to_numpy() if len(rows) else np.zeros(0, np.int32)
        self._is_answered = np.zeros(len(rows), bool)
        task = loaded.model.task
        self._numbers = np.zeros(len(rows), task.answer)
        self._sure = {name: np.zeros(len(rows), kind) for name, kind in task.beside.items()}
        self._probabilities = np.zeros((len(rows), len(loaded.model.classes)), np.float32)

    def _ask(self, ask: Callable[..., Any], rows: pa.Table, day: str, enriched: Mapping[str, pa.Table]) -> Any:
        """What `answer` or `predict` say of rows."""
        return ask([self._loaded.model], rows, day, self._loaded.use_case, enriched=enriched, witnesses=_all_classes)

    def add(self, files: range) -> None:
        """Ask for the rows of these files; where that fails, for halves of them, so that one fails alone."""
        begin, end = self._place(files)
        if begin == end:
            return
        some = self._rows.slice(begin, end - begin)
        try:
            self._keep(np.arange(begin, end), self._run(answer, some)[0])
        except FAILS:
            if len(files) == 1:
                self._add_alone(files.start, some, begin)
                return
            middle = (files.start + files.stop) // 2
            self.add(range(files.start, middle))
            self.add(range(middle, files.stop))

    def _add_alone(self, file: int, some: pa.Table, begin: int) -> None:
        """Ask for the rows of a file without those that are to blame, if these may be left out."""
        try:
            predicted = self._run(predict, some)
        except FAILS as error:
            rule = error.rule if isinstance(error, RowsFailed) else "sql"
            self.refusals.append(Refusal(file, None, rule, str(error)))
            return
        self.refusals += [Refusal(file, one.line, one.rule, one.reason) for one in predicted.left_out]
        kept = ~np.isin(some["line"].to_numpy(), [one.line for one in predicted.left_out])
        self._keep(begin + np.flatnonzero(kept), predicted.answers[0])

    def _keep(self, places: np.ndarray, answers: Answers) -> None:
        """Take up what was said of the rows at these places."""
        (vectors,) = answers.witnesses
        self._numbers[places] = answers.numbers
        for name, values in answers.beside.items():
            self._sure[name][places] = values
        self._probabilities[places] = cast("Vectors", vectors).values
        self._is_answered[places] = True

    def _place(self, files: range) -> tuple[int, int]:
        """Where the rows of these files begin and end."""
        begin, end = np.searchsorted(self._file, (files.start, files.stop))
        return int(begin), int(end)

    def answered(self, number: int, name: str, lines: int, refusals: Sequence[Refusal]) -> Answered:
        """What became of a file.

        Parameters
        ----------
        number, name, lines
            The file, and how many data lines it has.
        refusals
            Its refusals.
        """
        begin, end = self._place(range(number, number + 1))
        rows = begin + np.flatnonzero(self._is_answered[begin:end])
        told = sorted(refusals, key=lambda refusal: refusal.line or 0)
        whole = [refusal for refusal in told if refusal.line is None]
        return Answered(
            name,
            0 if whole else lines,
            self._line[rows],
            self._numbers[rows],
            {name: values[rows] for name, values in self._sure.items()},
            self._probabilities[rows],
            tuple(replace(refusal, file=0) for refusal in (whole or told)),
        )
