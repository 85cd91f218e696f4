"""Whoever may write MLflow's store, its files, and the lake beside the history, runs nothing by what a card names."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import MlopsError
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.registered import RegisteredVersions
from mlops_assets.journey.model.training_runs import TrainingRuns
from mlops_assets.journey.train.evaluation import evaluate
from mlops_assets.journey.train.records import FittedCandidates
from mlops_assets.settings import sqlite_url
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.files import write_json
from mlops_assets.storage.integrity import read_json
from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers.forged_cards import card_of, forge_card, forge_tags, forget_pins, settle
from mlops_assets_tests.helpers.homes import copy_home
from mlops_assets_tests.helpers.shop import Done, Shop
from mlops_assets_tests.helpers.visits import LINKED, VISITS, place_visits

DAY = "2026-01-01"
SPRUNG = "sprung"
"""The file that a payload leaves behind where it runs."""

BY_HAND = LINKED.replace("    folds: 2\n", "    folds: 2\n    promotion: manual\n").replace("500}", "501}")
TRAP = f"from pathlib import Path\nPath(__file__).with_name({SPRUNG!r}).touch()\nclass Trap:\n    pass\n"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A champion, and a version that waits."""
    folder = tmp_path_factory.mktemp("forged")
    place_visits(folder / "use_cases", LINKED)
    shop = Shop(folder / "home")
    shop("sample", "visits", "--day", DAY, "--files", "2", "--rows", "60")
    assert shop("run", "visits", "--train").code == 0
    (folder / "use_cases" / "visits" / "defs.yaml").write_text(BY_HAND, encoding="utf-8")
    assert shop("run", "visits", "--train").code == 0
    return shop


@pytest.fixture
def shop(story: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A copy of it, whose artifacts lie in it too, and a module on the path that springs a trap when it is imported."""
    home = tmp_path / "forged" / "home"
    shutil.copytree(story.home.parent / "use_cases", tmp_path / "forged" / "use_cases")
    copy_home(story.home, home)
    settle(home, story.home)
    for name in ("trapped", "trápped"):
        (tmp_path / f"{name}.py").write_text(TRAP, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return Shop(home)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / SPRUNG


# -- what a card names --------------------------------------------------------------------------------------------------

Payload = dict[str, Any]


def payloads(mark: Path) -> dict[str, Payload]:
    """Steps that leave the mark where they are made; the last ones name harmless things that are no model either."""
    file, shell = str(mark), f"touch {mark}"
    opened = {"use": "builtins.open", "parameters": {"file": file, "mode": "w"}}
    return {
        "a process": {"use": "subprocess.Popen", "parameters": {"args": ["touch", file]}},
        "a shell": {"use": "os.system", "parameters": {"command": shell}},
        "a file": opened,
        "a copy": {"use": "shutil.copyfile", "parameters": {"src": __file__, "dst": file}},
        "code": {"use": "builtins.exec", "parameters": {"source": f"open({file!r}, 'w')"}},
        "an expression": {"use": "builtins.eval", "parameters": {"source": f"open({file!r}, 'w')"}},
        "a pickle": {"use": "pickle.load", "parameters": {"file": opened}},
        "an import": {"use": "importlib.import_module", "parameters": {"name": "trapped"}},
        "a module": {"use": "trapped.Trap"},
        "a letter that looks alike": {"use": "trápped.Trap"},
        "a module of a module": {"use": "sklearn.utils.os.system", "parameters": {"command": shell}},
        "a module of ours": {"use": "mlops_assets.cli.common.sys", "parameters": {}},
        "a name that is imported": {"use": "mlops_assets.cli.common.find", "parameters": {"name": "visits"}},
        "a download": {"use": "sklearn.datasets.fetch_openml", "parameters": {"data_id": 1}},
        "a name in underscores": {"use": "sklearn.__doc__"},
        "no class of models": {"use": "sklearn.utils.Bunch", "parameters": {}},
        "a function in a class": {
            "use": "sklearn.preprocessing.FunctionTransformer",
            "parameters": {"func": {"use": "os.system", "parameters": {"command": shell}}},
        },
    }


def _linear(card: dict[str, Any]) -> Any:
    return card["recipe"]["training"]["candidates"]["linear"]


def _argument(card: dict[str, Any], value: Any) -> None:
    """An argument of the model; the card has them twice."""
    _linear(card)["parameters"] |= {"C": value}
    card["parameters"] |= {"C": value}


def _member(card: dict[str, Any], payload: Payload) -> None:
    candidates = card["recipe"]["training"]["candidates"]
    candidates["member"] = {**payload, "members": []}
    candidates["linear"] |= {"use": "sklearn.ensemble.VotingClassifier", "members": ["member"], "parameters": {}}
    card["parameters"] = {}


def _target(card: dict[str, Any], payload: Payload) -> None:
    card["recipe"]["targets"] = {"there": payload}


def _enrichment(card: dict[str, Any], payload: Payload) -> None:
    card["recipe"]["enrichments"] = {"more": {**payload, "keys": ["visitor"], "columns": {"age": "number"}}}


PLACES: dict[str, Callable[[dict[str, Any], Payload], object]] = {
    "the model": lambda card, payload: _linear(card).update(payload),
    "an argument": _argument,
    "an argument that the card has alone": lambda card, payload: card["parameters"].update(C=payload),
    "a dict in an argument": lambda card, payload: _argument(card, {"no": {"yes": payload}}),
    "a list of dicts in an argument": lambda card, payload: _argument(card, [["a", {"b": [payload]}]]),
    "deep in an argument": lambda card, payload: _argument(card, json.loads("[" * 30 + json.dumps(payload) + "]" * 30)),
    "a search": lambda card, payload: _linear(card).update(search={"C": [payload]}),
    "a preparation": lambda card, payload: _linear(card).update(prepare=[{**payload, "columns": "all"}]),
    "a step after a preparation": lambda card, payload: _linear(card)["prepare"][0].update(then=[payload]),
    "a later step": lambda card, payload: _linear(card).update(then=[payload]),
    "a member": _member,
    "trusted": lambda card, payload: card["recipe"]["training"].update(trusted=[payload["use"]]),
    "the reader": lambda card, payload: card["recipe"]["files"].update(reader=payload["use"]),
    "the source": lambda card, payload: card["recipe"].update(source=payload),
    "a target": _target,
    "an enrichment": _enrichment,
    "a metric": lambda card, payload: card["recipe"]["training"].update(metrics={"gain": payload["use"]}),
    "the sample": lambda card, payload: card["recipe"].update(sample=payload["use"]),
}
NAMES = [*payloads(Path())]
PAIRS = [(place, NAMES[number % (len(NAMES) - 1)]) for number, place in enumerate(PLACES)]
PAIRS += [("an argument", name) for name in NAMES if ("an argument", name) not in PAIRS]


def refused(done: Done, *said: str) -> None:
    """See that a command failed with words for people."""
    assert done.code == 1, done
    assert done.err.startswith("Error: ") or "\nError: " in done.err
    assert "not expected" not in done.err
    for part in said:
        assert part in done.err


@pytest.mark.parametrize(("place", "name"), PAIRS)
def test_a_card_whose_hash_was_made_to_fit_has_nothing_imported(shop: Shop, mark: Path, place: str, name: str) -> None:
    forget_pins(shop.home)  # by these it would be noticed before
    payload = payloads(mark)[name]
    forge_card(shop.home, 1, lambda card: PLACES[place](card, payload))
    before = {*sys.modules}
    # of a class that is harmless by itself, what is within it is named
    shown = payload["parameters"]["func"]["use"] if name == "a function in a class" else payload["use"]
    refused(shop("rebuild", "visits", "1"), "The recipe of version 1: ", ascii(shown), "Nothing of it was imported")
    assert shop("card", "visits", "1").code == 0
    assert not mark.exists()
    assert not {"trapped", "trápped"} & ({*sys.modules} - before)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            {"use": "sklearn.cluster.FeatureAgglomeration", "parameters": {"memory": "/tmp/cache"}},
            "memory: '/tmp/cache'",
        ),
        ({"use": "sklearn.feature_extraction.text.CountVectorizer", "parameters": {"input": "filename"}}, "input: "),
    ],
)
def test_a_card_has_no_files_opened(shop: Shop, step: Payload, said: str) -> None:
    forget_pins(shop.home)
    forge_card(shop.home, 1, lambda card: _linear(card).update(then=[step]))
    refused(shop("rebuild", "visits", "1"), f"parameters.{said}", "would have files opened")


def test_a_search_of_a_card_has_no_files_opened(shop: Shop) -> None:
    forget_pins(shop.home)
    forge_card(shop.home, 1, lambda card: _linear(card).update(search={"estimator__memory": ["/tmp/cache"]}))
    refused(shop("rebuild", "visits", "1"), "search.estimator__memory: ", "would have files opened")


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda card: card["recipe"]["training"]["candidates"].pop("linear"), "has no 'linear'"),
        (
            lambda card: card["parameters"].update(C=2),
            "linear was fitted with 'C' = '2', which training.candidates.linear",
        ),
        (lambda card: card.update(training_set="../../../secret"), "is no fingerprint of a training set"),
        (
            lambda card: _linear(card).update(use="sklearn.dummy.DummyRegressor"),
            "it is a regressor, which says numbers",
        ),
        (lambda card: card["set"].update(colour="red"), "The card of version 1 tells of no training set"),
        (lambda card: card["set"].update(classes=["a"]), "cannot be fitted"),
        (lambda card: _argument(card, {"use": 5}), "no longer holds"),
    ],
)
def test_a_card_that_does_not_hold_together_is_told(shop: Shop, forge: Callable[[Any], object], said: str) -> None:
    forget_pins(shop.home)
    forge_card(shop.home, 1, forge)
    refused(shop("rebuild", "visits", "1"), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"recipe": ' + '{"a": ' * 400 + "1" + "}" * 401, "nested more than 50 deep"),
        ('{"rows": ' + "9" * 5_000 + "}", "about.json: "),
        ("[]", "it is no JSON object"),
        ('{"use_case": "\\ud800"}', "surrogates not allowed"),
        ('{"use_case": 1}', "it does not say"),
        ("\x00", "about.json: "),
        ('{"recipe": [' + "[]," * 200_000 + "[]]}", "it does not say"),
    ],
    ids=["deep", "rather deep", "a huge number", "a list", "half a sign", "little", "nothing", "wide"],
)
def test_a_card_that_is_none_is_told(shop: Shop, text: str, said: str) -> None:
    forget_pins(shop.home)
    forge_card(shop.home, 1, text)
    for command in ("rebuild visits 1", "card visits 1", "card visits"):
        refused(shop(*command.split()), said)
    assert said in shop("status", "visits").out


@pytest.mark.parametrize(
    "tag",
    [
        "[" * 100_000,
        '{"metrics": 1}',
        '{"metrics": {"accuracy": "1.0"}}',
        '{"held_out": "5"}',
        '{"passed": 1}',
        '{"rows": "' + "9" * 5_000 + '"}',
        "[]",
        "\x00",
    ],
)
def test_tags_that_nobody_wrote_here_are_told(shop: Shop, tag: str) -> None:
    forge_tags(shop.home, 1, {"about": tag})
    said = "what MLflow's store tells of it was not written here"
    for command in (
        "rebuild visits 1",
        "card visits 1",
        "card visits",
        f"diff visits --day {DAY} --candidate 1 --against 1",
    ):
        refused(shop(*command.split()), said)
    assert said in shop("status", "visits").out
    assert said in shop("history", "visits").err


def test_what_the_tags_say_otherwise_than_the_card_is_noticed(shop: Shop) -> None:
    tag = json.loads(json.loads((shop.home / "lake/visits/versions/000002.json").read_text())["tags"]["about"])
    forge_tags(shop.home, 2, {"about": json.dumps({**tag, "passed": False, "metrics": {"accuracy": 1.0}})})
    said = "MLflow's store says other of version 2 than its card: metrics, passed"
    for command in ("rebuild visits 2", "card visits 2", "promote visits 2 --why x"):
        refused(shop(*command.split()), said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("set", {}, "'set.classes': it tells no labels"),
        ("set", {"classes": [["no"]]}, "'set.classes': it tells no labels"),
        ("origin", {"run": "1"}, "'origin.model': it does not tell"),
        ("rows", "120", "'rows': Input should be a valid integer"),
        ("metrics", {"accuracy": 10**400}, "it has a number of 401 digits"),
    ],
)
def test_a_card_of_other_forms_is_told(shop: Shop, name: str, value: Any, said: str) -> None:
    forget_pins(shop.home)
    forge_card(shop.home, 1, json.dumps({**json.loads(card_of(shop.home, 1).read_text()), name: value}))
    for command in ("rebuild visits 1", "card visits", "feedback visits"):
        done = shop(*command.split())
        assert "not expected" not in done.err
        assert said in done.err or command == "feedback visits"
    assert said in shop("status", "visits").out


@pytest.mark.parametrize("number", [-3, 7])
def test_a_version_that_was_never_registered_has_no_copy_that_counts(shop: Shop, number: int) -> None:
    """Neither one of a number that no history pins, nor one whose file has the name of another."""
    versions = shop.home / "lake" / "visits" / "versions"
    copy = read_json(versions / "000002.json")
    path = versions / f"{number if number > 0 else 2:06d}.json"
    write_json(path, {**copy, "version": number})
    said = "it tells of version -3" if number < 0 else "is not registered here: the history does not know it"
    for command in EVERY_LOOK:
        refused(shop(*command.format(int(path.stem)).split()), said)


def test_a_copy_of_any_other_name_is_passed_over(shop: Shop) -> None:
    versions = shop.home / "lake" / "visits" / "versions"
    before = shop("history", "visits").out
    for name in ("1x.json", "2.json", "0000003.json"):
        shutil.copy(versions / "000001.json", versions / name)
    assert shop("history", "visits").out == before
    store = sqlite_url(shop.home / "mlflow" / "mlflow.db")
    assert RegisteredVersions(Lake(shop.home / "lake", "visits"), store).newest() == 2


@pytest.mark.parametrize("forged", [{"version": "1"}, {"tags": ["a"]}, {"tags": {"about": {"use": "os.system"}}}])
def test_a_copy_in_the_lake_that_is_none_is_told(shop: Shop, forged: dict[str, Any]) -> None:
    path = shop.home / "lake" / "visits" / "versions" / "000001.json"
    write_json(path, {**read_json(path), "source": 1, **forged})
    refused(shop("card", "visits", "1"), "000001.json: cannot be read")
    path.write_text('{"a": ' * 1_000 + "1" + "}" * 1_000)
    refused(shop("card", "visits", "1"), "000001.json is damaged: ")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_training_wrote_brings_no_argument_of_its_own(shop: Shop, mark: Path, name: str) -> None:
    runs, payload = TrainingRuns(shop.home / "lake", "visits"), payloads(mark)[name]
    path = max(
        (shop.home / "lake" / "visits" / "training").glob("*/candidates.json"), key=lambda one: one.stat().st_mtime
    )
    written = read_json(path)
    for candidate in written["candidates"]:
        candidate["parameters"] |= {"C": payload}
    write_json(path, written)
    stored = runs.newest(FittedCandidates)
    assert stored is not None
    use_case = load_use_case(shop.home.parent / "use_cases" / "visits")
    with pytest.raises(MlopsError, match=r"the stored training: \w+ was fitted with 'C' = .* does not offer"):
        evaluate(use_case, stored.training_set, stored.candidates)
    assert not mark.exists()


# -- the history knows the card -----------------------------------------------------------------------------------------

EVERY_LOOK = (
    "rebuild visits {}",
    "card visits {}",
    f"diff visits --day {DAY} --candidate {{}}",
    f"run visits --model {{}} --from {DAY} --to {DAY}",
)


def flatter(card: dict[str, Any]) -> None:
    """A harmless change, and a useful one to whoever wants to be promoted."""
    card["metrics"]["accuracy"], card["passed"] = 1.0, True


@pytest.mark.parametrize("number", [1, 2])
def test_a_card_that_changed_since_it_was_registered_is_noticed(shop: Shop, number: int) -> None:
    became = {1: "became champion", 2: "was registered"}[number]
    forge_card(shop.home, number, flatter)
    for command in EVERY_LOOK:
        refused(
            shop(*command.format(number).split()),
            f"version {number} of visits in MLflow's store",
            f"is not the model that {became}, for it has another card (about.json)",
        )


def test_a_changed_card_of_the_champion_is_shown_by_status_and_scores_no_day(shop: Shop) -> None:
    forge_card(shop.home, 1, flatter)
    for command in ("card visits", f"run visits --from {DAY} --to {DAY}"):
        refused(shop(*command.split()), "another card (about.json)")
    done = shop("status", "visits")
    assert done.code == 0
    assert "another card (about.json)" in done.out
    assert "1.000" not in done.out


def test_nobody_promotes_or_goes_back_to_a_version_whose_card_was_changed(shop: Shop) -> None:
    forge_card(shop.home, 2, flatter)
    refused(shop("promote", "visits", "2", "--why", "better"), "another card (about.json)")
    assert History(shop.home / "lake", "visits").champion() == 1


def test_a_rollback_to_a_changed_version_is_refused(shop: Shop) -> None:
    assert shop("promote", "visits", "2", "--why", "better").code == 0
    forge_card(shop.home, 1, flatter)
    refused(shop("rollback", "visits", "--why", "worse"), "version 1 of visits", "another card (about.json)")
    assert History(shop.home / "lake", "visits").champion() == 2


@pytest.mark.parametrize("which", ["serving", "judged"])
def test_a_model_of_which_the_hash_was_changed_too_is_noticed(shop: Shop, which: str) -> None:
    forge_tags(shop.home, 2, {f"{which}_sha256": "0" * 64})
    refused(shop("card", "visits", "2"), "is not the model that was registered", "Is it the right store?")


def test_a_history_of_an_earlier_release_is_read_and_pins_the_card_from_the_next_promotion_on(shop: Shop) -> None:
    forget_pins(shop.home)
    assert "version 1" in shop("card", "visits").out
    assert shop("promote", "visits", "2", "--why", "better").code == 0
    change = History(shop.home / "lake", "visits").changes()[-1]
    assert change.hashes.about_sha256
    assert change.hashes.judged_sha256
    forge_card(shop.home, 2, flatter)
    refused(shop("card", "visits", "2"), "for it has another card (about.json)")


def test_a_hash_that_changed_in_mlflow_alone_is_not_copied_into_the_lake(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    copy = shop.home / "lake" / "visits" / "versions" / "000001.json"
    before = copy.read_bytes()
    forge_card(shop.home, 1, flatter)
    copy.write_bytes(before)
    assert shop("run", "visits", "--train").code == 0
    assert copy.read_bytes() == before
    refused(shop("card", "visits", "1"), "it is not the one that was registered (another SHA-256)")
    assert card_of(shop.home, 1).exists()


# -- the configuration itself -------------------------------------------------------------------------------------------

CONFIGURED = {
    "parameters: {max_iter: 500}": (
        "parameters: {max_iter: 500, C: {use: subprocess.Popen, parameters: {args: [touch, MARK]}}}",
        "subprocess.Popen",
        "training.candidates.linear.parameters.C.use: subprocess.Popen is no part of a model: it has no method fit(X, y)",
    ),
    "{strategy: prior}": (
        "{strategy: prior, constant: {a: [1, {use: os.system, parameters: {command: touch MARK}}]}}",
        "os.system",
        "training.candidates.majority.parameters.constant.a.1.use: os.system is a builtin_function_or_method, expected",
    ),
    "columns: numbers}": (
        "columns: numbers, parameters: {copy: {use: sklearn.datasets.fetch_openml, parameters: {}}}}",
        "fetch_openml",
        "training.candidates.linear.prepare.0.parameters.copy.use: sklearn.datasets.fetch_openml is no class of sklearn",
    ),
    "max_iter: 500}": (
        "max_iter: 500}\n        search: {C: [1, {use: builtins.open, parameters: {file: MARK, mode: w}}]}",
        "builtins.open",
        "training.candidates.linear.search.C.1.use: builtins.open is a builtin_function_or_method, expected a class",
    ),
    "use: sklearn.linear_model.LogisticRegression": (
        "use: sklearn.utils.os.system",
        "sklearn.utils.os.system",
        "training.candidates.linear.use: 'sklearn.utils.os.system' cannot be imported: No module named",
    ),
    "{max_iter: 500}": (
        "{max_iter: {use: [os.system]}}",
        "[os.system]",
        "training.candidates.linear.parameters.max_iter.use: Input should be a valid string",
    ),
}


@pytest.mark.parametrize("right", CONFIGURED)
def test_a_nested_class_that_is_no_part_of_a_model_is_a_mistake_of_the_configuration(
    shop: Shop, mark: Path, right: str
) -> None:
    wrong, at, said = CONFIGURED[right]
    path = shop.home.parent / "use_cases" / "visits" / "defs.yaml"
    text = VISITS.replace(right, wrong.replace("MARK", str(mark)), 1)
    path.write_text(text, encoding="utf-8")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if at in line)
    for command in ("status visits", "run visits --train", "preview visits"):
        done = shop(*command.split())
        assert done.code == 1
        assert f"defs.yaml:{line}: {said}" in done.err
    assert not mark.exists()
