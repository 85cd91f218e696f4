"""Whether the days of a version are watched, and what watches a shard of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.predict import Predicted, Witness
from mlops_assets.journey.score.profile.counts import Bins, Column
from mlops_assets.journey.score.profile.reference import read_bins
from mlops_assets.journey.score.profile.shard import Counting, entries, profile_shard
from mlops_assets.use_case import UseCase


def is_watched(use_case: UseCase, version: Version) -> bool:
    """Whether a profile is made of the days that a version scores: if it is asked for, and the version can."""
    return use_case.drift.watch and bool(version.about.reference)


def see_reference(use_case: UseCase, version: Version) -> None:
    """See that a version that is not watched never had a reference: its card is pinned, what MLflow says is not.

    Parameters
    ----------
    use_case
        The use case.
    version
        The version that is about to score.

    Raises
    ------
    ModelRefused
        If its card tells of one, or cannot be read.
    """
    if use_case.drift.watch and not version.about.reference:
        version.details()


class Watched:
    """A shard that is watched while its champion scores it.

    Parameters
    ----------
    version
        The champion; it has a reference.
    model
        Its model.
    """

    def __init__(self, version: Version, model: Model) -> None:
        self._reference = version.about.reference
        self._model = model
        self._bins = _bins_of(version)

    def witnesses(self, model: Model, _rows: int) -> Sequence[Witness]:
        """Who watches a model: nobody watches a challenger; see `Witnesses`."""
        return [Counting(model, self._bins)] if model is self._model else []

    def entries(self, predicted: Predicted, day: str, account: str) -> pa.Table:
        """The rows of `profiles` of the shard, of those of its rows that were answered for.

        Parameters
        ----------
        predicted
            What the models said.
        day
            The day.
        account
            The column with the account.
        """
        (counting,) = (each for each in predicted.answers[0].witnesses if isinstance(each, Counting))
        profile = profile_shard(predicted.rows, day, self._bins, counting)
        return entries(profile, predicted.rows[account], self._reference)


_kept: dict[str, Mapping[Column, Bins]] = {}


def _bins_of(version: Version) -> Mapping[Column, Bins]:
    """The bins of a version's reference, read once a process and champion."""
    sha256 = version.about.reference
    if sha256 not in _kept:
        bins = read_bins(version)
        _kept.clear()
        _kept[sha256] = bins
    return _kept[sha256]
