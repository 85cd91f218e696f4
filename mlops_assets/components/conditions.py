"""The checks of the daily assets as Dagster draws them: what each asks, with its threshold, for every day by itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import dagster as dg

from mlops_assets.components.days import daily_partitions
from mlops_assets.journey.score.checks import EMPTY, EVERY_DAY_DELIVERED, EVERY_KEY_ANSWERED
from mlops_assets.monitoring.stopping import STOP_CHECK
from mlops_assets.use_case import UseCase
from mlops_assets.views.numbers import percent

KEEPS = "The predictions of a day that fails it are not published."


def check_specs(
    use_case: UseCase, asset: dg.AssetKey, names: Sequence[str], *, blocking: bool = False
) -> list[dg.AssetCheckSpec]:
    """The checks of an asset; they have its partitions, so that each day has a result of its own.

    Parameters
    ----------
    use_case, asset
        Whose checks they are.
    names
        Their names.
    blocking
        Whether a day that fails one is not made.
    """
    with warnings.catch_warnings():
        # partitions of checks are marked as a preview, which is ours to know and nobody's to read at each start
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name,
                asset=asset,
                description=asked(use_case, name),
                blocking=blocking,
                partitions_def=daily_partitions(use_case),
            )
            for name in names
        ]


def asked(use_case: UseCase, name: str) -> str:
    """What a check asks of a day, as a sentence with its threshold."""
    checks, every = use_case.checks, use_case.partitions.every
    unseen = [f"{percent(share)} of the rows in `{column}`" for column, share in checks.unseen_share.items()]
    noticed = [f"{what} {percent(share)}" for what, share in checks.noticed.items()]
    missing = [f"{one} {percent(given.most_missing)}" for one, given in use_case.enrichments.items()]
    sentences = {
        EVERY_DAY_DELIVERED: f"Every {every} of the run has a folder of raw files.",
        "accounting_adds_up": f"Files read and refused are all files, rows and rejected lines all lines. {KEEPS}",
        EMPTY: f"At least one row is good. {KEEPS}",
        "reject_rate": f"At most {percent(checks.reject_rate)} of the lines are rejected. {KEEPS}",
        "quarantine_rate": f"At most {percent(checks.quarantine_rate)} of the files are refused. {KEEPS}",
        "noticed": f"What is noticed on reading keeps within its limits: {_listed(noticed)}. {KEEPS}",
        "rows_are_current": f"The rows were read from the files that were listed last. {KEEPS}",
        "every_row_predicted": (
            f"Every row has a prediction; SQL or model may fail on at most {percent(checks.sql_rejects)} of the rows. "
            f"{KEEPS}"
        ),
        "unseen_categories": (
            f"At most so many values were never seen in training: {_listed(unseen)}; of other columns any. {KEEPS}"
        ),
        "enrichments_are_current": f"The rows were enriched as they are now. {KEEPS}",
        "enrichment_missing": f"At most so many rows have no answer of an enrichment: {_listed(missing)}. {KEEPS}",
        EVERY_KEY_ANSWERED: "Every key has an answer of today from the enrichment: none is missing or the last known.",
        STOP_CHECK: f"No lamp of the {every} is red, or somebody accepted that (`drift.stop`). {KEEPS}",
    }
    return sentences[name]


def _listed(limits: Sequence[str]) -> str:
    return ", ".join(limits) or "no limit is set"
