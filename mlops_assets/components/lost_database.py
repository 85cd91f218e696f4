"""A step that failed because Dagster's database was away is tried again, as a lost process is.

Dagster tells the two kinds of failure apart by whether a step said why it failed. Here the step did nothing wrong, and
its word is that of the database: so the run asks for what a lost process gets, by a tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from mlops_assets.components.private import RETRY_ON_ASSET_OR_OP_FAILURE_TAG, SerializableErrorInfo

LOST = ("OperationalError", "InterfaceError", "DagsterPostgresException")
"""What SQLAlchemy and Dagster say of a database that is gone in the middle of a statement, or does not come back."""

STORAGE = ("dagster/_core/storage/", "dagster_postgres/")
"""Where Dagster asks its own database; that of a source or a target is told by its step, and is no matter of ours."""


def _ask_for_a_retry(context: dg.HookContext, events: Sequence[dg.DagsterEvent]) -> dg.HookExecutionResult:
    lost = any(event.is_step_failure and is_lost(event.step_failure_data.error) for event in events)
    if lost:
        context.log.warning("Dagster's database was away: the step did nothing wrong, so the run may be tried again.")
        context.instance.add_run_tags(context.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "true"})
    return dg.HookExecutionResult(hook_name="retry_after_lost_database", is_skipped=not lost)


retry_after_lost_database = dg.HookDefinition(name="retry_after_lost_database", hook_fn=_ask_for_a_retry)


def is_lost(error: SerializableErrorInfo | None) -> bool:
    """Whether a step failed since Dagster's own database was away.

    Parameters
    ----------
    error
        What the step failed with.
    """
    for one in _chain(error):
        asked = any(place in line for line in one.stack for place in STORAGE)
        if one.cls_name in LOST and asked:
            return True
    return False


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """An error, what caused it, and what caused that."""
    while error is not None:
        yield error
        error = error.cause
