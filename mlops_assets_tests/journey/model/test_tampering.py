"""A stored model that was tampered with is refused before anything of it runs, even where its hash was made to fit."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.model.files import ESTIMATOR_FILE, LARGEST, MEANING_FILE, SQL_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets_tests.helpers.models import Custom, Trap, fitted

SPRUNG = "sprung"
"""The file that a trap leaves beside the model when it runs."""

Members = dict[str, bytes]
Tamper = Callable[[Path], None]


@dataclass(frozen=True)
class Attack:
    """What is done to the folder of a model, and what the refusal says when the attacker made the hash fit."""

    tamper: Tamper
    said: str


def members_of(path: Path) -> Members:
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, members: Mapping[str, bytes], **options: Any) -> None:
    with ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(ZipInfo(name), content, **({"compress_type": ZIP_DEFLATED} if options else {}))


def with_member(name: str, content: bytes | None = None) -> Tamper:
    """Put a further member into the archive, by default a pickle that springs a trap."""

    def tamper(folder: Path) -> None:
        path = folder / ESTIMATOR_FILE
        trap = content if content is not None else pickle.dumps(Trap(folder / SPRUNG))
        pack(path, {**members_of(path), name: trap})

    return tamper


def with_schema(change: Callable[[dict[str, Any]], object]) -> Tamper:
    """Change the schema, which says what the archive is made into."""

    def tamper(folder: Path) -> None:
        path = folder / ESTIMATOR_FILE
        members = members_of(path)
        schema = json.loads(members["schema.json"])
        change(schema)
        pack(path, {**members, "schema.json": json.dumps(schema).encode()})

    return tamper


def with_arrays(content: Callable[[Path], bytes]) -> Tamper:
    """Put something else in the place of an array, under its own name."""

    def tamper(folder: Path) -> None:
        path = folder / ESTIMATOR_FILE
        members = members_of(path)
        array = next(name for name in members if name.endswith(".npy"))
        pack(path, {**members, array: content(folder)})

    return tamper


def with_estimator(thing: object) -> Tamper:
    return lambda folder: skops.io.dump(thing, folder / ESTIMATOR_FILE)


def with_content(name: str, content: bytes) -> Tamper:
    return lambda folder: (folder / name).write_bytes(content) and None


def with_meaning(**changes: object) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / MEANING_FILE
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return tamper


def with_calibrator(**fields: object) -> Tamper:
    return with_meaning(calibrator={"kind": "isotonic" if "y" in fields else "temperature", **fields})


def pickled(folder: Path) -> bytes:
    return pickle.dumps(Trap(folder / SPRUNG))


def estimator_by_pickle(folder: Path) -> None:
    (folder / ESTIMATOR_FILE).write_bytes(pickled(folder))


def without(name: str) -> Tamper:
    return lambda folder: (folder / name).unlink()


def as_link(name: str) -> Tamper:
    def tamper(folder: Path) -> None:
        (folder / name).rename(folder / "elsewhere")
        (folder / name).symlink_to(folder / "elsewhere")

    return tamper


def as_folder(folder: Path) -> None:
    (folder / SQL_FILE).unlink()
    (folder / SQL_FILE).mkdir()


def truncated(folder: Path) -> None:
    content = (folder / ESTIMATOR_FILE).read_bytes()
    (folder / ESTIMATOR_FILE).write_bytes(content[: len(content) // 2])


def compressed(folder: Path) -> None:
    pack(folder / ESTIMATOR_FILE, members_of(folder / ESTIMATOR_FILE), compression=ZIP_DEFLATED)


def oversized(name: str) -> Tamper:
    return lambda folder: os.truncate(folder / name, LARGEST[name] + 1)


def two_schemas(folder: Path) -> None:
    with ZipFile(folder / ESTIMATOR_FILE, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("schema.json", b"{}")


def deep(folder: Path) -> None:
    pack(folder / ESTIMATOR_FILE, {"schema.json": b"[" * 100_000})


def file_of_another(schema: dict[str, Any]) -> None:
    text = re.sub(r'"file": "\d+\.npy"', '"file": "../../../etc/passwd"', json.dumps(schema))
    schema.update(json.loads(text))


def system_as_argument(schema: dict[str, Any]) -> None:
    schema["content"]["content"]["C"] = {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"}


ATTACKS = {
    # files
    "the estimator is missing": Attack(without(ESTIMATOR_FILE), r"model\.skops: cannot be read"),
    "the meaning is missing": Attack(without(MEANING_FILE), r"meaning\.json: cannot be read"),
    "the SQL is missing": Attack(without(SQL_FILE), r"features\.sql: cannot be read"),
    "the estimator is a link": Attack(as_link(ESTIMATOR_FILE), "it is a link"),
    "the SQL is a link": Attack(as_link(SQL_FILE), "it is a link"),
    "the SQL is a folder": Attack(as_folder, "it is no plain file"),
    "the estimator is too large": Attack(oversized(ESTIMATOR_FILE), "2,147,483,649 bytes, allowed are 2,147,483,648"),
    "the SQL is too large": Attack(oversized(SQL_FILE), "1,048,577 bytes, allowed are 1,048,576"),
    "the SQL is no text": Attack(with_content(SQL_FILE, b"\xff\xfe"), "no stored model"),
    # the archive
    "the estimator is a pickle": Attack(estimator_by_pickle, "not a zip file"),
    "the archive is cut off": Attack(truncated, "not a zip file"),
    "the archive is empty": Attack(lambda folder: pack(folder / ESTIMATOR_FILE, {}), "schema.json"),
    "the archive is compressed": Attack(compressed, "compressed or encrypted"),
    "a member is a pickle": Attack(with_member("model.pkl"), "holds 'model.pkl', which is no part"),
    "a member lies above the folder": Attack(with_member("../../x.npy"), r"holds '\.\./\.\./x\.npy'"),
    "a member lies at an absolute path": Attack(with_member("/tmp/x.npy"), "holds '/tmp/x.npy'"),
    "a member lies in a subfolder": Attack(with_member("sub/1.npy"), "holds 'sub/1.npy'"),
    "a member that nothing refers to": Attack(with_member("99.npy", b""), "'99.npy' is a part that nothing refers to"),
    "a member comes twice": Attack(two_schemas, "a member twice"),
    "an array is a pickle": Attack(with_arrays(pickled), "no stored model"),
    # the schema
    "the schema reads a file outside": Attack(with_schema(file_of_another), "is a part that is missing"),
    "the schema is of an unknown protocol": Attack(
        with_schema(lambda s: s.update(protocol=9)), "written in protocol 9"
    ),
    "the schema is of an older protocol": Attack(with_schema(lambda s: s.update(protocol=0)), "written in protocol 0"),
    "the schema names an unknown loader": Attack(with_schema(lambda s: s.update(__loader__="Evil")), "Evil"),
    "the schema is too deep": Attack(deep, "no stored model"),
    # types
    "a function of the system": Attack(with_estimator(FunctionTransformer(os.system)), r"training\.trusted"),
    "a function of the system by the schema": Attack(with_schema(system_as_argument), r"os\.system"),
    "a class of its own": Attack(with_estimator(Custom()), r"training\.trusted"),
    "a class of its own as an argument": Attack(with_estimator(LogisticRegression(C=Custom())), r"training\.trusted"),
    "another class by the schema": Attack(
        with_schema(lambda s: s.update(__module__="subprocess", __class__="Popen")), r"subprocess\.Popen"
    ),
    "no classifier": Attack(with_estimator({"a": 1}), "a dict is no classifier"),
    # what the numbers mean
    "the meaning is a pickle": Attack(with_content(MEANING_FILE, pickle.dumps(1)), "no stored model"),
    "the meaning says more": Attack(with_meaning(run="rm"), "no stored model"),
    "the classes are numbers": Attack(with_meaning(classes=[1, 2]), "no stored model"),
    "the threshold is a text": Attack(with_meaning(threshold="0.5"), "no stored model"),
    # what calibrates
    "a calibration of no kind": Attack(with_meaning(calibrator={"temperature": 1.0}), "kind"),
    "a calibration of another kind": Attack(with_meaning(calibrator={"kind": "os.system"}), "kind"),
    "a temperature of 0": Attack(with_calibrator(temperature=0.0), "greater than or equal to 0.01"),
    "a temperature without end": Attack(with_calibrator(temperature=1e9), "less than or equal to 100"),
    "a temperature that is no number": Attack(with_calibrator(temperature=float("nan")), "no stored model"),
    "a temperature as a text": Attack(with_calibrator(temperature="1"), "valid number"),
    "a temperature with more": Attack(with_calibrator(temperature=1.0, x=[0.0]), "Unexpected keyword"),
    "a curve without knots": Attack(with_calibrator(x=[], y=[]), "at least 1 item"),
    "a curve of too many knots": Attack(
        with_calibrator(x=[one / 2000 for one in range(1001)], y=[0.5] * 1001), "at most 1000 items"
    ),
    "a curve above 1": Attack(with_calibrator(x=[0.0, 1.0], y=[0.0, 2.0]), "less than or equal to 1"),
    "a curve that is no number": Attack(with_calibrator(x=[0.0, 1.0], y=[0.0, float("inf")]), "no stored model"),
    "a curve that falls": Attack(with_calibrator(x=[0.0, 1.0], y=[0.5, 0.4]), "no rising curve"),
    "a curve that goes back": Attack(with_calibrator(x=[0.5, 0.5], y=[0.4, 0.5]), "no rising curve"),
    "a curve with a knot of one number": Attack(with_calibrator(x=[0.5, 0.6], y=[0.4]), "no rising curve"),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return fitted(LogisticRegression())


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    model.save(tmp_path / "serving")
    return tmp_path / "serving"


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_changed_after_registering_is_refused(model: Model, folder: Path, attack: str) -> None:
    registered = hash_folder(folder)
    ATTACKS[attack].tamper(folder)
    with pytest.raises(ModelRefused, match="another SHA-256|cannot be read|a link|plain file|bytes, allowed"):
        Model.load(folder, registered)
    assert not (folder / SPRUNG).exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_refused_too_where_the_attacker_made_the_hash_fit(folder: Path, attack: str) -> None:
    ATTACKS[attack].tamper(folder)
    try:
        sha256 = hash_folder(folder)
    except ModelRefused:
        sha256 = "no hash can be made of it"
    with pytest.raises(ModelRefused, match=ATTACKS[attack].said):
        Model.load(folder, sha256)
    assert not (folder / SPRUNG).exists()


@pytest.mark.parametrize("name", ["columns", "classes", "threshold"])
def test_another_meaning_of_the_numbers_is_refused(folder: Path, name: str) -> None:
    registered = hash_folder(folder)
    meaning = {"columns": {"amount": None}, "classes": ["FUEL", "FOOD"], "threshold": 0.9}
    with_meaning(**{name: meaning[name]})(folder)
    with pytest.raises(ModelRefused, match="another SHA-256"):
        Model.load(folder, registered)


def test_another_sql_is_refused(folder: Path) -> None:
    registered = hash_folder(folder)
    with_content(SQL_FILE, b"CREATE VIEW model_input AS SELECT file, line, 1 AS amount FROM rows")(folder)
    with pytest.raises(ModelRefused, match="another SHA-256"):
        Model.load(folder, registered)


def test_serving_and_judged_cannot_take_each_others_place(folder: Path) -> None:
    judged = folder.parent / "judged"
    hashes = hash_folder(folder), fitted(LogisticRegression(C=0.1)).save(judged)
    version = Version("transactions", 1, folder.parent, *hashes, "", Summary())
    folder.rename(folder.parent / "away")
    judged.rename(folder)
    (folder.parent / "away").rename(judged)
    for load in (version.serving, version.judged):
        with pytest.raises(ModelRefused, match="another SHA-256"):
            load()
    assert replace(version, serving_sha256=hashes[1]).serving()  # it was the hash that kept it out


def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ModelRefused, match="it is a link"):
        Model.load(tmp_path / "link", hash_folder(folder))


def test_what_is_loaded_is_what_was_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = skops.io.get_untrusted_types

    def replaced_after_the_check(**given: Any) -> list[str]:
        estimator_by_pickle(folder)
        return look(**given)

    monkeypatch.setattr(skops.io, "get_untrusted_types", replaced_after_the_check)
    assert Model.load(folder, hash_folder(folder)).estimator.classes_.tolist() == [0, 1]
    assert not (folder / SPRUNG).exists()


def test_a_pickle_would_spring_its_trap(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path))
    assert (tmp_path / SPRUNG).exists()
