"""The safe form of a model on disk: plain files; nothing runs before hash, structure and types are checked."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.errors import ConfigError, ModelRefused
from mlops_assets.journey.model.calibrator import Calibrator, Interval
from mlops_assets.journey.model.files import (
    ESTIMATOR_FILE,
    MEANING_FILE,
    SCORER_FILE,
    SQL_FILE,
    hash_files,
    hash_folder,
    parts_of,
    read_files,
)
from mlops_assets.journey.model.flavours.parts import put_back, taken_out
from mlops_assets.journey.model.references import emptied, filled
from mlops_assets.journey.model.scorer.steps import Scorer
from mlops_assets.journey.model.scorer.stored import as_bytes, read_scorer
from mlops_assets.journey.model.task import Task, task_of
from mlops_assets.storage.places import Place, remove
from mlops_assets.use_case import UnsetVariable

Known = tuple[str, ...] | Literal["text"] | None
"""What is known of a column of the model: the values of a category, `TEXT` for a text, None for a number."""

ALLOWED_TYPES = frozenset(
    {
        "mlops_assets.encoders.AsNumbers",
        "mlops_assets.encoders.NumbersOnFrame",
        "mlops_assets.encoders.OnFrame",
        "mlops_assets.encoders.OneHotEncoder",
        "mlops_assets.encoders.TargetEncoder",
        "mlops_assets.journey.model.flavours.flavoured.Flavoured",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.utils._bunch.Bunch",
        "sklearn.tree._tree.Tree",
        "numpy.dtype",
    }
)
"""Types beyond skops' own trusted ones that a stored model may hold. `training.trusted` adds to them."""

OBJECT_NUMBER = re.compile(r'("__id__": |"file": ")(\d+)')
"""Where skops names an object or the member that holds its content."""

MEMBER = re.compile(r"schema\.json|\d+\.np[yz]")
"""The members of an archive by `write_model`: no other name, and so no path and no pickle, is ever asked for."""

PROTOCOLS = (2,)
"""Versions of skops' format that `write_model` has written; a file must not choose the loaders of another one."""


class Meaning(BaseModel):
    """What stands in `meaning.json`: what the columns and the classes of the estimator mean; see `Model`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    columns: dict[str, Known]
    classes: tuple[str, ...]
    threshold: float | None
    references: tuple[str, ...] = ()
    calibrator: Annotated[Calibrator, Field(discriminator="kind")] | None = None
    parts: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Classes have probabilities, which are calibrated; numbers have an interval, and no class to be said."""
        if self.calibrator is not None and isinstance(self.calibrator, Interval) == bool(self.classes):
            raise ValueError("what calibrates it is for classes, and it has none, or the other way round")
        if self.threshold is not None and not self.classes:
            raise ValueError("it has a threshold, and no classes")
        return self

    @property
    def task(self) -> Task:
        """What it says: classes or numbers."""
        return task_of(self.classes, self.threshold)


class Kept:
    """An estimator that is loaded once somebody asks for it: a model that has a scorer answers without.

    Parameters
    ----------
    load
        Loads it, after its structure was checked.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    @cached_property
    def estimator(self) -> Any:
        """The estimator."""
        return self._load()


@dataclass(frozen=True)
class Stored:
    """A model as it was stored; the attributes are those of `Model`."""

    fitted: Any
    meaning: Meaning
    sql: str
    scorer: Scorer | None


def write_model(
    folder: Place, estimator: Any, meaning: Mapping[str, Any], sql: str, scorer: Scorer | None = None
) -> str:
    """Write a model into a folder.

    Parameters
    ----------
    folder
        Where to.
    estimator, sql
        As in `Model`.
    meaning
        The fields of `Meaning`.
    scorer
        Its scorer, if it has one.

    Returns
    -------
    str
        Its hash; `read_model` asks for it.
    """
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    parts = taken_out(estimator)
    content = emptied(_reproducible(skops.io.dumps(parts.estimator)), meaning.get("references", ()))
    (folder / ESTIMATOR_FILE).write_bytes(content)
    # JSON and text beside the archive: what can be read by eye need not be loaded
    (folder / MEANING_FILE).write_bytes(_as_bytes(meaning, parts.named))
    (folder / SQL_FILE).write_bytes(sql.encode())
    for name, part in parts.files.items():
        (folder / name).write_bytes(part)
    # a folder may be written anew
    remove(folder, [SCORER_FILE])
    if scorer is not None:
        (folder / SCORER_FILE).write_bytes(as_bytes(scorer))
    return hash_folder(folder)


def read_model(folder: Place, sha256: str, trusted: Sequence[str] = (), *, whole: bool = True) -> Stored:
    """Read a model: nothing of it runs before its hash, its structure and its types were checked.

    Parameters
    ----------
    folder
        Where `write_model` wrote it.
    sha256
        What `write_model` returned.
    trusted
        Import paths of types allowed beyond `ALLOWED_TYPES`.
    whole
        False if the estimator may wait until somebody asks for it: of a model that has a scorer, it answers nothing.

    Raises
    ------
    ModelRefused
        If a file is missing, changed, too large or a link, or the estimator or the scorer is built otherwise than
        `write_model` builds it, or holds another type.
    """
    files = read_files(folder, sha256)  # once: what is loaded is what was checked, though a file be replaced meanwhile
    path: Place = folder / MEANING_FILE
    scorer = None
    try:
        meaning = Meaning.model_validate_json(files[MEANING_FILE])
        sql = files[SQL_FILE].decode()
        path = folder / SCORER_FILE
        if SCORER_FILE in files:
            scorer = read_scorer(files[SCORER_FILE], len(meaning.columns), len(meaning.classes))
    except ValueError as error:
        raise ModelRefused(f"{path}: {NO_MODEL}: {error}. Train it again.") from None
    kept = Kept(partial(_estimator, folder, files, meaning, trusted))
    return Stored(kept.estimator if whole or scorer is None else kept, meaning, sql, scorer)


NO_MODEL = "this is no stored model"


def _estimator(folder: Place, files: Mapping[str, bytes], meaning: Meaning, trusted: Sequence[str]) -> Any:
    """The estimator in the files of a model; parameters and errors as of `read_model`."""
    from skops.io.exceptions import UntrustedTypesFoundException

    path: Place = folder / ESTIMATOR_FILE
    try:
        content = files[ESTIMATOR_FILE]
        if meaning.references:
            _check_archive(content, trusted)  # before it is unpacked to be filled in
            content = filled(content, meaning.references)
        estimator = load_estimator(content, trusted, len(meaning.columns), meaning.task.method)
        meaning.task.see(estimator)
        path = folder
        put_back(estimator, files, meaning.parts, trusted)
        return estimator
    except UnsetVariable as error:
        raise ModelRefused(f"{path}: {error}, which it was made with. Set it.") from None
    except ConfigError as error:  # the library of a flavour is not installed
        raise ModelRefused(f"{folder}: {error}") from None
    except UntrustedTypesFoundException as error:
        raise ModelRefused(f"{path}: {error} Add a type of your own to `training.trusted`.") from None
    except Exception as error:  # whatever a damaged or forged file makes skops, zip, JSON or NumPy say
        raise ModelRefused(f"{path}: {NO_MODEL}: {error}. Train it again.") from None


NO_ESTIMATOR = {"predict_proba": "no classifier that gives probabilities", "predict": "no regressor that gives numbers"}
"""What is said of an estimator that lacks the method it is asked by."""


def load_estimator(
    content: bytes, trusted: Sequence[str] = (), columns: int | None = None, method: str = "predict_proba"
) -> Any:
    """The classifier or regressor in a skops archive, after its structure and types were checked; see `read_model`.

    Parameters
    ----------
    content
        The archive.
    trusted
        As in `read_model`.
    columns
        How many columns it will be handed; None if that is not known yet.
    method
        The method that it is asked by; see `Task`.

    Raises
    ------
    UntrustedTypesFoundException
        If it holds a type that is neither allowed nor trusted.
    ValueError
        If the archive is built otherwise than skops builds it, or what it holds has no such method, or is built
        otherwise than scikit-learn builds it; see `structure`.
    """
    import skops.io

    from mlops_assets.journey.model.structure.check import check_structure

    types = _check_archive(content, trusted)
    # skops asks for the types itself: of our list it is handed what is there, for it copies that for every object
    estimator = skops.io.loads(content, trusted=sorted(types & ALLOWED_TYPES | set(trusted)))
    is_none = ValueError(f"a {type(estimator).__name__} is {NO_ESTIMATOR[method]}")
    if not hasattr(type(estimator), method):
        raise is_none
    check_structure(estimator, trusted, columns)
    # a pipeline asks its last step, which had to be looked at first
    if not hasattr(estimator, method):
        raise is_none
    return estimator


def _reproducible(content: bytes) -> bytes:
    """Rewrite what skops writes so that the same estimator is always the same bytes.

    skops numbers objects by their address in memory and stamps its members with the time; the numbers become the
    order of first appearance, and the time a constant.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    order: dict[str, int] = {}
    schema = OBJECT_NUMBER.sub(
        lambda match: f"{match[1]}{order.setdefault(match[2], len(order))}", members.pop("schema.json").decode()
    )
    renamed = {"schema.json": schema.encode()}
    for name, member in members.items():
        number, _, kind = name.partition(".")
        renamed[f"{order[number]}.{kind}"] = member
    rewritten = io.BytesIO()
    with ZipFile(rewritten, "w") as archive:
        for name in sorted(renamed):
            archive.writestr(ZipInfo(name), renamed[name])
    return rewritten.getvalue()


def _check_archive(content: bytes, trusted: Sequence[str]) -> set[str]:
    """See that an estimator's archive has the form in which `write_model` writes it, before anything is made of it.

    Returns
    -------
    set
        The import paths of the types that it names.

    Raises
    ------
    ValueError
        If it has not, with what is strange about it.
    """
    from mlops_assets.journey.model.structure.schema import check_schema

    with ZipFile(io.BytesIO(content)) as archive:
        names = _see_members(archive.infolist())
        schema = json.loads(archive.read("schema.json"))
        if schema.get("protocol") not in PROTOCOLS:
            raise ValueError(f"it is written in protocol {schema.get('protocol')!r} of skops, known is {PROTOCOLS[-1]}")
        named = check_schema(schema, archive, trusted)
    if odd := names - {"schema.json", *named.members}:
        raise ValueError(f"{min(odd)!r} is a part that nothing refers to")
    return named.types


def _see_members(members: Sequence[ZipInfo]) -> set[str]:
    """See to the members of an archive, before one of them is read; returns their names."""
    names = [member.orig_filename for member in members]
    if strange := [name for name in names if not MEMBER.fullmatch(name)]:
        raise ValueError(f"it holds {strange[0]!r}, which is no part of a model")
    if len(set(names)) < len(names):
        raise ValueError("it holds a member twice")  # of which one could be checked and the other be loaded
    if packed := [one.filename for one in members if one.compress_type != ZIP_STORED or one.flag_bits & 1]:
        raise ValueError(f"{packed[0]!r} is compressed or encrypted")  # and could unfold to any size
    if wrong := [one.filename for one in members if one.file_size != one.compress_size]:
        raise ValueError(f"{wrong[0]!r} says another size than it has")
    return set(names)


def _as_bytes(meaning: Mapping[str, Any], parts: Mapping[str, str]) -> bytes:
    # first, and not where there are none: what such a model is stored in stays the same bytes
    return json.dumps({"parts": parts, **meaning} if parts else meaning, ensure_ascii=False).encode()


def copy_model(source: Place, sha256: str, folder: Path, meaning: Mapping[str, Any]) -> str:
    """Copy a model to a folder of this machine that is not there yet.

    Parameters
    ----------
    source, sha256
        Where it lies, and its hash.
    folder
        Where to.
    meaning
        As in `write_model`: what the copy means, which may be more than what was stored.

    Returns
    -------
    str
        The hash of the copy.

    Raises
    ------
    ModelRefused
        If it is another one, or as of `hash_folder`.
    """
    files = read_files(source, sha256)
    files[MEANING_FILE] = _as_bytes(meaning, parts_of(files[MEANING_FILE]))
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return hash_files(files)
