"""A request of the V2 inference protocol as files, and what became of them as the outputs of a model.

A tensor is a column of the contract, and all rows of a request are one file. A use case with a reader of its own takes
tensors of whole files instead. The protocol has no rejects: with one, nothing is answered but 422 and why, unless the
output `rejected` is asked for, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlops_assets.journey.score.online import Answered, Sent
from mlops_assets.journey.score.written import RowsWrong, file_of_rows
from mlops_assets.serving.bodies import files as bodies
from mlops_assets.serving.bodies.pictures import ending_of
from mlops_assets.serving.problems import Problem, Wrong
from mlops_assets.serving.v2.tensors import REALS, WHOLES, Input
from mlops_assets.use_case import UseCase

Values = Mapping[str, Sequence[Any]]

FILES, NAMES = "file", "name"
"""Tensors of a use case with a reader of its own: whole files, and their names, which may be absent."""
DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
"""By which a column is announced; texts, dates and moments are BYTES."""
NUMBERS = frozenset({*REALS, *WHOLES, "BYTES"})
TAKEN = {"number": NUMBERS, "integer": NUMBERS, "boolean": frozenset({"BOOL", "BYTES"})}
"""What is taken besides: to many clients numbers with a gap are FP64 with NaN, and a text is what stands in a file."""

USUAL = ("prediction", "probability")
USUAL_NUMBERS = ("prediction", "low", "high")
PLACES = ("file", "line")
"""Outputs of a use case with a reader of its own: the name of the file of a record, and which it was there, from 1."""
OUTPUTS = {
    "prediction": ("BYTES", [-1]),
    "probability": ("FP32", [-1]),
    "probabilities": ("FP32", [-1, -1]),
    "rejected": ("BYTES", [-1]),
    "file": ("BYTES", [-1]),
    "line": ("INT32", [-1]),
}
"""Outputs by their names, with datatype and shape; of a model that says classes."""
OUTPUTS_OF_NUMBERS = {
    **dict.fromkeys(USUAL_NUMBERS, ("FP64", [-1])),
    **{name: OUTPUTS[name] for name in ("rejected", *PLACES)},
}
"""The same of one that says numbers; without an interval, its ends are NaN."""
TOLD = 3
"""Rejected rows that are told in one line; clients show nothing else."""


def describe_inputs(use_case: UseCase) -> list[dict[str, Any]]:
    """The tensors that a use case takes, as the protocol describes them."""
    if use_case.files.reader:
        texts = {"datatype": "BYTES", "shape": [-1]}
        return [{"name": FILES, **texts}, {"name": NAMES, **texts, "parameters": {"optional": True}}]
    described: list[dict[str, Any]] = []
    for name, column in use_case.columns.items():
        described.append({"name": name, "datatype": DATATYPES.get(column.type, "BYTES"), "shape": [-1]})
        if name in use_case.optional_columns:
            described[-1]["parameters"] = {"optional": True}
    return described


def describe_outputs(use_case: UseCase, classes: Sequence[str]) -> list[dict[str, Any]]:
    """What may be asked of a model, as the protocol describes it."""
    described: list[dict[str, Any]] = [
        {"name": name, "datatype": datatype, "shape": shape}
        for name, (datatype, shape) in (OUTPUTS if classes else OUTPUTS_OF_NUMBERS).items()
        if use_case.files.reader or name not in PLACES
    ]
    for one in described:
        if one["name"] == "probabilities":
            one |= {"shape": [-1, len(classes)], "parameters": {"classes": list(classes)}}
    return described


def files_of(use_case: UseCase, inputs: Sequence[Input], values: Values) -> list[Sent]:
    """The files that a request holds.

    Raises
    ------
    Problem
        400, with everything that is wrong.
    """
    taken = {one["name"]: one for one in describe_inputs(use_case)}
    wrong = []
    for number, one in enumerate(inputs):
        if one.name not in taken:
            there = f"there is no such input; there are: {', '.join(taken)}"
            wrong.append(Wrong(f"inputs[{number}].name", f"{one.name[:100]!r}: {there}"))
        elif one.datatype not in _taken(use_case, one.name):
            expected = ", ".join(sorted(_taken(use_case, one.name)))
            wrong.append(Wrong(f"inputs[{number}].datatype", f"{one.name!r} is {one.datatype}, expected {expected}"))
    lengths = {name: len(column) for name, column in values.items()}
    if len({*lengths.values()}) > 1:
        wrong.append(Wrong("inputs", f"they differ in their number of rows: {lengths}"))
    _refuse(wrong)
    texts = {one.name: _texts(one, values[one.name], number, wrong, use_case) for number, one in enumerate(inputs)}
    _refuse(wrong)
    return _whole_files(use_case, texts) if use_case.files.reader else [_table(use_case, texts)]


def _taken(use_case: UseCase, name: str) -> frozenset[str]:
    return (
        TAKEN.get(use_case.columns[name].type, frozenset({"BYTES"}))
        if not use_case.files.reader
        else frozenset({"BYTES"})
    )


def _refuse(wrong: Sequence[Wrong]) -> None:
    if wrong:
        raise Problem(400, "; ".join(f"{one.where}: {one.message}" for one in wrong[:TOLD]), wrong)


def _texts(one: Input, column: Sequence[Any], number: int, wrong: list[Wrong], use_case: UseCase) -> list[Any]:
    """A column whose bytes are texts, but for those of whole files."""
    if one.datatype != "BYTES" or (use_case.files.reader and one.name == FILES):
        return [value.encode() if one.name == FILES and isinstance(value, str) else value for value in column]
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in column]
    except UnicodeDecodeError:
        wrong.append(Wrong(f"inputs[{number}]", f"{one.name!r} has bytes that are not UTF-8, which texts are here"))
        return []


def _table(use_case: UseCase, columns: Values) -> Sent:
    """The file of the rows of a request."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    try:
        return file_of_rows(use_case, "rows", rows)
    except RowsWrong as error:
        wrong = [Wrong(where, message) for where, message in error.errors]
        raise Problem(400, "; ".join(f"{one.where}: {one.message}" for one in wrong[:TOLD]), wrong[:50]) from None


def _whole_files(use_case: UseCase, columns: Values) -> list[Sent]:
    """The files of a request, as if they had been sent in a form."""
    contents = columns.get(FILES, ())
    if any(value is None for column in columns.values() for value in column):
        _refuse([Wrong("inputs", "a file has bytes, and a name is a text: null is neither")])
    names = columns.get(NAMES) or [_name(number, data, use_case) for number, data in enumerate(contents)]
    return bodies.files_of([*zip(names, contents, strict=False)], use_case)


def _name(number: int, data: bytes, use_case: UseCase) -> str:
    ending = ending_of(data)
    return f"{number}{ending if ending and ending in use_case.files.attachments else use_case.files.suffix}"


def outputs_of(
    asked: Sequence[str], answered: Sequence[Answered], classes: Sequence[str], rows: int | None
) -> dict[str, np.ndarray]:
    """The outputs that were asked for, a value a row, in the order of the rows.

    Parameters
    ----------
    asked
        Names of the outputs; prediction and probability by default.
    answered
        What became of each file.
    classes
        Names of the classes, by number.
    rows
        Rows of the one file; None if these are whole files.

    Raises
    ------
    Problem
        400, if there is no such output; 422 with all of them, if rows are rejected and `rejected` is not asked for.
    """
    usual, every = (USUAL, OUTPUTS) if classes else (USUAL_NUMBERS, OUTPUTS_OF_NUMBERS)
    names = asked or (usual if rows is not None else (*usual, *PLACES))
    known = [name for name in every if rows is None or name not in PLACES]
    _refuse(
        [
            Wrong(f"outputs[{number}].name", f"{name[:100]!r}: there is no such output; there are: {', '.join(known)}")
            for number, name in enumerate(names)
            if name not in known
        ]
    )
    refused = [
        (number, line, f"{refusal.rule}: {refusal.message}")
        for number, one in enumerate(answered)
        for refusal in one.refusals
        # a table that is refused as a whole is refused in each of its rows
        for line in ((refusal.line or 0,) if refusal.line or rows is None else range(1, rows + 1))
    ]
    if refused and "rejected" not in names:
        raise _rejected(refused, answered, rows is None)
    return {name: array for name, array in _arrays(answered, classes, refused).items() if name in names}


def _rejected(refused: Sequence[tuple[int, int, str]], answered: Sequence[Answered], whole_files: bool) -> Problem:
    """What is said of a request with rejected rows; rows of tensors are counted from 0."""
    wrong = [
        Wrong(answered[file].name + (f", line {line}" if line else "") if whole_files else f"rows[{line - 1}]", text)
        for file, line, text in refused
    ]
    first = "; ".join(f"{one.where}: {one.message}" for one in wrong[:TOLD])
    more = f"; and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
    ask = "Ask for the output 'rejected' to have the other rows answered."
    return Problem(422, f"{len(wrong)} rejected: {first}{more}. {ask}", wrong[:1000])


def _arrays(
    answered: Sequence[Answered], classes: Sequence[str], refused: Sequence[tuple[int, int, str]]
) -> dict[str, np.ndarray]:
    """Every output; a rejected row has no prediction, and NaN for probabilities."""
    file = np.concatenate([np.full(len(one.line), number) for number, one in enumerate(answered)])
    file = np.concatenate([file, np.array([number for number, _, _ in refused], int)]).astype(int)
    line = np.concatenate([*(one.line for one in answered), np.array([at for _, at, _ in refused], int)])
    order = np.lexsort((line, file))
    arrays = {
        **(_of_classes(answered, classes, len(refused)) if classes else _of_numbers(answered, len(refused))),
        "rejected": np.array([""] * (len(line) - len(refused)) + [text for _, _, text in refused], object),
        "file": np.array([one.name for one in answered], object)[file],
        "line": line.astype(np.int32),
    }
    return {name: array[order] for name, array in arrays.items()}


def _of_classes(answered: Sequence[Answered], classes: Sequence[str], refused: int) -> dict[str, np.ndarray]:
    numbers = np.concatenate([*(one.numbers for one in answered), np.full(refused, -1, int)])
    empty = np.full((refused, len(classes)), np.nan, np.float32)
    sure = np.concatenate([*(one.sure["probability"] for one in answered), np.full(refused, np.nan)])
    return {
        "prediction": np.array([*classes, ""], object)[numbers],  # the last one is that of -1
        "probability": sure.astype(np.float32),
        "probabilities": np.concatenate([*(one.probabilities for one in answered), empty]).astype(np.float32),
    }


def _of_numbers(answered: Sequence[Answered], refused: int) -> dict[str, np.ndarray]:
    nothing = np.full(refused, np.nan)
    ends = {name: np.concatenate([*(one.sure[name] for one in answered), nothing]) for name in ("low", "high")}
    return {"prediction": np.concatenate([*(one.numbers for one in answered), nothing]), **ends}
