"""In: a table of Arrow, or plain records. Out: a frame of pandas or of Polars, whichever is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union

import pyarrow as pa

from mlops_assets.errors import UsageError
from mlops_assets.plugins.loading import what_brings

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Library = Literal["pandas", "polars"]
"""What makes the frames."""

Frame: TypeAlias = Union["pd.DataFrame", "pl.DataFrame"]
"""A frame of the library that was asked for."""


def frame_of(table: pa.Table, library: Library) -> Frame:
    """A table as a frame; texts are plain ones, so that frames of different days can be joined.

    Parameters
    ----------
    table
        The table.
    library
        `pandas` or `polars`.

    Raises
    ------
    UsageError
        If it is neither, or Polars is not installed.
    """
    see_library(library)
    plain = plain_table(table)
    if library == "pandas":
        filled: pd.DataFrame = plain.to_pandas(date_as_object=False)
        return filled
    import polars as pl

    made = pl.from_arrow(plain)
    assert isinstance(made, pl.DataFrame), "a table has columns"  # noqa: S101 - only an array would become a Series
    return made


def frame_of_records(records: Iterable[Mapping[str, Any]], library: Library, columns: Iterable[str] = ()) -> Frame:
    """Records as a frame.

    Parameters
    ----------
    records
        The lines.
    library
        As of `frame_of`.
    columns
        The columns, where there may be no line at all or one may lack some; those of the records come behind them.
    """
    see_library(library)
    lines = [*records]
    names = [*dict.fromkeys([*columns, *(name for line in lines for name in line)])]
    whole = {name: [line.get(name) for line in lines] for name in names}
    if library == "pandas":
        import pandas as pd

        return pd.DataFrame(whole, columns=pd.Index(names))
    import polars as pl

    return pl.DataFrame(whole, strict=False)


def see_library(library: str) -> None:
    """See that frames of a library can be made, before anything is read for them.

    Raises
    ------
    UsageError
        If they cannot.
    """
    if library == "pandas":
        return
    if library != "polars":
        raise UsageError(f"frame={library!r}: say 'pandas' or 'polars'.")
    try:
        import polars  # noqa: F401 - whether it is there
    except ImportError as error:
        raise UsageError(f"frame='polars': Polars is not installed; {what_brings(error)}.") from None


def plain_table(table: pa.Table) -> pa.Table:
    """A table whose texts are plain ones, and no codes: those of one day are not those of another."""
    plain = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema([*zip(table.column_names, plain, strict=True)]))
