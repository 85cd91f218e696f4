"""In: the names that the records of a file have. Out: which columns of the contract they are, or why they are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from mlops_assets.journey.read.readers.header import near_miss
from mlops_assets.plugins import FileRefused
from mlops_assets.use_case import UseCase

SHOWN = 5
"""Columns that are named where they are missing."""

MOST_OTHERS = 1_000
"""Further names of a file that are compared with those that it should have."""


class Settled(NamedTuple):
    """What there is to say of the names in a file.

    Attributes
    ----------
    absent
        Columns of the contract that no record has; they may be absent.
    misnamed
        What stands there that is nearly the name of a column, in words; or an empty text.
    """

    absent: tuple[str, ...] = ()
    misnamed: str = ""


class Names:
    """The names that values of a use case have in records: keys, paths or columns.

    Parameters
    ----------
    use_case
        Its `columns` say them.
    """

    def __init__(self, use_case: UseCase) -> None:
        self.columns = {column.header(name): name for name, column in use_case.columns.items()}
        self._optional = frozenset(use_case.optional_columns)

    def settle(self, seen: Collection[str]) -> Settled:
        """See that a file has the columns that it must have, in at least one record.

        Parameters
        ----------
        seen
            Every name that a record of the file has.

        Raises
        ------
        FileRefused
            If it lacks one.
        """
        absent = [header for header in self.columns if header not in seen]
        others = [*islice((name for name in seen if name not in self.columns), MOST_OTHERS)]
        missing = [header for header in absent if self.columns[header] not in self._optional]
        if missing:
            listed = ", ".join(_show(header, others) for header in missing[:SHOWN])
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise FileRefused("missing_column", f"no record has {listed}{more}; there are {_few(seen)}")
        # also where the right name stands in other records: the value would be passed over in silence
        near = {near_miss(header, others): header for header in self.columns} if others else {}
        misnamed = ", ".join(f"{name!r}, expected {header!r}" for name, header in near.items() if name)
        return Settled(tuple(self.columns[header] for header in absent), misnamed)


def _show(header: str, others: Collection[str]) -> str:
    near = near_miss(header, [*others])
    return f"{header!r} (is {near!r} that column?)" if near else repr(header)


def _few(seen: Iterable[str]) -> str:
    names = sorted(seen)
    shown = ", ".join(repr(name[:40]) for name in names[:SHOWN])
    return (shown + (", ..." if len(names) > SHOWN else "")) or "no names"
