"""What a class must look like that answers with further columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    import pyarrow as pa


class EnrichmentError(MlopsError):
    """An enrichment cannot be asked, and asking again does not mend it; raised for every key, it stops the day."""


class NoAnswer(Exception):
    """One request failed.

    Parameters
    ----------
    reason
        Why, in words that hold no key and no secret.
    again
        Whether asking again may help.
    after
        Seconds that the other side asks to wait.
    """

    def __init__(self, reason: str, *, again: bool = True, after: float = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.after = after


class Fetcher(Protocol):
    """Answers for keys."""

    def fetch(self, keys: pa.Table, day: str) -> pa.Table | Sequence[dict[str, Any]]:
        """What is known of some keys on a day.

        Parameters
        ----------
        keys
            Distinct keys, a column for each of `keys` in the configuration; none is null.
        day
            The day, `YYYY-MM-DD`: nothing that became known later may be told.

        Returns
        -------
        pyarrow.Table or list of dict
            The keys and the configured columns, at most one row a key, in any order. A key that is left out has no
            answer; one whose columns are null has the answer that nothing is known.

        Raises
        ------
        NoAnswer
            If it could not be asked; so does any other error, which is tried again. What fails for several keys is
            asked for in halves, down to those that are to blame.
        EnrichmentError
            If there is no use in asking again.
        """
        ...
