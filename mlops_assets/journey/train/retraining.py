"""In: what people said since the last training, how the champion does, red days. Out: whether to train again, and why.

Only evidence that the last training has not seen counts. So a training that the gate refuses is not started again by
what started it: it takes new corrections, or as many newly audited rows that still tell of a drop.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mlops_assets.journey.feedback.audited import EVERYTHING, count_rows, together
from mlops_assets.journey.feedback.corrections import read_accepted, read_kept
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.train.records import GatheredRows
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Retraining, UseCase
from mlops_assets.work.shards import fingerprint_table


@dataclass(frozen=True)
class Evidence:
    """What speaks for a training.

    Attributes
    ----------
    corrections
        Accepted corrections that the last training did not see.
    audited, right
        Of these, the audited rows that the champion predicted, and how many of them it has right.
    evaluated
        The champion's accuracy on held-out rows, of numbers the share in their intervals; None without a champion.
    trained
        When the last training began; None if there was none.
    mark
        Fingerprint of all accepted corrections, of the last training, and of the red days since.
    red_days
        Days that are red, one after the other up to the newest, scored by the champion and published since.
    labelled
        The newest day that has labels, if it is in a later month than all that the last training learned; else empty.
    learned
        The last day that the last training learned.
    """

    corrections: int
    audited: int
    right: int
    evaluated: float | None
    trained: dt.datetime | None
    mark: str
    red_days: int = 0
    labelled: str = ""
    learned: str = ""


@dataclass(frozen=True)
class Decision:
    """Whether to train now, and why or why not, with the numbers."""

    train: bool
    why: str


def last_trained(runs: TrainingRuns) -> dt.datetime | None:
    """When the last training began; None if there was none."""
    last = runs.newest(GatheredRows)
    return dt.datetime.fromisoformat(last.made) if last and last.made else None


def gather(
    use_case: UseCase, lake: Lake, runs: TrainingRuns, champion: Version | None, red_days: Sequence[str] = ()
) -> Evidence:
    """Collect what speaks for a training.

    Parameters
    ----------
    use_case
        The use case.
    lake
        Its tables, with the corrections that were accepted last.
    runs
        Its trainings.
    champion
        The present champion.
    red_days
        Days that are red, one after the other, that it scored since the last training.
    """
    last = runs.newest(GatheredRows)
    accepted = read_accepted(lake)
    learned = read_kept(lake, last.training_set.feedback if last else "")
    new = _unseen(accepted, learned)
    # of the champion alone: what an earlier version got wrong is no reason to replace this one
    live = _audited(use_case, lake, new, champion.version) if champion else Counter[str]()
    made = last.made if last else None
    learned_up_to = last.training_set.days[1] if last else ""
    labelled = _labelled_since(lake, learned_up_to, last_trained(runs))
    return Evidence(
        corrections=len(new),
        audited=live["audited"],
        right=live["right audited"],
        evaluated=champion.about.metrics.get(use_case.training.right) if champion else None,
        trained=last_trained(runs),
        mark="-".join(filter(None, (str(made), fingerprint_table(accepted), max(red_days, default=""), labelled[:7]))),
        red_days=len(red_days),
        labelled=labelled,
        learned=learned_up_to,
    )


def _labelled_since(lake: Lake, learned: str, trained: dt.datetime | None) -> str:
    """The newest day most of whose rows have labels, if it came after a training that learned no day of its month."""
    since, newest = trained.timestamp() * 1000 if trained else 0, ""
    for day, published in lake.rows.days().items():
        # a day that was there and was not learned from, for it breaks its conditions, is no reason to try again
        if published.time > since and 2 * (published.accounting.labelled or 0) > published.accounting.rows:
            newest = max(newest, day)
    return newest if newest[:7] > learned[:7] else ""


def _unseen(accepted: pa.Table, learned: pa.Table) -> pa.Table:
    """The corrections that were not learned from; one that now says another label is new."""
    keys = ["day", "file", "line", "label"]
    seen = {tuple(row.values()) for row in learned.select(keys).to_pylist()}
    unseen = [tuple(row.values()) not in seen for row in accepted.select(keys).to_pylist()]
    return accepted.filter(pa.array(unseen, pa.bool_()))


def _audited(use_case: UseCase, lake: Lake, accepted: pa.Table, version: int) -> Counter[str]:
    """What people say of the audited rows of a version, over all days with feedback."""
    counted = count_rows(use_case, lake, accepted)
    return together(one for one in counted if (one.version, one.part) == (version, EVERYTHING))


def decide(retraining: Retraining, evidence: Evidence, last: dt.datetime | None, now: dt.datetime) -> Decision:
    """Whether what people said since the last training asks for another one.

    Parameters
    ----------
    retraining
        What the use case asks for.
    evidence
        What speaks for it.
    last
        When a training was started last, whatever became of it; None if never.
    now
        The time.
    """
    if evidence.trained is None:
        return Decision(False, "nothing was trained yet; start the first training by hand")
    verdicts = [*_enough_corrections(retraining, evidence), *_fallen(retraining, evidence)]
    verdicts += [*_red(retraining, evidence), *_labels(retraining, evidence)]
    causes = [verdict.why for verdict in verdicts if verdict.train]
    if not causes:
        against = "; ".join(verdict.why for verdict in verdicts)
        return Decision(False, against or "there is no champion whose accuracy could drop")
    # a training that failed left no record, only its start
    last = max(last or evidence.trained, evidence.trained)
    hours = (now - last).total_seconds() / 3600
    if hours < retraining.hours_between:
        causes.append(f"but {hours:.1f} of {retraining.hours_between:g} hours passed since the last training")
        return Decision(False, "; ".join(causes))
    return Decision(True, "; ".join(causes))


def _enough_corrections(retraining: Retraining, evidence: Evidence) -> Iterator[Decision]:
    """Whether there are as many new corrections as are asked for; nothing where none are."""
    if retraining.corrections is not None:
        why = f"{evidence.corrections} new corrections of {retraining.corrections} asked"
        yield Decision(evidence.corrections >= retraining.corrections, why)


def _red(retraining: Retraining, evidence: Evidence) -> Iterator[Decision]:
    """Whether as many days in a row are red as are asked for; nothing where none are."""
    if retraining.drift is not None:
        why = f"{evidence.red_days} red days in a row of {retraining.drift} asked"
        yield Decision(evidence.red_days >= retraining.drift, why)


def _labels(retraining: Retraining, evidence: Evidence) -> Iterator[Decision]:
    """Whether labels reach into a new month, so that those of the one before are in; nothing if that is not asked."""
    if retraining.labels is None:
        return
    if evidence.labelled:
        yield Decision(True, f"labels reach {evidence.labelled}, the last training learned up to {evidence.learned}")
    else:
        yield Decision(False, f"no labels of a month after {evidence.learned[:7]}, which the last training learned")


def _fallen(retraining: Retraining, evidence: Evidence) -> Iterator[Decision]:
    """Whether the champion does worse than it was evaluated; nothing where that is not asked, or there is none."""
    if retraining.drop is None or evidence.evaluated is None:
        return
    # so few rows could fall by chance
    if evidence.audited < retraining.least_audited:
        yield Decision(False, f"{evidence.audited} newly audited rows of {retraining.least_audited} asked")
        return
    accuracy = evidence.right / max(1, evidence.audited)
    why = (
        f"accuracy {accuracy:.3f} on {evidence.audited} newly audited rows, {evidence.evaluated:.3f} in "
        f"evaluation, allowed drop {retraining.drop:g}"
    )
    yield Decision(evidence.evaluated - accuracy > retraining.drop, why)
