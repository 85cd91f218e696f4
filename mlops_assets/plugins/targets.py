"""What a class must look like that takes published predictions to where they are wanted."""

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
    """The published predictions of a day on their way to a target; they stay what they are while it lasts.

    Attributes
    ----------
    use_case, target, day
        Whose predictions, the target's name in the configuration, and the day.
    publication
        Names this content of the day: a day that is published again has another one.
    published
        When it was published, in milliseconds since 1970: of two publications, the greater is the newer.
    model_version
        The version that made them.
    rows
        How many there are.
    schema
        Columns of the batches: `day`, `file`, `line`, `account_id`, `prediction`, `probability`, `model_version`; and
        `probabilities`, a map of class and probability, where the target is configured to get it. With
        `task: regression`, `prediction` is a number, with `low` and `high`, the ends of its interval, in the place of
        `probability`.
    batches
        Reads them, a batch at a time; may be called more than once.
    shards
        Reads the rows of the input files with their predictions, a shard at a time: name of the shard, and its table;
        with a column `probability_CLASS` for each class, where the target is configured to get them.
    tell
        Is told now and then how many rows are there so far.
    again
        Whether it was asked for though the target may have it.
    classes
        The classes whose probabilities come; none where the target is not configured to get them.
    numbers
        The accounting of the day: whole numbers by their names.
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


class Target(Protocol):
    """Takes the predictions of a day; what it had of that day before is replaced."""

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
