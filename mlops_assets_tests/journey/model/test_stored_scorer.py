"""The scorer beside the archive: it comes back to the bit, a process needs no more to score, and forged ones are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mlops_assets.errors import ModelRefused
from mlops_assets.journey.model.files import ESTIMATOR_FILE, SCORER_FILE, hash_folder
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.scorer.compiled import compiled
from mlops_assets.journey.model.scorer.odd import odd_rows
from mlops_assets.journey.model.scorer.steps import Forest, Gathered, Scorer
from mlops_assets.journey.model.scorer.stored import as_bytes, read_scorer
from mlops_assets.journey.model.structure.parts import Malformed
from mlops_assets.journey.model.trial import NoAnswer, answer_smoke
from mlops_assets_tests.helpers.scored import KNOWN, fitted, matrix

COLUMNS = {f"column_{number}": None for number in range(8)}
LABELS = ("a", "b", "c")


@cache
def model(name: str = "vote") -> Model:
    return Model(fitted(KNOWN[name], 3), COLUMNS, LABELS, "-- SQL")


@cache
def scorer_of(name: str = "vote") -> Scorer:
    scorer = compiled(fitted(KNOWN[name], 3), "predict_proba")
    assert scorer is not None
    return scorer


@pytest.mark.parametrize("name", KNOWN)
def test_what_was_stored_says_the_same_and_is_the_same_bytes_again(name: str) -> None:
    scorer = scorer_of(name)
    content = as_bytes(scorer)
    again = read_scorer(content, 8, 3)
    assert as_bytes(again) == content
    for rows in (7, 5_000):  # few and many go down the trees on two ways
        assert again.ask(matrix(rows)).tobytes() == scorer.ask(matrix(rows)).tobytes()


ALONE = """
import sys, numpy as np
from pathlib import Path
from mlops_assets.journey.model.model import Model
model = Model.load(Path(sys.argv[1]), sys.argv[2], whole=False)
np.save(sys.argv[3], model.uncalibrated(np.load(sys.argv[4])))
print(*sorted({"sklearn", "skops", "scipy"} & {*sys.modules}))
"""


def test_a_process_that_scores_needs_no_scikit_learn(tmp_path: Path) -> None:
    made, rows = model(), matrix(100)
    sha256 = made.save(tmp_path / "model")
    np.save(tmp_path / "rows.npy", rows)
    given_ = [str(tmp_path / "model"), sha256, str(tmp_path / "said.npy"), str(tmp_path / "rows.npy")]
    done = subprocess.run([sys.executable, "-c", ALONE, *given_], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
    assert np.load(tmp_path / "said.npy").tobytes() == made.estimator.predict_proba(rows).tobytes()


def test_a_version_without_a_scorer_is_loaded_as_ever_and_nothing_may_be_put_there(tmp_path: Path) -> None:
    made = model()
    sha256 = made.save(tmp_path)
    content = (tmp_path / SCORER_FILE).read_bytes()
    (tmp_path / SCORER_FILE).unlink()
    with pytest.raises(ModelRefused, match="another SHA-256"):
        Model.load(tmp_path, sha256)
    old = Model.load(tmp_path, before := hash_folder(tmp_path), whole=False)
    assert old.uncalibrated(matrix(9)).tobytes() == made.uncalibrated(matrix(9)).tobytes()
    (tmp_path / SCORER_FILE).write_bytes(content)
    with pytest.raises(ModelRefused, match="another SHA-256"):
        Model.load(tmp_path, before)


def test_rows_for_the_estimator_and_an_estimator_that_was_forged_are_told_once_it_is_asked_for(tmp_path: Path) -> None:
    made = model("linear")
    quick = Model.load(tmp_path, made.save(tmp_path), whole=False)
    hostile = np.full((3, 8), np.inf)
    with pytest.raises(ValueError, match="infinity"):
        quick.uncalibrated(hostile)
    (tmp_path / ESTIMATOR_FILE).write_bytes(b"no archive")
    forged = Model.load(tmp_path, hash_folder(tmp_path), whole=False)
    assert forged.uncalibrated(matrix(5)).tobytes() == made.uncalibrated(matrix(5)).tobytes()
    with pytest.raises(ModelRefused, match="no stored model"):
        forged.uncalibrated(hostile)
    # and whoever proves a version loads all of it
    with pytest.raises(ModelRefused, match="no stored model"):
        Model.load(tmp_path, hash_folder(tmp_path))


def test_a_scorer_that_says_otherwise_than_its_estimator_fails_the_trial(tmp_path: Path) -> None:
    sha256 = model("forest").save(tmp_path)
    assert answer_smoke(str(tmp_path), sha256, [])["answered"] > 2
    honest = scorer_of("forest")
    assert isinstance(honest.head, Forest)
    trees = replace(honest.head.trees, values=np.ascontiguousarray(honest.head.trees.values[:, ::-1]))
    (tmp_path / SCORER_FILE).write_bytes(as_bytes(replace(honest, head=replace(honest.head, trees=trees))))
    with pytest.raises(NoAnswer, match="otherwise than its estimator"):
        answer_smoke(str(tmp_path), hash_folder(tmp_path), [])


def _trees(**changed: Any) -> Scorer:
    scorer = scorer_of("means")
    assert isinstance(scorer.head, Forest)
    return replace(scorer, head=replace(scorer.head, trees=replace(scorer.head.trees, **changed)))


def _of_trees(name: str, change: Callable[[np.ndarray], None]) -> Callable[[], Scorer]:
    def forged() -> Scorer:
        head = scorer_of("means").head
        assert isinstance(head, Forest)
        values = getattr(head.trees, name).copy()
        change(values)
        return _trees(**{name: values})

    return forged


def _one_hot(**changed: Any) -> Scorer:
    scorer = scorer_of("one-hot")
    assert isinstance(scorer.head, Gathered)
    return replace(scorer, head=replace(scorer.head, **changed))


def _set(place: int, value: Any) -> Callable[[np.ndarray], None]:
    return lambda values: values.__setitem__(place, value)


FORGED: dict[str, Callable[[], Scorer]] = {
    "another width": lambda: replace(scorer_of(), width=9),
    "a class that there is not": lambda: replace(scorer_of(), classes=np.array([0, 1, 7])),
    "a class twice": lambda: replace(scorer_of(), classes=np.array([0, 1, 1])),
    "no classes": lambda: replace(scorer_of(), classes=None),
    "a lookup of a column beyond": lambda: replace(
        scorer_of(), lookups=tuple(replace(one, column=8) for one in scorer_of().lookups)
    ),
    "fewer lookups": lambda: replace(scorer_of(), lookups=()),
    "an endless tree": _of_trees("left", _set(0, 0)),
    "a child beyond": _of_trees("left", _set(0, 1 << 30)),
    "a node twice a child": _of_trees("left", _set(1, 1)),
    "a column beyond": _of_trees("column", _set(0, 1 << 20)),
    "a threshold that is none": _of_trees("threshold", _set(0, np.nan)),
    "a root that is none": _of_trees("roots", _set(0, 1)),
    "a leaf that says infinity": _of_trees("values", _set(0, np.inf)),
    "another link": lambda: _one_hot(link="identity"),
    "an unknown link": lambda: _one_hot(link="eval"),
    "no weights": lambda: _one_hot(weights=()),
    "another intercept": lambda: _one_hot(intercept=np.zeros(9)),
    "no blocks": lambda: _one_hot(blocks=()),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_does_not_fit_together_is_refused_before_it_is_asked(name: str) -> None:
    with pytest.raises(Malformed):
        read_scorer(as_bytes(FORGED[name]()), 8, 3)


def _header(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    content = as_bytes(scorer_of("one-hot"))
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    told = json.loads(header["__metadata__"]["scorer"])
    change(header, told)
    header["__metadata__"]["scorer"] = json.dumps(told)
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + content[8 + length :]


def _nested(_header: dict[str, Any], told: dict[str, Any]) -> None:
    for _ in range(50):
        told["head"] = {"part": "Vote", "members": [told["head"]], "weights": None, "numbers": False}


BYTES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "cut": lambda: as_bytes(scorer_of("one-hot"))[:-8],
    "a part of another type": lambda: _header(lambda _, told: told.update(head=told["lookups"][0])),
    "a part that nobody knows": lambda: _header(lambda _, told: told["head"].update(part="os.system")),
    "a field more": lambda: _header(lambda _, told: told["head"].update(more=1)),
    "an array twice": lambda: _header(lambda _, told: told.update(classes=told["head"]["intercept"])),
    "an array that nothing asks for": lambda: _header(lambda _, told: told.update(classes=None)),
    "a text for a number": lambda: _header(lambda _, told: told.update(width="8")),
    "votes in votes": lambda: _header(_nested),
    "no description": lambda: (b := b"{}      ") and len(b).to_bytes(8, "little") + b,
}


@pytest.mark.parametrize("name", BYTES)
def test_a_file_that_is_built_otherwise_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        read_scorer(BYTES[name](), 8, 3)


@settings(max_examples=20, deadline=None)
@given(some.sampled_from([*KNOWN]), some.data())
def test_no_byte_that_is_changed_makes_it_fail_in_another_way(name: str, data: some.DataObject) -> None:
    content = bytearray(CONTENTS.setdefault(name, as_bytes(scorer_of(name))))
    place = data.draw(some.integers(0, min(len(content) - 1, 6_000)))
    content[place] ^= data.draw(some.integers(1, 255))
    try:
        scorer = read_scorer(bytes(content), 8, 3)
    except Malformed:
        return
    with np.errstate(all="ignore"):
        assert scorer.ask(odd_rows(scorer)[:20]).shape == (20, 3)


CONTENTS: dict[str, bytes] = {}
