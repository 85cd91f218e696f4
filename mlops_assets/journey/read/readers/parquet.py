"""Parquet. In: the bytes of a file. Out: its rows as texts; fields of a struct are columns `outer.inner`.

Only the columns of the contract are read, texts as dictionaries, so that what is written once is in memory once. Each
distinct value becomes a text: numbers with all their digits, dates and moments as the contract writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.journey.read.readers.alike import Joined
from mlops_assets.journey.read.readers.formats import BadRow, FileRows, Raws
from mlops_assets.journey.read.readers.names import Names, Settled
from mlops_assets.journey.read.readers.pack import TEXT
from mlops_assets.journey.read.readers.typed import NotText, as_texts, as_typed
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase

MAGIC, ENCRYPTED = b"PAR1", b"PARE"

TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)
"""The types that are read as dictionaries."""

DEEPEST = 32
"""Structs within structs that are looked into."""


class ParquetFiles:
    """Parquet files.

    Parameters
    ----------
    use_case
        Its `columns` are columns of the file; `from: outer.inner` is a field of a struct.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._use_case = use_case
        self._names = Names(use_case)
        self._texts: list[str] = []

    def read(self, data: bytes) -> FileRows:
        """The rows of a file; see `Format`."""
        rows, settled, table = self._table(data)
        columns, unfit = self._columns(table)
        bad = [BadRow(at + 1, "text", f"{header!r} holds NUL, which no text may") for at, header in unfit.items()]
        line = np.arange(1, len(table) + 1, dtype=np.int32)
        if bad:
            keep = ~np.isin(line, [one.line for one in bad])
            line = line[keep]
            columns = {name: column.filter(pa.array(keep)) for name, column in columns.items()}
        return FileRows({**columns}, line, rows, bad, settled=settled)

    def join(self, contents: Mapping[int, bytes]) -> Iterator[Joined]:
        """The rows of files whose columns have the same types, with no unfit text; see `Format`."""
        alike: dict[tuple[str, Settled], dict[int, pa.Table]] = {}
        for number, data in contents.items():
            try:
                rows, settled, table = self._table(data)
            except FileRefused:
                continue
            if rows == len(table) > 0:
                alike.setdefault((repr(table.schema), settled), {})[number] = table.replace_schema_metadata()
        for (_, settled), tables in alike.items():
            try:
                columns, unfit = self._columns(pa.concat_tables(tables.values()))
            except FileRefused:
                continue
            if not unfit:
                yield Joined({number: len(table) for number, table in tables.items()}, {**columns}, settled)

    def _table(self, data: bytes) -> tuple[int, Settled, pa.Table]:
        """How many rows a file says to have, what there is to say of its names, and its columns of the contract.

        Raises
        ------
        FileRefused
            If it is no use as a whole.
        """
        with _damage_told(), self._open(data) as file:
            headers = [name for name, _ in leaves_of(file.schema_arrow)]
            twice = next((name for name in headers if headers.count(name) > 1), None) if _many(headers) else None
            if twice is not None:
                raise FileRefused("header", f"the file names the column {twice!r} twice")
            settled = self._names.settle(headers)
            wanted = [header for header in headers if header in self._names.columns]
            self._check_size(file, wanted)
            return file.metadata.num_rows, settled, _flat(file.read(columns=wanted, use_threads=False))

    def _open(self, data: bytes) -> pq.ParquetFile:
        """A file with its texts as dictionaries: what is written once, and named a million times, is there once.

        Which columns are texts its footer says; most files of a day have those of the file before.
        """
        try:
            file = _open(data, self._texts)
        except KeyError:
            file = _open(data)
        kinds = leaves_of(file.schema_arrow)
        if any(_is_text(kind) for _, kind in kinds):
            file.close()
            self._texts = [name for name, kind in kinds if _is_text(kind) or pa.types.is_dictionary(kind)]
            file = _open(data, self._texts)
        return file

    def _check_size(self, file: pq.ParquetFile, wanted: Sequence[str]) -> None:
        """See by the footer that a file does not become too large: a column of one value is a few bytes.

        Raises
        ------
        FileRefused
            If it does, or the footer contradicts itself.
        """
        metadata, largest = file.metadata, self._use_case.files.largest
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        if sum(group.num_rows for group in groups) != metadata.num_rows:
            raise FileRefused(
                "accounting", f"the footer says {metadata.num_rows:,} rows, its row groups another number"
            )
        size = sum(group.total_byte_size for group in groups)
        # as text, a value has one byte at least
        if metadata.num_rows * max(1, len(wanted)) > largest or size > largest:
            what = f"{metadata.num_rows:,} rows of {len(wanted)} columns, {size:,} bytes unpacked"
            raise FileRefused("too_large", f"{what}, allowed {largest:,} (`files.largest`)")

    def _columns(self, table: pa.Table) -> tuple[dict[str, pa.DictionaryArray], dict[int, str]]:
        """The text of every column, and by place the rows with a text that cannot be stored.

        Raises
        ------
        FileRefused
            If a column has a type that has no texts.
        """
        columns: dict[str, pa.DictionaryArray] = {}
        unfit: dict[int, str] = {}
        with _damage_told():
            for header in table.column_names:
                name = self._names.columns.get(header)
                if name is None:  # beside a field of a struct
                    continue
                column = table.column(header)
                try:
                    columns[name] = texts = as_texts(column, self._use_case.columns[name], self._use_case.files)
                except NotText as error:
                    raise FileRefused("schema", f"{header!r} is {error}") from None
                odd = pc.match_substring(texts.dictionary, "\0").to_numpy(zero_copy_only=False)
                if odd.any():
                    unfit |= dict.fromkeys(np.flatnonzero(odd.take(texts.indices.to_numpy())).tolist(), header)
        return columns, unfit

    def raws(self, data: bytes) -> Raws:
        """The records of a file as JSON objects of texts, for a record of Parquet is none; see `Format`."""
        columns, _ = self._columns(self._table(data)[2])
        headers = {name: header for header, name in self._names.columns.items()}

        def raw(line: int) -> str:
            texts = {headers[name]: column[line - 1].as_py() for name, column in columns.items()}
            return json.dumps(texts, ensure_ascii=False)

        return raw

    def start(self, data: bytes) -> str:  # noqa: ARG002 - see `Format`
        """Nothing that could be read by people."""
        return ""

    def write(self, rows: Sequence[Mapping[str, str]]) -> bytes:
        """A file of some rows; columns whose texts are all of their type get it."""
        given = [name for name in self._use_case.columns if any(name in row for row in rows)]
        arrays = {}
        for name in given:
            column = self._use_case.columns[name]
            try:
                text = pa.array([row.get(name, "") for row in rows], pa.string()).dictionary_encode().cast(TEXT)
            except UnicodeEncodeError:
                raise FileRefused("text", f"{name!r} holds half of a surrogate pair, which no text may") from None
            arrays[column.header(name)] = as_typed(text, column, self._use_case.files)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(arrays), sink, compression="zstd")
        return bytes(sink.getvalue())

    def rebuild(self, raws: Sequence[str]) -> bytes:
        """A file of some records, each a JSON object of texts; its columns are all texts."""
        headers = [*self._names.columns]
        records = [_record(raw) for raw in raws]
        given = [header for header in headers if any(header in record for record in records)]
        columns = {
            header: pa.array([record.get(header) or None for record in records], pa.string()) for header in given
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        return bytes(sink.getvalue())


@contextmanager
def _damage_told() -> Iterator[None]:
    """What Arrow says of a file that it cannot read, as a refusal."""
    try:
        yield
    except MemoryError:  # no fault of the file, see `RecordsReader`
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise FileRefused("not_parquet", f"the file is damaged: {_first(error)}") from None


def _record(raw: str) -> dict[str, str | None]:
    try:
        record = json.loads(raw)
        if isinstance(record, dict) and all(isinstance(value, str | None) for value in record.values()):
            return record
    except (ValueError, RecursionError):
        pass
    raise FileRefused("not_json", "the record is no JSON object of texts, as the reject has it")


def _open(data: bytes, texts: Sequence[str] = ()) -> pq.ParquetFile:
    """A file, its texts read as dictionaries.

    Raises
    ------
    FileRefused
        If it is empty, encrypted, cut off or something else.
    """
    if not data:
        raise FileRefused("empty_file", "the file is empty")
    if data.startswith(ENCRYPTED) or data.endswith(ENCRYPTED):
        raise FileRefused("encrypted", "the file is encrypted, and no key is known: deliver it without encryption")
    if not data.startswith(MAGIC):
        raise FileRefused("not_parquet", "the file does not begin like Parquet")
    if not data.endswith(MAGIC):
        raise FileRefused("truncated", "the file does not end like Parquet: cut off?")
    # moments of Spark and Impala lie beyond what nanoseconds can be counted in, and would come out as others
    return pq.ParquetFile(
        pa.BufferReader(data),
        read_dictionary=list(texts),
        coerce_int96_timestamp_unit="us",
        page_checksum_verification=True,
    )


def leaves_of(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """The columns of a file by their names, those within structs as `outer.inner`."""

    def leaves(name: str, kind: pa.DataType, deeper: int) -> Iterator[tuple[str, pa.DataType]]:
        if pa.types.is_struct(kind) and deeper:
            for part in kind:
                yield from leaves(f"{name}.{part.name}", part.type, deeper - 1)
        else:
            yield name, kind

    return [leaf for column in schema for leaf in leaves(column.name, column.type, DEEPEST)]


def _many(headers: Sequence[str]) -> bool:
    return len(set(headers)) < len(headers)


def _is_text(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in TEXTS)


def _flat(table: pa.Table) -> pa.Table:
    for _ in range(DEEPEST):
        if not any(pa.types.is_struct(column.type) for column in table.schema):
            break
        table = table.flatten()
    return table


def _first(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
