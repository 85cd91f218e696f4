"""The models that score in this process, each loaded once."""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakValueDictionary

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.carried import near
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase


def load_cached(version: Version, use_case: UseCase) -> Model:
    """The model of a version, loaded once a process.

    Raises
    ------
    ModelRefused
        If it is not the one that was registered, or nobody has seen it answer a trial.
    """
    if not version.proven:
        raise ModelRefused(f"version {version.version} of {version.use_case} was not tried before it shall score.")
    model = _kept(version.folder / "serving", version.serving_sha256, use_case.training.trusted)
    see_task(model, version.version, use_case)
    return model


def see_task(model: Model, version: int, use_case: UseCase) -> None:
    """See that a model says what the use case predicts.

    Raises
    ------
    ModelRefused
        If one of both is of classes and the other of numbers.
    """
    if bool(model.classes) == use_case.training.says_numbers:
        says = "classes" if model.classes else "numbers"
        raise ModelRefused(
            f"version {version} of {use_case.name} says {says}, and training.task of its defs.yaml is "
            f"{use_case.training.task}. Days of classes and of numbers have other columns: give the other task a use "
            "case of its own."
        )


def load_shared(folder: Place, sha256: str, trusted: tuple[str, ...]) -> Model:
    """A model that somebody in this process holds already, or that is loaded now: a forest is large.

    Of one with a scorer, the estimator is loaded if somebody asks for it, such as about rows that are for it to judge.

    Parameters
    ----------
    folder, sha256, trusted
        As of `Model.load`; what lies in the same place and has the same hash is the same model.
    """
    known = str(folder), sha256, trusted
    return _held.get(known) or _held.setdefault(known, Model.load(folder, sha256, trusted, whole=False))


_held = WeakValueDictionary[tuple[str, str, tuple[str, ...]], Model]()


@lru_cache(maxsize=3)
def _kept(folder: Place, sha256: str, trusted: tuple[str, ...]) -> Model:
    return load_shared(near(folder, sha256), sha256, trusted)
