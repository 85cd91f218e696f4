"""A model that can score: the estimator with all that its numbers mean, and its safe form on disk."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from mlops_assets.errors import ConfigError, ModelRefused
from mlops_assets.journey.features.sql import TEXT, to_matrix
from mlops_assets.plugins import import_object
from mlops_assets.storage.places import Place
from mlops_assets.use_case import Candidate, Preparation, Step

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Known = tuple[str, ...] | Literal["text"] | None
"""What is known of a column of the model: the values of a category, `TEXT` for a text, None for a number."""

ALLOWED_TYPES = frozenset(
    {
        "mlops_assets.encoders.AsNumbers",
        "mlops_assets.encoders.OnFrame",
        "mlops_assets.encoders.OneHotEncoder",
        "mlops_assets.encoders.TargetEncoder",
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

ESTIMATOR_FILE, MEANING_FILE, SQL_FILE = "model.skops", "meaning.json", "features.sql"

LARGEST = {ESTIMATOR_FILE: 2 << 30, MEANING_FILE: 64 << 20, SQL_FILE: 1 << 20}
"""The files of a model and the bytes that each may have; every worker holds them in memory."""

MEMBER = re.compile(r"schema\.json|\d+\.np[yz]")
"""The members of the archive that `save` writes: no other name, and so no path and no pickle, is ever asked for."""

PROTOCOLS = (2,)
"""Versions of skops' format that `save` has written; a file must not choose the loaders of another one."""


class _Meaning(BaseModel):
    """What stands in `meaning.json`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    columns: dict[str, Known]
    classes: tuple[str, ...]
    threshold: float | None


@dataclass(frozen=True)
class Model:
    """A fitted estimator and what its columns and classes mean.

    Attributes
    ----------
    estimator
        Fitted on the matrix of `to_matrix`, with class numbers as its target.
    columns
        Columns of the model's input in order, each with what is known of it.
    classes
        Labels by class number.
    sql
        The `features.sql` that makes the input.
    threshold
        Binary only: probability from which the second class is said; None for the likelier class.
    """

    estimator: Pipeline
    columns: Mapping[str, Known]
    classes: tuple[str, ...]
    sql: str
    threshold: float | None = None

    @cached_property
    def _vocabularies(self) -> dict[str, pa.Array | Literal["text"] | None]:
        return {
            name: pa.array(known, pa.string()) if isinstance(known, tuple) else known
            for name, known in self.columns.items()
        }

    def matrix(self, batch: pa.Table) -> np.ndarray:
        """What the estimator sees; see `to_matrix`."""
        return to_matrix(batch, self._vocabularies)

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """Probability of every class, one row per row; classes that the estimator never saw get 0."""
        found = self.estimator.predict_proba(matrix)
        full = np.zeros((len(matrix), len(self.classes)))
        full[:, self.estimator.classes_.astype(int)] = found
        return full

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """The class number said for each row."""
        if self.threshold is not None and len(self.classes) == 2:
            return np.asarray(probabilities[:, 1] >= self.threshold, np.int64)
        return np.asarray(probabilities.argmax(axis=1), np.int64)

    def unseen(self, batch: pa.Table, matrix: np.ndarray) -> dict[str, int]:
        """How many values of each category the model never saw; empty ones do not count."""
        return {
            name: int((matrix[:, place] < 0).sum()) - batch[name].null_count
            for place, (name, known) in enumerate(self.columns.items())
            if isinstance(known, tuple)
        }

    def save(self, folder: Place) -> str:
        """Write the model into a folder.

        Returns
        -------
        str
            Its hash; `load` asks for it.
        """
        import skops.io

        meaning = {"columns": dict(self.columns), "classes": self.classes, "threshold": self.threshold}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ESTIMATOR_FILE).write_bytes(_reproducible(skops.io.dumps(self.estimator)))
        (folder / MEANING_FILE).write_bytes(json.dumps(meaning, ensure_ascii=False).encode())
        (folder / SQL_FILE).write_bytes(self.sql.encode())
        return hash_folder(folder)

    @classmethod
    def load(cls, folder: Place, sha256: str, trusted: Sequence[str] = ()) -> Model:
        """Read a model: nothing of it runs before its hash, its structure and its types were checked.

        Parameters
        ----------
        folder
            Where `save` wrote it.
        sha256
            What `save` returned.
        trusted
            Import paths of types allowed beyond `ALLOWED_TYPES`.

        Raises
        ------
        ModelRefused
            If a file is missing, changed, too large or a link, or the estimator is built otherwise than `save` builds
            it, or holds another type.
        """
        from skops.io.exceptions import UntrustedTypesFoundException

        files = _read_files(folder)  # once: what is loaded is what was checked, though a file be replaced meanwhile
        if _hash(files) != sha256:
            raise ModelRefused(f"{folder}: the model is not the one that was registered (another SHA-256).")
        path, content = folder / MEANING_FILE, files[ESTIMATOR_FILE]
        try:
            meaning = _Meaning.model_validate_json(files[MEANING_FILE])
            sql = files[SQL_FILE].decode()
            path = folder / ESTIMATOR_FILE
            estimator = load_estimator(content, trusted)
        except UntrustedTypesFoundException as error:
            raise ModelRefused(f"{path}: {error} Add a type of your own to `training.trusted`.") from None
        except Exception as error:  # whatever a damaged or forged file makes skops, zip, JSON or NumPy say
            raise ModelRefused(f"{path}: this is no stored model: {error}. Train it again.") from None
        return cls(estimator, meaning.columns, meaning.classes, sql, meaning.threshold)


def load_estimator(content: bytes, trusted: Sequence[str] = ()) -> Any:
    """The classifier in a skops archive, after its structure and its types were checked; see `Model.load`.

    Raises
    ------
    UntrustedTypesFoundException
        If it holds a type that is neither allowed nor trusted.
    ValueError
        If the archive is built otherwise than skops builds it, or holds no classifier.
    """
    import skops.io

    _check_archive(content)
    estimator = skops.io.loads(content, trusted=_allowed(skops.io.get_untrusted_types(data=content), trusted))
    if not hasattr(estimator, "predict_proba"):
        raise ValueError(f"a {type(estimator).__name__} is no classifier that gives probabilities")
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
        lambda found: f"{found[1]}{order.setdefault(found[2], len(order))}", members.pop("schema.json").decode()
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


def _allowed(asked: Sequence[str], trusted: Sequence[str]) -> list[str]:
    """Those of the types that a file asks for that we allow: the file's own word is never enough."""
    return [name for name in asked if name in ALLOWED_TYPES or name in trusted]


def _check_archive(content: bytes) -> None:
    """See that an estimator's archive has the form in which `save` writes it, without unpacking anything.

    Raises
    ------
    ValueError
        If it has not, with what is strange about it.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names = [member.orig_filename for member in members]
        if strange := [name for name in names if not MEMBER.fullmatch(name)]:
            raise ValueError(f"it holds {strange[0]!r}, which is no part of a model")
        if len(set(names)) < len(names):
            raise ValueError("it holds a member twice")  # of which one could be checked and the other be loaded
        if packed := [one.filename for one in members if one.compress_type != ZIP_STORED or one.flag_bits & 1]:
            raise ValueError(f"{packed[0]!r} is compressed or encrypted")  # and could unfold to any size
        schema = json.loads(archive.read("schema.json"))
    if schema.get("protocol") not in PROTOCOLS:
        raise ValueError(f"it is written in protocol {schema.get('protocol')!r} of skops, known is {PROTOCOLS[-1]}")
    if odd := {"schema.json", *_files_named(schema)} ^ set(names):
        raise ValueError(f"{min(odd)!r} is a part that nothing refers to, or that is missing")


def _files_named(schema: Any) -> Iterator[str]:
    """The members that the objects of a schema say their content is in."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__loader__" in node and isinstance(node.get("file"), str):
                yield node["file"]
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def copy_model(source: Place, folder: Path) -> None:
    """Copy a model to a folder of this machine that is not there yet; errors as `hash_folder`."""
    files = _read_files(source)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def hash_folder(folder: Place) -> str:
    """SHA-256 over the three files of a model, by name and content.

    Raises
    ------
    ModelRefused
        If one is missing, too large or a link.
    """
    return _hash(_read_files(folder))


def _hash(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _read_files(folder: Place) -> dict[str, bytes]:
    """The content of the files of a model, in the order in which they are hashed."""
    files: dict[str, bytes] = {}
    for name, largest in LARGEST.items():
        path = folder / name
        if isinstance(path, Path):
            _see_that_it_is_plain(path)
        try:
            size = path.stat().st_size
            if size > largest:
                raise ModelRefused(f"{path}: it has {size:,} bytes, allowed are {largest:,}.")
            files[name] = path.read_bytes()
        except OSError as error:
            raise ModelRefused(f"{path}: cannot be read: {error.strerror}.") from None
    return files


def _see_that_it_is_plain(path: Path) -> None:
    for place in (path.parent, path):
        if place.is_symlink():  # what it leads to can change without the folder being touched
            raise ModelRefused(f"{place}: it is a link; a model is stored as plain files. Store it again.")
    if path.exists() and not path.is_file():
        raise ModelRefused(f"{path}: it is no plain file.")


def build_pipeline(
    candidate: Candidate, columns: Mapping[str, Known], others: Mapping[str, Candidate] | None = None
) -> Pipeline:
    """An unfitted pipeline for a candidate.

    Parameters
    ----------
    candidate
        What the configuration says.
    columns
        Columns of the model's input in order, each with what is known of it; see `Known`.
    others
        All candidates by name, for the members of an ensemble.

    Raises
    ------
    ConfigError
        If a class cannot be imported, an argument is wrong or a column is unknown.
    """
    from sklearn.pipeline import Pipeline

    steps: list[tuple[str, Any]] = []
    if candidate.prepare:
        steps.append(("prepare", _column_transformer(candidate, columns)))
    steps += [(f"then_{place}", _make(step)) for place, step in enumerate(candidate.then)]
    members = {}
    unknown = [name for name in candidate.members if others is not None and name not in others]
    if unknown:
        raise ConfigError(f"members: there is no candidate {unknown[0]!r}; there are {', '.join(others or ())}")
    if candidate.members and others is not None:
        members["estimators"] = [(name, build_pipeline(others[name], columns)) for name in candidate.members]
    return Pipeline([*steps, ("model", _make(candidate, **members))])


def _column_transformer(candidate: Candidate, columns: Mapping[str, Known]) -> Any:
    """The transformers of columns; one of a text gets its column as a list of texts, all others get numbers."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    places = {name: place for place, name in enumerate(columns)}
    texts = {places[name] for name, known in columns.items() if known == TEXT}
    as_numbers = [_make(Step(use="mlops_assets.encoders.AsNumbers"))] if texts else []
    parts: list[tuple[str, Any, list[int] | int]] = []
    passed = set(places.values()) if candidate.others == "pass" else set()
    for number, item in enumerate(candidate.prepare):
        chosen = _places(item, places, columns)
        steps = [] if item.use == "drop" else [_make(item), *map(_make, item.then)]
        name = f"{number}_{item.use.rpartition('.')[2]}"
        if not steps:
            parts.append((name, "drop", chosen))
        elif texts.isdisjoint(chosen):
            parts.append((name, make_pipeline(*as_numbers, *steps), chosen))
        else:
            parts.append((name, make_pipeline(*steps), chosen[0]))
        if not item.keep:
            passed -= set(chosen)
    numbers = sorted(passed - texts)
    parts.append(("as_they_are", make_pipeline(*as_numbers) if texts and numbers else "passthrough", numbers))
    return ColumnTransformer(parts)


def _places(item: Preparation, places: Mapping[str, int], columns: Mapping[str, Known]) -> list[int]:
    """The numbers of the columns that a preparation names; `all` are categories and numbers."""
    if isinstance(item.columns, str):
        kinds = {"all": (True, False), "categories": (True,), "numbers": (False,)}[item.columns]
        known = [(place, columns[name]) for name, place in places.items() if columns[name] != TEXT]
        return [place for place, values in known if (values is not None) in kinds]
    unknown = [name for name in item.columns if name not in places]
    if unknown:
        raise ConfigError(f"prepare: features.sql makes no column {unknown[0]!r}; it makes {', '.join(places)}")
    return [places[name] for name in item.columns]


def _make(step: Step, **further: Any) -> Any:
    """The object that a step describes; an argument may be a step itself."""
    kind = import_object(step.use)
    given = {name: _argument(value) for name, value in step.parameters.items()}
    try:
        return kind(**given, **further)
    except TypeError as error:
        raise ConfigError(f"{step.use}: {error}") from None


def _argument(value: Any) -> Any:
    if isinstance(value, Mapping) and "use" in value:
        return _make(Step.model_validate(value))
    return value
