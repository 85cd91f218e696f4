"""In: a stored model. Out: no change, or why it may not score: it answers a few odd rows in a process of its own first.

The structure of a model is checked whenever it is loaded. This is the second door: what the check does not know of a
type ends a process that nobody needs. The verdict is kept on this machine, so that the same model is tried once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlops_assets.errors import LakeError, ModelRefused
from mlops_assets.errors.redaction import referred, remember
from mlops_assets.journey.features.matrix import LARGEST, TEXT
from mlops_assets.journey.model.archive import Known
from mlops_assets.journey.model.files import MEANING_FILE, parts_of, read_files
from mlops_assets.journey.model.flavours import libraries_of, releases_of
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.scorer.odd import odd_rows
from mlops_assets.journey.model.scorer.steps import Asked
from mlops_assets.storage.files import write_json
from mlops_assets.storage.places import Place, parse_place
from mlops_assets.work.apart import Ended, Limits, run_apart
from mlops_assets.work.code import code_of
from mlops_assets.work.engines.local import ESTIMATORS

LIMITS = Limits(seconds=60, memory=4 << 30)
"""What a trial may use up."""

MANY = 1024
"""Rows that are asked together at the end of a trial, as many as ONNX and PyTorch are handed at a time in a day: what
a model needs may grow with the square of them, or faster."""

PLAIN = 2
"""Rows at the head of a trial without anything odd: of each category its first value, a word, all numbers 0 or 1."""

SMOKE_TEXTS = ("", "a", "two plain words", "Ünïcödé — 東京 🚀", "x" * 5000, "word " * 2000, "0", "\t \r\n")
SMOKE_NUMBERS = (0.0, 1.0, -1.0, None, 1e30, -1e30, LARGEST, 2.0**53)
NO_VALUE_OF_ANY = "no value of any category"


def try_model(
    folder: Place, sha256: str, trusted: Sequence[str], home: Path, name: str, limits: Limits = LIMITS
) -> None:
    """See that a model answers, unless that was seen on this machine before.

    Parameters
    ----------
    folder
        Where it lies.
    sha256
        Its hash; the model is looked at under no other.
    trusted
        Further types that it may hold.
    home
        Where verdicts are kept.
    name
        The model, for messages.
    limits
        What it may use up.

    Raises
    ------
    ModelRefused
        If it is another one, cannot be loaded, crashes, does not end, answers nothing or what is no answer.
    """
    # a verdict that was kept is one on these files: who reads them later should not be the first to find others
    files = read_files(folder, sha256)
    parts = parts_of(files[MEANING_FILE])
    verdict = home / "trials" / f"{_mark(sha256, trusted, parts)}.json"
    if verdict.exists():
        return
    # loaded, a model takes a few times the bytes that it is stored in
    limits = replace(limits, memory=limits.memory + 4 * sum(map(len, files.values())))
    try:
        # a model may name what the configuration refers to, and nothing else of the environment
        environment = {variable: os.environ[variable] for variable in referred() if variable in os.environ}
        asked = str(folder), sha256, list(trusted), [*environment]
        answer = run_apart(answer_smoke, asked, limits, environment, [*ESTIMATORS, *libraries_of(parts)])
    except Ended as error:
        raise ModelRefused(
            f"{name} failed its trial, so it may not score: {error}. If it was made here, train it again; else ask who "
            "changed it, for a forged model looks like this."
        ) from None
    if "refused" in answer:
        raise ModelRefused(answer["refused"])
    with suppress(LakeError):  # a home that cannot be written keeps none: it is tried again
        write_json(verdict, {"model": sha256, **answer})


def _mark(sha256: str, trusted: Sequence[str], parts: Mapping[str, str]) -> str:
    """What a verdict holds for: this model, by this code and these libraries."""
    modules = (path.rpartition(".")[0] for path in sorted(trusted))
    code = code_of(__name__, "mlops_assets.encoders", *modules).fingerprint
    facts = [sha256, sorted(trusted), code, version("skops"), *releases_of(parts).items()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def answer_smoke(folder: str, sha256: str, trusted: Sequence[str], variables: Sequence[str] = ()) -> dict[str, Any]:
    """Load a model and ask it; what a trial does in its process.

    Parameters
    ----------
    folder, sha256, trusted
        As in `try_model`.
    variables
        Environment variables that the configuration refers to.

    Returns
    -------
    dict
        `refused` with a reason, or how many of the rows it `answered`: like a day's, a row may be one that it does not
        take, such as one with a missing number.

    Raises
    ------
    NoAnswer
        If it answers none of them, or something else, or of a row now this and now that.
    """
    for variable in variables:
        remember(variable)
    try:
        model = Model.load(parse_place(folder), sha256, trusted)
    except ModelRefused as error:
        return {"refused": str(error)}
    matrix = model.matrix(smoke_rows(model.columns))
    matrix = np.concatenate([with_known(matrix[:PLAIN], model.estimator), matrix])
    try:
        _see_answers(model, matrix)
        alone: list[str | None] = [None] * len(matrix)
    except (ValueError, ArithmeticError):
        alone = [_fault(model, matrix[number : number + 1]) for number in range(len(matrix))]
    if None not in alone:
        raise NoAnswer(f"it answers none of {len(alone)} rows, though some are as plain as can be: {alone[0]}")
    answered = [number for number, fault in enumerate(alone) if fault is None]
    _see_scorer(model, matrix[answered])
    _see_the_same(model, matrix[answered], sum(number < 2 * PLAIN for number in answered))
    return {"rows": len(matrix), "answered": len(answered)}


def _fault(model: Model, row: np.ndarray) -> str | None:
    """Why a model does not answer a row; None if it does."""
    try:
        _see_answers(model, row)
    except (ValueError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"[:500]
    return None


def _see_the_same(model: Model, rows: np.ndarray, plain: int) -> None:
    """See that what is said of the first rows, which are plain, does not hang on what is asked together with them."""
    with np.errstate(all="ignore"):
        together = model.uncalibrated(np.resize(rows, (MANY, rows.shape[1])))[:plain]
        alone = [model.uncalibrated(rows[number : number + 1]) for number in range(plain)]
    if plain and not np.allclose(together, np.concatenate(alone), atol=1e-6):
        raise NoAnswer("its answer to a row hangs on which other rows it is asked about at the same time")


def _see_scorer(model: Model, rows: np.ndarray) -> None:
    """See that a scorer that was stored says what its estimator says: it was made of it, and nobody else looks."""
    scorer, ask = model.stored_scorer, getattr(model.estimator, model.task.method)
    if scorer is None:
        return
    for some in (rows, odd_rows(scorer)):
        with suppress(Asked, ValueError, ArithmeticError), np.errstate(all="ignore"):
            if not np.allclose(scorer.ask(some), ask(some), rtol=1e-6, atol=1e-6):
                raise NoAnswer("its scorer answers otherwise than its estimator")


def _see_answers(model: Model, matrix: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        said = model.uncalibrated(matrix)
        both = said, model.calibrated(said)  # what calibrates brings anything to the sum 1
    for one in both:
        if odd := model.task.odd(one):
            raise NoAnswer(odd)


class NoAnswer(Exception):
    """A model answers something else than probabilities, or numbers."""


def smoke_rows(columns: Mapping[str, Known]) -> pa.Table:
    """A few rows of the model's input, always the same: known and unknown categories, none, odd numbers and texts.

    The first `PLAIN` of them every honest model takes, unless it asks for values that only its encoders know.

    Parameters
    ----------
    columns
        The columns of a model.
    """
    return pa.table({name: _smoke_column(known, place) for place, (name, known) in enumerate(columns.items())})


def _smoke_column(known: Known, place: int) -> pa.Array:
    """The values of one column; each column begins elsewhere, so that not all of them are odd in the same row."""
    if known == TEXT:
        return pa.array(["word"] * PLAIN + _turned(SMOKE_TEXTS, place), pa.string())
    if isinstance(known, tuple):
        some = [*known[:2], *known[-1:], NO_VALUE_OF_ANY, None]
        first = [known[0] if known else None] * PLAIN
        return pa.array(first + _turned(some * 2, place)[: len(SMOKE_NUMBERS)], pa.string())
    return pa.array([0.0, 1.0, *_turned(SMOKE_NUMBERS, place)], pa.float64())


def with_known(rows: np.ndarray, estimator: Any) -> np.ndarray:
    """Rows with a value of each column that an encoder of the estimator knows: one may refuse all others.

    Parameters
    ----------
    rows
        As an estimator sees them.
    estimator
        Whose encoders are looked for, as far as columns reach them as they are.
    """
    known = rows.copy()
    for column, value in _known_values(estimator, range(rows.shape[1])):
        known[:, column] = value
    return known


def _known_values(thing: Any, columns: Sequence[int]) -> Iterator[tuple[int, Any]]:
    categories = getattr(thing, "categories_", None)
    if isinstance(categories, list) and len(categories) == len(columns):
        yield from ((column, values[0]) for column, values in zip(columns, categories, strict=True))
    elif hasattr(thing, "transformers_"):
        places = thing._transformer_to_input_indices
        for name, step, _ in thing.transformers_:
            yield from _known_values(step, [columns[place] for place in places.get(name, ())])
    elif isinstance(thing, (list, tuple)):
        for one in thing:
            yield from _known_values(one, columns)
    elif hasattr(thing, "get_params") or hasattr(thing, "calibrators"):
        for value in vars(thing).values():
            yield from _known_values(value, columns)


def _turned(values: Sequence[Any], by: int) -> list[Any]:
    start = by % len(values)
    return [*values[start:], *values[:start]]
