"""What a class must look like that takes published days to where they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    import pyarrow as pa

Guarantee = Literal["exactly once", "at least once"]


class TargetError(MlopsError):
    """A target refuses a delivery, and will do so again until somebody mends the cause; it is not tried again."""


class TargetDown(TargetError):
    """A target cannot be reached, or broke off; the delivery is tried again."""


@dataclass(frozen=True)
class Delivery:
    """What is published of a day in one table, on its way to a target; it stays what it is while that lasts.

    Attributes
    ----------
    use_case, target, day
        Whose it is, the target's name in the configuration, and the day.
    publication
        Names this content of the day: a day that is published again has another one.
    published
        When it was published, in milliseconds since 1970: of two publications, the greater is the newer.
    model_version
        The version that made the predictions; 0 of any other table.
    rows
        How many there are.
    schema
        Columns of the batches. Of predictions: `day`, `file`, `line`, `account_id`, `prediction`, `probability`,
        `model_version`; and `probabilities`, a map of class and probability, where the target is configured to get it.
        With `task: regression`, `prediction` is a number, with `low` and `high`, the ends of its interval, in the place
        of `probability`.
        Of other tables: `day` and the columns of the table.
    batches
        Reads them, a batch at a time; may be called more than once.
    shards
        Reads the table, a shard at a time: name of the shard, and its rows without `day`. Predictions come with the
        rows of the input files, and with a column `probability_CLASS` for each class, where the target is configured
        to get them.
    tell
        Is told now and then how many rows are there so far.
    again
        Whether it was asked for though the target may have it.
    classes
        The classes whose probabilities come; none where the target is not configured to get them.
    numbers
        The accounting of the day: whole numbers by their names.
    table
        `predictions`, `rows`, `rejects` or `features`.
    key
        The columns that name a row. The `line` of a file that was refused as a whole is null.
    grouped_by
        The column whose rows belong together: the account, or else the file.
    attempt
        1 for the first delivery of this publication, counted up whenever it is begun again.
    """

    use_case: str
    target: str
    day: str
    publication: str
    published: int
    model_version: int
    rows: int
    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]
    shards: Callable[[], Iterator[tuple[str, pa.Table]]]
    tell: Callable[[int], None]
    again: bool = False
    classes: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    table: str = "predictions"
    key: tuple[str, ...] = ("day", "file", "line")
    grouped_by: str = "account_id"
    attempt: int = 1


class Target(Protocol):
    """Takes what is published of a day; what it had of that day before is replaced."""

    def guarantee(self) -> Guarantee:
        """What holds if a process is killed in the middle and the delivery begun again."""
        ...

    def deliver(self, delivery: Delivery) -> Mapping[str, Any]:
        """Bring the day to the target, and return what people should know of it, such as where it lies.

        Raises
        ------
        TargetDown
            If it may help to try again.
        TargetError
            If it will not.
        """
        ...
