"""In: rows as JSON has them. Out: a file with them as it is in batch, so that there is one way of reading.

A CSV file is written in the contract's own format: its delimiter, encoding, decimal sign and dates. A use case with a
reader of its own says by the reader's `write` how rows become a file; where it has none, rows cannot be sent.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.journey.read.moments import Moments
from mlops_assets.journey.read.readers import open_format
from mlops_assets.journey.read.readers.header import near_miss
from mlops_assets.journey.read.readers.packing import packed
from mlops_assets.journey.score.online import Sent
from mlops_assets.plugins import FileRefused, RecordReader, load_plugin
from mlops_assets.use_case import Column, FileFormat, UseCase

ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
"""A date or a moment as JSON has it."""

LARGEST = 10**300
"""Whole numbers from here on are none of a file."""


class RowsWrong(MlopsError):
    """Rows that no file of a use case can hold.

    Parameters
    ----------
    errors
        All that is wrong: where, such as `rows[2].amount`, and what.
    """

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {what}" for where, what in errors))
        self.errors = list(errors)


def file_of_rows(use_case: UseCase, name: str, rows: Sequence[Mapping[str, object]]) -> Sent:
    """A file that holds some rows, as it would have come in batch.

    Parameters
    ----------
    use_case
        Its contract says how the file is written.
    name
        What the file is called; the ending of the contract is added where it is absent.
    rows
        By the names of the contract or those of the file's header; of a column that both could mean, the contract's. A
        number, a date or a moment in ISO 8601 is written as the contract writes it, any other text as it stands. None,
        or no value, is an empty field.

    Raises
    ------
    RowsWrong
        If the file cannot hold them; with all that is wrong.
    """
    names = _Names(use_case)
    errors: list[tuple[str, str]] = []
    if not rows:
        errors.append(("rows", "there are none: a file has at least one"))
    texts = [dict(_texts(use_case, names, f"rows[{number}]", row, errors)) for number, row in enumerate(rows)]
    given = {name for text in texts for name in text}
    if not errors and not use_case.files.reader:
        absent = [name for name in use_case.columns if name not in given and name not in use_case.optional_columns]
        errors += [("rows", f"none has {names.shown(name)}, which a file must have") for name in absent]
    if errors:
        raise RowsWrong(errors)
    path = name if name.endswith(use_case.files.suffix) else name + use_case.files.suffix
    return Sent(path, _by_reader(use_case, texts) if use_case.files.reader else _written(use_case, names, texts))


def _written(use_case: UseCase, names: _Names, texts: Sequence[Mapping[str, str]]) -> bytes:
    """The file of rows in the format of the contract.

    Raises
    ------
    RowsWrong
        If the format cannot hold them.
    """
    form = open_format(use_case)
    try:
        data = form.write(texts) if form else _as_csv(use_case, names, texts)
    except FileRefused as error:
        raise RowsWrong([("rows", error.message)]) from None
    return packed(data, use_case.files)


class _Names:
    """The names that a column may have in rows."""

    def __init__(self, use_case: UseCase) -> None:
        self.headers = {name: column.header(name) for name, column in use_case.columns.items()}
        self._columns = {header: name for name, header in self.headers.items()} | {name: name for name in self.headers}

    def column(self, given: object) -> str | None:
        """The column that is meant by a name; None if none is."""
        return self._columns.get(given) if isinstance(given, str) else None

    def shown(self, name: str) -> str:
        """A column by its name, and that of the header where it is another one."""
        header = self.headers[name]
        return repr(name) if header == name else f"{name!r} ({header!r} in the header of a file)"

    def unknown(self, given: object) -> str:
        """What is said of a name that no column has."""
        near = near_miss(str(given), [*self._columns])
        return "no column of the use case has this name" + (f"; is it {near!r}?" if near else "")


def _texts(
    use_case: UseCase, names: _Names, where: str, row: object, errors: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """The columns that a row has, each with its text; adds what is wrong to the errors."""
    if not isinstance(row, Mapping):
        errors.append((where, f"a row is an object of columns and values, not {_kind(row)}"))
        return
    seen: dict[str, object] = {}
    for given, value in row.items():
        name = names.column(given)
        if name is None:
            errors.append((f"{where}.{given}", names.unknown(given)))
        elif name in seen:
            errors.append((f"{where}.{given}", f"{seen[name]!r} is the same column: give one of them"))
        else:
            seen[name] = given
            try:
                text = _text(value, use_case.columns[name])
                _check_text(text, use_case.files)
            except ValueError as error:
                errors.append((f"{where}.{given}", str(error)))
            else:
                # the decimal sign of the files is theirs also where they are not CSV
                number = isinstance(value, float) and use_case.columns[name].type in ("number", "integer")
                yield name, text.replace(".", use_case.files.decimal) if number else text


def _text(value: object, column: Column) -> str:
    """A value as a file has it, but for the decimal sign.

    Raises
    ------
    ValueError
        If it has no place in a field.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) >= LARGEST:
            raise ValueError("the number is too large")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("this is no number; null stands for one that is not known")
        return f"{value:.0f}" if column.type == "integer" and value.is_integer() else repr(value)
    if not isinstance(value, str):
        raise ValueError(f"a value is a text, a number, true, false or null, not {_kind(value)}")
    return _moment(value, column) if column.type in ("date", "timestamp") and ISO.fullmatch(value) else value


def _moment(text: str, column: Column) -> str:
    """A date or moment in ISO 8601 as the contract writes it; what is already written so stands as it is."""
    read = Moments(column)
    if read(text) is not None:
        return text
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:  # such as 2026-02-31: the contract says what is wrong with it
        return text
    if column.type == "date" and len(text) > len("2026-02-28"):
        return text
    if (moment.tzinfo is not None) != ("%z" in column.strptime):
        has = "an offset, and" if moment.tzinfo else "no offset, but"
        without = "none" if moment.tzinfo else "one"
        raise ValueError(f"it has {has} files of this contract have {without}: {column.strptime}")
    written = moment.strftime(column.strptime)
    expected = moment.date() if column.type == "date" else moment
    if expected != (_as_read(written, column) if column.type == "timestamp" else read(written)):
        raise ValueError(f"it cannot be written as files of this contract write it: {column.strptime}")
    return written


def _as_read(written: str, column: Column) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(written, column.strptime)
    except ValueError:
        return None


def _check_text(text: str, form: FileFormat) -> None:
    """See that a text can stand in a field of a CSV file.

    Raises
    ------
    ValueError
        If it cannot.
    """
    if form.reader or form.format != "csv":
        return
    if "\0" in text:
        raise ValueError("it holds a NUL, which no file may")
    if "\r" in text or ("\n" in text and not (form.quotes and form.line_breaks_in_fields)):
        raise ValueError("it holds a line end, which no field of this contract may")
    if form.delimiter in text and not form.quotes:
        raise ValueError(f"it holds {form.delimiter!r}, which parts the fields, and this contract has no quotes")
    try:
        text.encode(form.encoding)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{error.object[error.start]!r} is not in {form.encoding}, which files are written in"
        ) from None


def _as_csv(use_case: UseCase, names: _Names, texts: Sequence[Mapping[str, str]]) -> bytes:
    form = use_case.files
    lines = [] if form.header == "none" else [[*names.headers.values()]]
    lines += [[text.get(name, "") for name in use_case.columns] for text in texts]
    return "".join(form.delimiter.join(_field(text, form) for text in line) + "\n" for line in lines).encode(
        form.encoding
    )


def _field(text: str, form: FileFormat) -> str:
    """A text as it stands in a field: between quotes where it must."""
    if form.quotes and ('"' in text or form.delimiter in text or "\n" in text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _by_reader(use_case: UseCase, texts: Sequence[Mapping[str, str]]) -> bytes:
    """The file of rows as the reader of the use case writes it.

    Raises
    ------
    RowsWrong
        If it does not, or not these.
    """
    path = use_case.files.reader or ""
    write: Any = getattr(load_plugin(path, RecordReader), "write", None)
    if write is None:
        raise RowsWrong(
            [("rows", f"{use_case.name} reads files of its own ({use_case.files.suffix}): send such files")]
        )
    try:
        data = write(texts)
    except FileRefused as error:
        raise RowsWrong([("rows", error.message)]) from None
    except MemoryError:
        raise
    except Exception as error:  # the user's own code
        raise RowsWrong([("rows", f"{path}.write fails: {type(error).__name__}: {error}")]) from error
    if not isinstance(data, bytes):
        raise RowsWrong([("rows", f"{path}.write gives {_kind(data)}, expected bytes")])
    return data


def _kind(value: object) -> str:
    kinds: dict[type, str] = {list: "a list", dict: "an object", str: "a text", type(None): "null"}
    return kinds.get(type(value), f"a {type(value).__name__}")
