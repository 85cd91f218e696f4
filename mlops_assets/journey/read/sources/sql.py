"""Raw files from a database: the rows of a query a day, landed as CSV files that stay the same while the rows do."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.read.sources.s3 import S3Source
from mlops_assets.plugins.sources import Entry, SourceError
from mlops_assets.storage import places
from mlops_assets.storage.database import DatabaseError, open_database
from mlops_assets.storage.places import Place
from mlops_assets.use_case.partitions import date_of, folder_of
from mlops_assets.use_case.source import SqlSource as Parameters
from mlops_assets.use_case.source import parameters_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

    from mlops_assets.use_case import UseCase

FETCH = 5_000
"""Rows that the server sends at a time."""

MOST_HELD = 64 << 20
"""Characters of lines held in memory before they are written to their files."""

Lines = dict[str, list[str]]
"""Name of a file: lines that belong into it."""

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
"""Values that name a file as they are; the others name it by their hash."""


class SqlSource:
    """Lands the rows of a day as raw files, then lists and reads those.

    Parameters
    ----------
    parameters
        What the configuration says.
    use_case
        Says how the files are written, and which columns they have.
    landed
        Where they are landed, and what lists and reads them there.
    """

    def __init__(self, parameters: Parameters, use_case: UseCase, landed: FolderSource | S3Source) -> None:
        self.landed = landed
        self.readers = getattr(landed, "readers", 0)
        self.parameters = parameters
        self.files = use_case.files
        self.columns = use_case.columns
        self.key = parameters.key or use_case.account
        self.partitions = use_case.partitions
        self.optional = use_case.optional_columns

    def days(self) -> list[str]:
        """The days that were landed, in order."""
        return self.landed.days()

    def place(self, day: str) -> str:
        """Where the files of a day are landed."""
        return self.landed.place(day)

    def has(self, day: str, name: str) -> bool:
        """Whether a file of that name lies beside those of a day."""
        return self.landed.has(day, name)

    def read(self, day: str, entry: Entry) -> bytes:
        """The bytes of a file as it was landed."""
        return self.landed.read(day, entry)

    def delivered(self, day: str) -> bool:  # noqa: ARG002 - any day can be asked for
        """Whether the day can be asked for; what there is of it the query tells."""
        return True

    def list(self, day: str, after: str = "") -> Iterator[Entry]:
        """Every file of a day as it was landed last; the database is not asked."""
        if self.landed.delivered(day):
            yield from self.landed.list(day, after)

    def land(self, day: str, tell: Callable[[int], None] = lambda _: None) -> None:
        """Ask for the rows of a day and write them; files whose rows are the same are left as they are.

        Parameters
        ----------
        day
            The day; `:day` of the query, or from `:start` to before `:end`.
        tell
            Is told now and then how many rows came so far.

        Raises
        ------
        SourceError
            If the database cannot be reached, refuses the query, takes too long, or answers without a column.
        S3Error
            If the files cannot be put where they shall lie.
        """
        root = self.landed.root
        try:
            with _staging(root) as staged:
                with open_database(self.parameters.url_variable) as engine, engine.connect() as connection:
                    self._write(staged, self._ask(connection, day), tell)
                _replace(root / folder_of(day), staged, self.files.suffix)
        except DatabaseError as error:
            raise SourceError(f"rows of {day} by the query {self._query()}: {error}") from None
        except UnicodeEncodeError as error:
            reason = f"a value cannot be written in {self.files.encoding}: {error.object[error.start : error.end]!r}"
            raise SourceError(f"rows of {day} by the query {self._query()}: {reason}") from None
        except OSError as error:
            where = error.filename or root
            raise SourceError(f"{where}: cannot be written: {error.strerror}. Make room or give access.") from None

    def _ask(self, connection: Connection, day: str) -> CursorResult[Any]:
        """The rows of a day, as the server sends them; a single statement sees a single state of the data."""
        from sqlalchemy import Date, DateTime, bindparam, text

        if connection.dialect.name == "postgresql":
            # the query is a text that somebody configured: it shall read, whatever it says
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            limit = {"limit": str(int(self.parameters.timeout * 1000))}
            # for this transaction alone
            connection.execute(text("SELECT set_config('statement_timeout', :limit, true)"), limit)
        moment = DateTime(timezone=True)
        # those that the query names, of which there is at least one
        bounds: dict[str, tuple[Any, Any]] = {
            "day": (Date(), date_of(day)),
            "start": (moment, self.partitions.start(day)),
            "end": (moment, self.partitions.end(day)),
        }
        named = {name: bound for name, bound in bounds.items() if name in parameters_of(self.parameters.query)}
        query = text(self.parameters.query).bindparams(
            *(bindparam(name, type_=kind) for name, (kind, _) in named.items())
        )
        # as it is sent: a day may be larger than the memory
        asked = connection.execution_options(stream_results=True, yield_per=FETCH)
        return asked.execute(query, {name: value for name, (_, value) in named.items()})

    def _query(self) -> str:
        words = " ".join(self.parameters.query.split())
        return repr(words if len(words) <= 200 else f"{words[:200]}...")

    def _positions(self, names: Sequence[str]) -> dict[str, int]:
        """Where each column of the contract stands in a row."""
        missing = [name for name in (*self.columns, self.key) if name not in names and name not in self.optional]
        if missing:
            raise SourceError(
                f"the query {self._query()} has no column {missing[0]!r}; it has: {', '.join(names)}. "
                "Name its columns as those of `columns`, by AS."
            )
        return {name: names.index(name) for name in self.columns if name in names}

    def _file(self, value: Any) -> str:
        """Name of the file that a row belongs to, by the value of its key."""
        text = "" if value is None else str(value)
        # a hash of the key, so that all rows of an account stand in one file on every day
        if self.parameters.files_a_day is not None:
            return f"{int(_hash(text), 16) % self.parameters.files_a_day:05d}{self.files.suffix}"
        # `~` stands in no plain name: a hash is never the name of another account's file
        return f"{text if PLAIN.fullmatch(text) else '~' + _hash(text)}{self.files.suffix}"

    def _line(self, row: Sequence[Any], positions: dict[str, int]) -> str:
        texts = [self._text(name, row[position]) for name, position in positions.items()]
        if any("\n" in text or "\r" in text for text in texts):
            name = next(name for name, text in zip(positions, texts, strict=True) if "\n" in text or "\r" in text)
            raise SourceError(
                f"a value of {name!r} has a line end, which no line of a file can hold: replace it in SQL."
            )
        try:
            return self._csv(texts)
        except csv.Error:
            raise SourceError("a value holds the delimiter or a quote: set `files.quotes: true`.") from None

    def _csv(self, texts: Sequence[str]) -> str:
        buffer = io.StringIO()
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.files.quotes else csv.QUOTE_NONE
        writer = csv.writer(buffer, delimiter=self.files.delimiter, quoting=quoting, lineterminator="\n")
        writer.writerow(texts)
        return buffer.getvalue()

    def _text(self, name: str, value: Any) -> str:
        """A value as it stands in a raw file of the contract."""
        if value is None:
            return ""
        # before numbers: a bool of Python is an int as well
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (float, Decimal)):
            text = format(value, "f") if isinstance(value, Decimal) else repr(value)
            return text.replace(".", self.files.decimal)
        if isinstance(value, dt.date):
            column = self.columns[name]
            plain = column.type not in ("date", "timestamp")
            return str(value) if plain else value.strftime(column.strptime)
        return plain_text(value)

    def _write(self, folder: Path, result: CursorResult[Any], tell: Callable[[int], None]) -> None:
        """Write the rows into their files, the lines of each sorted: the order of a database's answer is no matter."""
        columns = self._positions([*result.keys()])
        key = [*result.keys()].index(self.key)
        held: Lines = {}
        size = 0
        for number, row in enumerate(result, 1):
            line = self._line(row, columns)
            held.setdefault(self._file(row[key]), []).append(line)
            size += len(line)
            # a day may be larger than the memory: what was gathered is appended, and sorted file by file in the end
            if size > MOST_HELD:
                self._append(folder, held)
                held, size = {}, 0
            if number % FETCH == 0:
                tell(number)
        self._append(folder, held)
        header = "" if self.files.header == "none" else self._csv([self.columns[name].header(name) for name in columns])
        for path in folder.iterdir():
            with path.open(encoding=self.files.encoding, newline="") as file:
                lines = sorted(file)
            with path.open("w", encoding=self.files.encoding, newline="") as file:
                file.writelines([header, *lines])

    def _append(self, folder: Path, held: Lines) -> None:
        for name, lines in held.items():
            with (folder / name).open("a", encoding=self.files.encoding, newline="") as file:
                file.writelines(lines)


def plain_text(value: Any) -> str:
    """A value that is no number and no date: bytes as PostgreSQL shows them, documents and arrays as JSON."""
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=_element)
    return str(value)


def _element(value: Any) -> str | float:
    return float(value) if isinstance(value, Decimal) else plain_text(value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _staging(root: Place) -> Iterator[Path]:
    """A folder of this machine to write files in before they are landed: on the disk where they shall lie, if any."""
    if isinstance(root, Path):
        root.mkdir(parents=True, exist_ok=True)
    # names that begin with a point are no data, should a killed run leave one behind
    with TemporaryDirectory(prefix=".landing-", dir=root if isinstance(root, Path) else None) as folder:
        yield Path(folder)


def _replace(folder: Place, staged: Path, suffix: str) -> None:
    """Make the place of a day hold what was staged; files that are the same keep their time."""
    folder.mkdir(parents=True, exist_ok=True)
    existing = {path.name for path in folder.iterdir()}

    def land(path: Path) -> str:
        there, content = folder / path.name, path.read_bytes()
        # a file that is written again has a new time, for which its shard would be read again
        if path.name not in existing or there.read_bytes() != content:
            places.write_whole(there, content)
        return path.name

    # new files come before old ones go: a day that is cut short here lists too much, and is landed again
    names = set(places.side_by_side(folder, land, staged.iterdir()))
    places.remove(folder, sorted(name for name in existing - names if name.endswith(suffix)))
