"""In: a published day of a table. Out: the same at a target, and a record in the lake of what was brought there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.deliver.contents import publication_of, published_or_refused, read_contents
from mlops_assets.plugins.targets import Target, TargetDown, TargetError
from mlops_assets.storage.accounting import DeliveryRecord
from mlops_assets.storage.catalog import PROBABILITIES, Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase, as_written
from mlops_assets.work.shards import fingerprint

AGAIN_TAG = "mlops_assets/deliver_again"
"""Tag of a run that delivers what the target has already."""


class Deliveries:
    """What is known of each day at a target.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables.
    target
        Name of the target.

    Attributes
    ----------
    table
        The table that it gets.
    configuration
        Fingerprint of what the configuration says of it.
    """

    def __init__(self, use_case: UseCase, lake: Lake, target: str) -> None:
        self.target = target
        given = use_case.targets[target]
        written = as_written(given.parameters, use_case.at("targets", target, "parameters"))
        # only where it is asked for: what was delivered before there was a choice is not delivered again
        further = [PROBABILITIES.name] if given.probabilities else []
        further += [given.table] if given.table != Lake.predictions.name else []
        self.configuration = fingerprint(given.use, written, *further)
        self.table = given.table
        self._lake = lake

    def published(self, day: str) -> Published[Any] | None:
        """How the table that the target gets is published of a day now, or None."""
        return self._lake.table(self.table).days().get(day)

    def read(self, day: str) -> DeliveryRecord | None:
        """What is known of a day, or None."""
        path = self._lake.delivery(self.target, day)
        return DeliveryRecord.from_json(read_json(path)) if path.exists() else None

    def write(self, record: DeliveryRecord) -> None:
        """Keep what is known of a day."""
        write_json(self._lake.delivery(self.target, record.day), record.to_json())

    def attempt(self, day: str, publication: str) -> int:
        """The how-manieth delivery of this publication to the target as it is configured now the next one is."""
        last = self.read(day)
        if last is None or (last.publication, last.configuration) != (publication, self.configuration):
            return 1
        return last.attempt + 1

    def must_write(self, day: str, publication: str) -> bool:
        """Whether a target that has this publication is to be given it all the same.

        It was brought as the target was configured then, such as with fewer columns, or a delivery that was to do so
        broke off.
        """
        last = self.read(day)
        if last is None or last.publication != publication:
            return False
        return last.configuration != self.configuration or (last.again and not last.done)

    def has(self, day: str, published: Published[Any]) -> bool:
        """Whether the day as it is published now is at the target as it is configured now."""
        record = self.read(day)
        # as it is configured, too: what was moved elsewhere has nothing yet
        wanted = (True, publication_of(published), self.configuration)
        return record is not None and (record.done, record.publication, record.configuration) == wanted


def deliver_day(
    use_case: UseCase,
    lake: Lake,
    day: str,
    name: str,
    target: Target,
    tell: Callable[[int], None] = lambda _: None,
    run: str = "",
    *,
    again: bool = False,
) -> DeliveryRecord | None:
    """Bring what is published of a day to a target, unless it is there.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables.
    day
        The day.
    name, target
        The target, and its name in the configuration.
    tell
        Is told how many rows were delivered so far.
    run
        The Dagster run that delivers.
    again
        Whether to deliver though it is there.

    Returns
    -------
    DeliveryRecord or None
        What was delivered; None if the target had it.

    Raises
    ------
    TargetDown
        If the target could not be reached, or the day was published again meanwhile: trying again may help.
    TargetError
        If the target refused.
    MlopsError
        If the day is not published.
    """
    published = published_or_refused(use_case, lake, day, name)
    records = Deliveries(use_case, lake, name)
    if not again and records.has(day, published):
        return None
    # what is published now is fixed here: a later publication is another delivery
    contents = read_contents(use_case, lake, day, name, published, tell)
    again = again or records.must_write(day, contents.publication)
    delivery = replace(contents, again=again, attempt=records.attempt(day, contents.publication))
    begun = DeliveryRecord(
        day=day,
        publication=delivery.publication,
        configuration=records.configuration,
        done=False,
        rows=delivery.rows,
        model_version=delivery.model_version,
        guarantee=target.guarantee(),
        when=_now(),
        run=run,
        told={},
        attempt=delivery.attempt,
        again=again,
    )
    # written before the target is touched: a run that is killed must not leave a day that looks delivered
    records.write(begun)
    try:
        report = dict(target.deliver(delivery))
    except MlopsError:
        raise
    except Exception as error:  # a class of a user's own: whatever it raises is told as its own
        kind = use_case.targets[name].use
        raise TargetError(f"{kind}.deliver failed: {type(error).__name__}: {error}") from error
    record = records.read(day)
    if record is not None and record.publication != begun.publication:
        # another run delivers another publication of the day: nobody knows whose rows lie there now
        records.write(begun)
        raise TargetDown(f"another run delivered {day} at the same time; the newest publication is delivered next")
    done = replace(begun, done=True, when=_now(), told=json.loads(redacted(json.dumps(report, default=str))))
    records.write(done)
    return done


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
