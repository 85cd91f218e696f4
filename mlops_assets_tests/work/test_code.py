"""The code of a result: a change in anything that is reached is seen, and what changes nothing is not."""

from __future__ import annotations

import ast
import datetime as dt
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlops_assets.journey.enrich.day import enrich_day
from mlops_assets.journey.explain.why import Explanation, explain
from mlops_assets.journey.features.day import aggregate_day, features_code
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.preview.day import Preview, preview_day
from mlops_assets.journey.preview.sample import Trial
from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.rows import read_day, rows_code
from mlops_assets.journey.read.sources.folder import FolderSource
from mlops_assets.journey.score.day import Scorers, score_day, scores_code
from mlops_assets.journey.train.candidates import fit
from mlops_assets.journey.train.training_set import build_training_set
from mlops_assets.journey.train.versions import training_code
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Table
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import Candidate, UseCase
from mlops_assets.views.why import to_text
from mlops_assets.work.code import Code, code_of, forget
from mlops_assets.work.engines.choosing import plan
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets.work.shards import NO_RECORD, Report
from mlops_assets_tests.helpers import day_driver
from mlops_assets_tests.helpers.day_driver import small_shards
from mlops_assets_tests.helpers.days import DAY, draw_day, ignore, read_raw
from mlops_assets_tests.helpers.models import as_version
from mlops_assets_tests.helpers.paths import ROOT

STEPS = ("journey.read.rows", "journey.features.day", "journey.score.day")


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for packages of a user's own."""
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    forget()


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def read(*roots: str) -> Code:
    forget()
    return code_of(*roots)


# -- one module ---------------------------------------------------------------------------------------------------------

TOY = '''
import json

LIMIT: int = 3


class Box:
    """A box."""

    size: int = 1

    def open(self, name: str) -> str:
        found: list[str] = [name]
        return json.dumps(found) + "a" "b"
'''

SAME = {
    "a comment": TOY.replace("LIMIT: int = 3", "LIMIT: int = 3  # and no more\n# than that"),
    "docstrings": TOY.replace("found:", '"""Opens it."""\n        found:').replace("A box", "Another box"),
    "no annotations": TOY.replace(": str)", ")")
    .replace(" -> str", "")
    .replace(": list[str]", "")
    .replace(": int = 3", " = 3"),
    "an annotation's imports": TOY.replace(
        "import json", "import json\nfrom typing import TYPE_CHECKING, Any\nif TYPE_CHECKING:\n    import csv"
    ),
    "formatting": TOY.replace('"a" "b"', "('ab')").replace(
        "json.dumps(found)", "json.dumps(\n            found,\n        )"
    ),
    "the version of a package": f'{TOY}\n__version__ = "1.2"\n',
    "pass": TOY.replace("return", "pass\n        return"),
}

OTHER = {
    "a statement": f"{TOY}\nLIMIT = 4\n",
    "a value": TOY.replace("= 3", "= 4"),
    "1 and 1.0": TOY.replace("= 3", "= 3.0"),
    "a name": TOY.replace("LIMIT", "MOST"),
    "a text": TOY.replace('"a" "b"', '"a"'),
    "the annotation of a field": TOY.replace("size: int", "size: float"),
    "an imported library": TOY.replace("import json", "import ujson as json"),
    "a default": TOY.replace("name: str", "name: str = ''"),
    "the order of statements": TOY.replace("LIMIT: int = 3\n", "") + "\nLIMIT = 3\n",
}


@pytest.mark.parametrize("what", SAME)
def test_what_says_the_same_is_the_same(toys: Path, what: str) -> None:
    assert SAME[what] != TOY
    write(toys, {"toy_one.py": TOY, "toy_two.py": SAME[what]})
    assert read("toy_one").fingerprint == read("toy_two").fingerprint


@pytest.mark.parametrize("what", OTHER)
def test_what_says_something_else_is_another(toys: Path, what: str) -> None:
    assert OTHER[what] != TOY
    write(toys, {"toy_one.py": TOY, "toy_two.py": OTHER[what]})
    assert read("toy_one").fingerprint != read("toy_two").fingerprint


# -- what is reached ----------------------------------------------------------------------------------------------------

WAYS = {
    "from a package": "from toy_shop import helper",
    "from a module": "from toy_shop.helper import help_me",
    "as a whole": "import toy_shop.helper",
    "relative": "from .helper import help_me",
    "relative, the module": "from . import helper as other",
    "in a function": "def f():\n    from toy_shop.helper import help_me",
    "if that works": "try:\n    import toy_shop.helper\nexcept ImportError:\n    pass",
    "by a text": "import importlib\nhelper = importlib.import_module('toy_shop.helper')",
    "by a relative text": "from importlib import import_module\nhelper = import_module('.helper', __package__)",
    "by the name of a class": "USE = {'one': 'toy_shop.helper.Helper'}",
    "through the package": "from toy_shop import through",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_import_is_followed(toys: Path, way: str) -> None:
    files = {"__init__": "", "through": "from . import helper", "helper": "def help_me(): ...", "main": WAYS[way]}
    write(toys / "toy_shop", {f"{name}.py": text for name, text in files.items()})
    before = read("toy_shop.main")
    assert "toy_shop.helper" in before.modules
    write(toys, {"toy_shop/helper.py": "def help_me(): return 1"})
    assert read("toy_shop.main").fingerprint != before.fingerprint


def test_a_package_that_a_module_lies_in_and_its_neighbours_in_a_folder_are_reached(toys: Path) -> None:
    write(toys, {"toy_shop/__init__.py": "A = 1", "toy_shop/deep/__init__.py": "B = 1"})
    write(toys, {"toy_shop/deep/main.py": "import toy_beside", "toy_beside.py": "C = 1", "toy_nobody.py": "D = 1"})
    assert set(read("toy_shop.deep.main").modules) == {"toy_shop", "toy_shop.deep", "toy_shop.deep.main", "toy_beside"}


def test_what_only_a_type_checker_imports_is_not_reached(toys: Path) -> None:
    write(toys, {"toy_a.py": "import typing\nif typing.TYPE_CHECKING:\n    import toy_b\nX = 1", "toy_b.py": "Y = 1"})
    assert set(read("toy_a").modules) == {"toy_a"}


def test_an_import_that_leads_elsewhere_is_seen_though_both_modules_were_reached_before(toys: Path) -> None:
    files = {"toy_a.py": "def f(): return 1", "toy_b.py": "def f(): return 2", "toy_main.py": "import toy_a, toy_b\n"}
    write(toys, files)
    fingerprints = set()
    for source in ("toy_a", "toy_b"):
        write(toys, {"toy_main.py": f"import toy_a, toy_b\nfrom {source} import f"})
        fingerprints.add(read("toy_main").fingerprint)
    assert len(fingerprints) == 2


def test_modules_that_import_each_other_are_no_trouble(toys: Path) -> None:
    write(toys, {"toy_a.py": "import toy_b", "toy_b.py": "import toy_a\nX = 1"})
    before = read("toy_a").fingerprint
    write(toys, {"toy_b.py": "import toy_a\nX = 2"})
    assert read("toy_a").fingerprint != before


def test_what_cannot_be_read_counts_as_it_is_and_what_is_not_there_does_not(toys: Path) -> None:
    write(toys, {"toy_a.py": "import toy_b, toy_not_there", "toy_b.py": "def f(:\n"})
    before = read("toy_a", "", "nobody.knows")
    assert set(before.modules) == {"toy_a", "toy_b"}
    write(toys, {"toy_b.py": "def g(:\n"})
    assert read("toy_a").fingerprint != before.fingerprint


def test_libraries_count_by_their_versions(toys: Path) -> None:
    write(toys, {"toy_a.py": "import json\nfrom PIL import Image\nimport yaml, sklearn.tree"})
    found = dict(read("toy_a").libraries)
    assert found.keys() == {"python", "pillow", "PyYAML", "scikit-learn", "numpy", "scipy"}
    assert code_of("sklearn.tree").source == code_of("json").source == code_of().source
    assert code_of("sklearn.tree").fingerprint != code_of("json").fingerprint


# -- the steps ----------------------------------------------------------------------------------------------------------


OWN_TYPES = r'"mlops_assets\.(encoders|estimators|journey\.model\.flavours)'
"""How a type of the package is named where a stored model may hold it."""


@pytest.fixture
def twin(toys: Path) -> Path:
    """A copy of the package under another name, in which every import was rewritten."""
    shutil.copytree(ROOT / "mlops_assets", toys / "twin", ignore=shutil.ignore_patterns("__pycache__", "defs"))
    for path in (toys / "twin").rglob("*.py"):
        text = re.sub(r"\b(from|import) mlops_assets\b", r"\1 twin", path.read_text(encoding="utf-8"))
        path.write_text(re.sub(OWN_TYPES, r'"twin.\1', text), encoding="utf-8")
    return toys / "twin"


def path_of(twin: Path, module: str) -> Path:
    path = twin.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def roots(package: str) -> list[str]:
    return [f"{package}.{step}" for step in STEPS]


@pytest.mark.parametrize("step", [50, pytest.param(1, marks=pytest.mark.long)], ids=["every fiftieth", "every"])
def test_a_change_in_any_module_that_a_step_reaches_is_seen(twin: Path, step: int) -> None:
    before = read(*roots("twin"))
    assert before.modules.keys() > {
        "twin.encoders",
        "twin.journey.read.readers.pack",
        "twin.journey.read.listing",
        "twin.storage.tables",
    }
    unseen = []
    for module in [*before.modules][::step]:
        path = path_of(twin, module)
        text = path.read_text(encoding="utf-8")
        path.write_text(f"{text}\nchanged = 1\n", encoding="utf-8")
        now = read(*roots("twin"))
        path.write_text(text, encoding="utf-8")
        differ = {name for name in now.modules if now.modules[name] != before.modules[name]}
        if now.fingerprint == before.fingerprint or differ != {module}:
            unseen.append(module)
    assert not unseen


class Talk(ast.NodeTransformer):
    """Gives every function and class docstrings and annotations."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = ast.Constant("Whatever")
        for argument in node.args.args:
            argument.annotation = ast.Constant("Anything")
        return self._explained(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return self._explained(node)

    def _explained(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body.insert(0, ast.Expr(ast.Constant("What this does.")))
        return node


def test_comments_docstrings_annotations_and_formatting_change_nothing(twin: Path) -> None:
    before = read(*roots("twin"))
    for module in before.modules:
        path = path_of(twin, module)
        tree = Talk().visit(ast.parse(path.read_text(encoding="utf-8")))
        lines = ast.unparse(ast.fix_missing_locations(tree)).splitlines()
        path.write_text("# so far\n\n\n" + "\n".join(f"{line}  # so" if line.endswith(":") else line for line in lines))
    assert read(*roots("twin")) == before


def test_the_place_of_a_module_does_not_count(twin: Path) -> None:
    ours = read(*roots("mlops_assets"))
    before = read(*roots("twin"))
    assert before.source == ours.source
    (twin / "cellar" / "far").mkdir(parents=True)
    for new in ("cellar", "cellar/far"):
        (twin / new / "__init__.py").write_text('"""A room."""\n')
    shutil.move(twin / "storage" / "places.py", twin / "cellar" / "far" / "places.py")
    shutil.move(twin / "journey" / "read" / "readers", twin / "cellar" / "readers")
    for path in twin.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = text.replace("twin.storage.places", "twin.cellar.far.places")
        text = text.replace("twin.journey.read.readers", "twin.cellar.readers")
        text = text.replace(
            "from twin.storage import places, s3\n", "from twin.storage import s3\nfrom twin.storage import places\n"
        )
        text = text.replace("from twin.storage import places\n", "from twin.cellar.far import places\n")
        path.write_text(text, encoding="utf-8")
    after = read(*roots("twin"))
    assert after.source == before.source
    assert "twin.cellar.far.places" in after.modules
    assert "twin.storage.places" not in after.modules


def test_two_packages_that_look_alike_cannot_take_each_others_place(toys: Path) -> None:
    faces = {f"{name}/__init__.py": f"from {name}.inner import value\n" for name in ("left", "right")}
    write(toys, faces | {"user.py": "from left import value\nfrom right import value as other\n"})
    write(toys, {"left/inner.py": "value = 1\n", "right/inner.py": "value = 2\n"})
    before = read("user").source
    write(toys, {"left/inner.py": "value = 2\n", "right/inner.py": "value = 1\n"})
    assert read("user").source != before


def test_roots_cannot_take_each_others_place(toys: Path) -> None:
    write(toys, {"first.py": "value = 1\n", "second.py": "value = 2\n"})
    before = read("first", "second").source
    write(toys, {"first.py": "value = 2\n", "second.py": "value = 1\n"})
    assert read("first", "second").source != before


def test_a_class_inside_of_a_class_counts_by_its_module(toys: Path) -> None:
    write(toys, {"nested.py": "class Outer:\n    class Inner:\n        value = 1\n"})
    assert read("nested.Outer").source == read("nested").source != read("absent.Outer").source


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("from math import floor\nfrom numpy import floor\n", "from numpy import floor\nfrom math import floor\n"),
        ("from math import *\nfrom numpy import *\n", "from numpy import *\nfrom math import *\n"),
        ("from collections.abc import Sequence as Kind\n", "from collections.abc import Sized as Kind\n"),
    ],
)
def test_what_a_name_stands_for_counts(toys: Path, text: str, other: str) -> None:
    write(toys, {"names.py": text})
    before = read("names").source
    write(toys, {"names.py": other})
    assert read("names").source != before


# -- what is reached when a day is run -----------------------------------------------------------------------------------

SHARDS = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    reports = [function(task) for function, task in pickle.load(file)]
modules = sorted(name for name in sys.modules if name.partition(".")[0] == "mlops_assets")
print(len(reports), *modules)
"""


class FreshProcess:
    """An engine that does its tasks in this process, and before that in a new one, whose modules it notes."""

    elsewhere = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: set[str] = set()

    def start(self) -> None:
        """There is nothing to get ready."""

    def map(self, function: Callable[[Any], Report], tasks: Sequence[Any]) -> Iterator[Report]:
        given = self.folder / "tasks.pickle"
        given.write_bytes(pickle.dumps([(function, task) for task in tasks]))
        command = [sys.executable, "-c", SHARDS, str(given)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        number, *modules = done.stdout.split()
        assert int(number) == len(tasks) > 0
        self.loaded = set(modules)
        return map(function, tasks)


@pytest.fixture(scope="module")
def forest(transactions: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A model with an encoder of ours."""
    folder = tmp_path_factory.mktemp("forest")
    training_set = build_training_set(transactions, draw_day(transactions, folder, files=12, rows=10))
    candidate = transactions.training.candidates["forest"]
    return as_version(fit(transactions, candidate, training_set, training_set.load()), folder / "version")


def not_walked(loaded: set[str], code: Code) -> set[str]:
    """Loaded modules that say something and that the walk has not found."""
    return {name for name in loaded if name in code_of(name).modules} - code.modules.keys()


def test_nothing_is_loaded_that_the_walk_does_not_reach(transactions: UseCase, forest: Version, tmp_path: Path) -> None:
    forget()
    lake, engine = Lake(tmp_path / "lake", "transactions"), FreshProcess(tmp_path)
    shutil.copytree(forest.folder.parent / "raw", tmp_path / "raw")
    source = FolderSource(tmp_path / "raw" / "transactions", ".csv")

    read_day(transactions, source, lake, list_day(transactions, source, lake.table("raw_files"), DAY), engine, ignore)
    assert not_walked(engine.loaded, rows_code(transactions)) == set()
    enrich_day(transactions, lake, "calendar", DAY)
    aggregate_day(transactions, lake, DAY, engine, ignore)
    assert not_walked(engine.loaded, features_code()) == set()
    done = score_day(transactions, lake, DAY, Scorers(forest), engine, ignore, "")
    assert not done.problems
    assert "mlops_assets.journey.model.scorer.steps" in engine.loaded
    assert not_walked(engine.loaded, scores_code(transactions)) == set()


def test_a_reader_of_ones_own_loads_nothing_that_the_walk_does_not_reach(
    compound_rings: UseCase, tmp_path: Path
) -> None:

    forget()
    list(write_sample(compound_rings, tmp_path / "raw", dt.date.fromisoformat(DAY), 2, 2, 0, 7))
    lake, engine = Lake(tmp_path / "lake", "compound_rings"), FreshProcess(tmp_path)
    source = FolderSource(tmp_path / "raw" / "compound_rings", compound_rings.files.suffix)
    manifest = list_day(compound_rings, source, lake.table("raw_files"), DAY)
    read_day(compound_rings, source, lake, manifest, engine, ignore)
    code = rows_code(compound_rings)
    assert "mlops_assets.defs.compound_rings.picture" in engine.loaded & code.modules.keys()
    assert not_walked(engine.loaded, code) == set()
    assert {"pillow", "scipy", "numpy", "pyarrow"} <= code.libraries.keys()


# -- days that other code made -------------------------------------------------------------------------------------------


class OtherCode:
    """Runs a day with a copy of the package that may be changed."""

    def __init__(self, folder: Path, version: Version) -> None:
        self.folder = folder
        self.version = version
        shutil.copytree(version.folder.parent / "raw", folder / "raw")
        shutil.copytree(
            ROOT / "mlops_assets", folder / "code" / "mlops_assets"
        )  # compiled as it is, which is valid there
        (folder / "code" / "mlops_assets_tests").symlink_to(ROOT / "mlops_assets_tests")
        self.lake = Lake(folder / "lake", "transactions")

    def change(self, module: str, right: str, wrong: str) -> None:
        path = self.folder / "code" / "mlops_assets" / module
        text = path.read_text(encoding="utf-8")
        assert text.count(right) == 1
        path.write_text(text.replace(right, wrong), encoding="utf-8")

    def run(self) -> tuple[int, int]:
        """Shards that were done, and that were reused."""
        arguments = [self.folder / "raw", self.folder / "lake", self.version.folder, self.version.serving_sha256, 1]
        done = subprocess.run(
            [sys.executable, "-m", "mlops_assets_tests.helpers.day_driver", *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder / "code",
            env={**os.environ, "PYTHONPATH": str(self.folder / "code")},
        )
        assert done.returncode == 0, done.stderr
        number, reused = done.stdout.split()[1:]
        return int(number), int(reused)

    def run_here(self) -> tuple[int, int]:
        """The same by the code of this process, which nobody has changed."""
        here = self.folder / "raw", self.folder / "lake", self.version.folder, self.version.serving_sha256
        return day_driver.main(*here, workers=1)

    def published(self) -> list[dict[str, Any]]:
        return self.lake.table("predictions").read_all([DAY]).to_pylist()

    def why(self, use_case: UseCase) -> Explanation:
        source = FolderSource(self.folder / "raw" / "transactions", ".csv")
        row = self.published()[0]
        return explain(use_case, source, self.lake, lambda _: self.version, DAY, row["file"], row["line"])

    def preview(self, use_case: UseCase) -> Preview:
        source = FolderSource(self.folder / "raw" / "transactions", ".csv")
        nobody = Trial(use_case, source, None, lambda version: version)
        planned = partial(plan, Settings.from_environment(), use_case)
        return preview_day(use_case, source, self.lake, DAY, Scorers(self.version), {}, planned, nobody)


def test_a_day_of_other_code_is_told_and_done_again_and_one_of_other_comments_is_not(
    forest: Version, tmp_path: Path
) -> None:
    other, use_case, shards = OtherCode(tmp_path, forest), small_shards(), 2
    right, wrong = "inside[:] = part.T", "inside[:] = part.T * 0"
    other.change("journey/model/scorer/steps.py", right, wrong)
    assert other.run() == (3 * shards, 0)
    broken = other.published()
    told = other.why(use_case)
    assert not told.agrees
    assert told.changed == {"predictions": ("mlops_assets.journey.model.scorer.steps",)}
    said = f"code   predictions: mlops_assets.journey.model.scorer.steps; `mlops-assets run transactions --from {DAY} --to {DAY}` makes the day anew\n"
    assert said in to_text(told)
    found = other.preview(use_case)
    assert found.redo == {"rows": 0, "features": 0, "predictions": shards}
    assert found.reasons == {"predictions were made by other code: mlops_assets.journey.model.scorer.steps": shards}

    assert other.run_here() == (shards, 2 * shards)
    assert other.published() != broken
    told = other.why(use_case)
    assert (told.agrees, told.changed) == (True, {})

    other.change("journey/model/scorer/steps.py", wrong, right)
    other.change("journey/features/sql.py", "BATCH = 20_000", "# rows at a time\nBATCH = 20_000")
    assert other.run() == (0, 3 * shards)


def without_code(table: Table) -> None:
    """Makes the parts of a day as those of an earlier release."""
    for path in table.parts(DAY):
        place = table.folder / path
        part = pq.read_table(place, partitioning=None)
        report = pq.read_metadata(place).metadata[b"mlops_assets"]
        with pq.ParquetWriter(place, part.schema.remove_metadata(), store_schema=False) as writer:
            writer.write_table(part)
            writer.add_key_value_metadata({"mlops_assets": re.sub(r', "code": "\w+"', "", report.decode())})


def test_a_day_of_an_earlier_release_was_made_by_code_of_which_no_record_was_kept(
    forest: Version, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake", "transactions")
    use_case = small_shards()
    shutil.copytree(forest.folder.parent / "raw", tmp_path / "raw")
    read_raw(use_case, tmp_path / "raw", lake, DAY)
    aggregate_day(use_case, lake, DAY, LocalEngine(1), ignore)
    assert not score_day(use_case, lake, DAY, Scorers(forest), LocalEngine(1), ignore, "").problems
    kept = sorted(path.stem for path in (lake.root / "transactions" / "code").iterdir())
    assert kept == sorted(code.fingerprint for code in (rows_code(use_case), features_code(), scores_code(use_case)))
    for table in ("rows", "predictions"):
        without_code(lake.table(table))
    row = lake.table("predictions").read_all([DAY]).to_pylist()[0]
    source = FolderSource(tmp_path / "raw" / "transactions", ".csv")
    told = explain(use_case, source, lake, lambda _: forest, DAY, row["file"], row["line"])
    assert told.changed == {"rows": (NO_RECORD,), "predictions": (NO_RECORD,)}


# -- classes of one's own ------------------------------------------------------------------------------------------------


def test_the_types_of_a_model_and_the_classes_of_candidates_count(transactions: UseCase, toys: Path) -> None:
    write(
        toys, {"toy_models.py": "from toy_base import Base\nclass Forest(Base): ...", "toy_base.py": "class Base: ..."}
    )
    trusted = transactions.training.model_copy(update={"trusted": ("toy_models.Forest",)})
    nested = Candidate.model_construct(use="sklearn.x.Bagging", parameters={"estimator": {"use": "toy_models.Forest"}})
    candidates = transactions.training.model_copy(update={"candidates": {"one": nested}})

    def marks() -> list[str]:
        forget()
        scores = [
            scores_code(transactions.model_copy(update={"training": one})).source
            for one in (transactions.training, trusted)
        ]
        return [*scores, *(training_code(one) for one in (transactions.training, candidates))]

    before = marks()
    write(toys, {"toy_base.py": "class Base:\n    depth = 3"})
    assert [one == other for one, other in zip(before, marks(), strict=True)] == [True, False, True, False]
