"""In: published predictions of a day. Out: the same at a target, and a record in the lake of what was brought there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from mlops_assets.errors import LakeError, MlopsError
from mlops_assets.errors.redaction import redacted
from mlops_assets.journey.score.unpredicted import left_out, without
from mlops_assets.journey.score.vectors import as_columns, as_maps, classes_of, stored_schema
from mlops_assets.plugins.targets import Delivery, Target, TargetDown, TargetError
from mlops_assets.storage.accounting import DeliveryRecord, PredictionsAccounting
from mlops_assets.storage.catalog import PROBABILITIES, Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.storage.parts import Part
from mlops_assets.storage.tables import Published
from mlops_assets.use_case import UseCase, as_written
from mlops_assets.work.shards import fingerprint, shard_number

AGAIN_TAG = "mlops_assets/deliver_again"
"""Tag of a run that delivers what the target has already."""

INPUT = "input_"
"""Put before a column of an input file that has the name of a column of the predictions."""


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
    """

    def __init__(self, use_case: UseCase, lake: Lake, target: str) -> None:
        self.target = target
        given = use_case.targets[target]
        written = as_written(given.parameters, use_case.at("targets", target, "parameters"))
        # only where it is asked for: what was delivered before there was a choice is not delivered again
        further = [PROBABILITIES.name] if given.probabilities else []
        self.configuration = fingerprint(given.use, written, *further)
        self._lake = lake

    def read(self, day: str) -> DeliveryRecord | None:
        """What is known of a day, or None."""
        path = self._lake.delivery(self.target, day)
        return DeliveryRecord.from_json(read_json(path)) if path.exists() else None

    def write(self, record: DeliveryRecord) -> None:
        """Keep what is known of a day."""
        write_json(self._lake.delivery(self.target, record.day), record.to_json())

    def has(self, day: str, published: Published[PredictionsAccounting]) -> bool:
        """Whether the day as it is published now is at the target as it is configured now."""
        record = self.read(day)
        # as it is configured, too: what was moved elsewhere has nothing yet
        wanted = (True, publication_of(published), self.configuration)
        return record is not None and (record.done, record.publication, record.configuration) == wanted


def publication_of(published: Published[Any]) -> str:
    """A name for the content of a published day: no other publication has it, even of a lake that was made anew."""
    return f"{published.version}-{published.time}"


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
    """Bring the published predictions of a day to a target, unless they are there.

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
        Whether to deliver though they are there.

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
    published = lake.predictions.days().get(day)
    if published is None:
        raise MlopsError(f"no predictions of {day} are published, so there is nothing to deliver")
    records = Deliveries(use_case, lake, name)
    if not again and records.has(day, published):
        return None
    # what is published now is fixed here: a later publication is another delivery
    delivery = replace(read_delivery(use_case, lake, day, name, published, tell), again=again)
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


def read_delivery(
    use_case: UseCase,
    lake: Lake,
    day: str,
    name: str,
    published: Published[PredictionsAccounting],
    tell: Callable[[int], None],
) -> Delivery:
    """The predictions of a day as they were published once, for a target."""
    predictions = lake.predictions
    parts = sorted(predictions.parts_at(day, published), key=lambda part: part.path)
    usual = ["day", *stored_schema(predictions).names]
    classes: tuple[str, ...] = ()
    if use_case.targets[name].probabilities:
        classes = classes_of(use_case.name, day, published.accounting)

    def batches() -> Iterator[pa.RecordBatch]:
        columns = [*usual, PROBABILITIES.name] if classes else usual
        reader = predictions.read_parts(parts, columns)
        return (_named(batch, classes) for batch in reader) if classes else iter(reader)

    schema = predictions.read_parts([], usual).schema
    if classes:
        schema = schema.append(pa.field(PROBABILITIES.name, pa.map_(pa.string(), pa.float32())))
    return Delivery(
        use_case=use_case.name,
        target=name,
        day=day,
        publication=publication_of(published),
        published=published.time,
        model_version=published.accounting.model_version,
        rows=published.accounting.predictions,
        schema=schema,
        batches=batches,
        shards=partial(_shards, use_case, lake, day, published, parts, classes),
        tell=tell,
        classes=classes,
        numbers=published.accounting.numbers(),
    )


def _named(batch: pa.RecordBatch, classes: Sequence[str]) -> pa.RecordBatch:
    """Predictions whose probabilities have the names of their classes."""
    position = batch.schema.get_field_index(PROBABILITIES.name)
    return batch.set_column(position, PROBABILITIES.name, as_maps(batch.column(position), classes))


def _shards(
    use_case: UseCase,
    lake: Lake,
    day: str,
    published: Published[PredictionsAccounting],
    parts: list[Part],
    classes: Sequence[str],
) -> Iterator[tuple[str, pa.Table]]:
    """The rows that were scored, with their predictions, a shard at a time."""
    version = published.accounting.rows_version
    scored = next(
        (publication for publication in lake.rows.publications().get(day, []) if publication.version == version), None
    )
    if scored is None:
        raise LakeError(f"rows of {day}: those that were scored are not known any more; run the day again.")
    read = {shard_number(part.path): part for part in lake.rows.parts_at(day, scored)}
    for part in parts:
        stem = part.path.rpartition("/")[2].removesuffix(".parquet")
        yield stem, _side_by_side(use_case, lake, read[shard_number(part.path)], part, classes)


def _side_by_side(use_case: UseCase, lake: Lake, rows: Part, predictions: Part, classes: Sequence[str]) -> pa.Table:
    """The columns of a shard's files and what was said of each of their rows."""
    further = [PROBABILITIES.name] if classes else []
    usual = stored_schema(lake.predictions).names
    answers = lake.predictions.read_parts([predictions], [*usual, *further]).read_all()
    every = lake.rows.read_parts([rows], ["file", "line", *use_case.columns]).read_all()
    given = without(every, left_out(lake, predictions.path))
    # both keep the order of the files; where they do not, a prediction would be sent with somebody else's row
    if not (answers["file"].equals(given["file"]) and answers["line"].equals(given["line"])):
        raise LakeError(f"{predictions.path}: its rows are not those of the shard; run the day again.")
    said = {name: answers[name] for name in usual if name not in ("file", "line", "account_id")}
    if classes:
        said |= as_columns(answers[PROBABILITIES.name].combine_chunks(), classes)
    columns = {"file": given["file"], "line": given["line"]}
    taken = {"day", *usual, *said}
    columns |= {(INPUT + name if name in taken else name): given[name] for name in use_case.columns}
    return pa.table({**columns, **said})


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
