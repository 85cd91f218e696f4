"""What models of other libraries say and cost, beside scikit-learn's, on the use cases of the package.

`python -m benchmarks.flavours [FOLDER]` trains each of them through the command, in a home of its own, and puts the
table into `docs/benchmarks.md`, use case by use case as they come; `--only NAME` measures one of them anew. FOLDER
holds the real tables where they are to be had, `transactions/*.csv` and `loan_approval/*.csv`; without them, and for
`santander`, rows are generated. Costs are CPU seconds of one core, which a busy machine does not change much.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml

from benchmarks.sections import kept, put_section
from benchmarks.tables import markdown
from mlops_assets.settings import OWN_USE_CASES

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.journey.model.model import Model
    from mlops_assets.journey.train.training_set import TrainingSet
    from mlops_assets.use_case import UseCase
    from mlops_assets.workspace import Stores

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LIBRARIES = ("scikit-learn", "xgboost-cpu", "lightgbm", "catboost", "onnxruntime", "skl2onnx", "torch")
PAGE = ROOT / "docs" / "benchmarks.md"
NAME = "flavours"
METRICS = ("accuracy", "weighted_f1", "roc_auc", "log_loss")

TREES: Mapping[str, Mapping[str, Any]] = {
    "hist_gradient_boosting": {
        "use": "sklearn.ensemble.HistGradientBoostingClassifier",
        "parameters": {"max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 15, "random_state": 0},
    },
    "xgboost": {
        "use": "xgboost.XGBClassifier",
        "parameters": {"n_estimators": 60, "learning_rate": 0.1, "max_depth": 4, "colsample_bytree": 0.5},
    },
    "xgboost_vectors": {
        "use": "xgboost.XGBClassifier",
        "parameters": {
            "n_estimators": 60,
            "learning_rate": 0.1,
            "max_depth": 4,
            "multi_strategy": "multi_output_tree",
        },
    },
    "lightgbm": {
        "use": "lightgbm.LGBMClassifier",
        "parameters": {
            "n_estimators": 60,
            "learning_rate": 0.1,
            "num_leaves": 15,
            "min_child_samples": 10,
            "colsample_bytree": 0.5,
        },
    },
    "catboost": {
        "use": "catboost.CatBoostClassifier",
        "parameters": {"iterations": 60, "learning_rate": 0.3, "depth": 4},
    },
}
"""The same number of boosting steps for each; nobody tuned them. Of two classes, `xgboost_vectors` is left out."""

NETWORK = "net.Net"
TORCH: Mapping[str, Any] = {
    "use": "mlops_assets.estimators.TorchClassifier",
    "parameters": {"module": NETWORK, "parameters": {"hidden": 32}, "epochs": 50},
}
NUMBERS = {
    "use": "sklearn.impute.SimpleImputer",
    "columns": "numbers",
    "then": [{"use": "sklearn.preprocessing.StandardScaler"}],
}
CATEGORIES = {"use": "mlops_assets.encoders.OneHotEncoder", "parameters": {"min_frequency": 5}, "columns": "categories"}
"""The network of `examples/net.py`, prepared as it says there; what comes fewer than five times is one column."""

TREES_OF_FOREST = 50

COLUMNS = ("use case", "rows", "model", *METRICS, "CPU s a million rows", "KB stored", "measured")

ABOUT = """\
What each model says of the rows that choose among candidates, and what it costs: `python -m benchmarks.flavours`,
trained through the command as any use case is. All boosted ones have 60 steps and nobody tuned them, so the table says
what to try, not who wins. The CPU seconds are those of one core, from the matrix to class and probability; beside
other work, which shares the caches, they come out higher, of the smallest models up to twice.
`torch` is the network of `examples/net.py`; `onnx` is a forest of scikit-learn with {trees} trees, fitted apart,
exported by skl2onnx and asked as `register` takes it. Rows are real or generated, which says `rows`.
{libraries}."""


@dataclass(frozen=True)
class Case:
    """A use case, what is trained beside its baseline, and where its rows are from.

    Attributes
    ----------
    name
        The use case of the package.
    beside
        Its own candidates that are kept.
    day, days
        First and number of the days that are sampled.
    real
        The real table below the folder; None if there is none with labels.
    many
        Whether it has more than two classes.
    texts
        Whether it has columns of text.
    """

    name: str
    beside: Sequence[str]
    day: str
    days: int
    real: str | None = None
    many: bool = False
    texts: bool = True

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """What makes numbers of its texts."""
        return [CATEGORIES] if self.texts else []

    @property
    def own(self) -> str:
        """Name of its copy with other candidates."""
        return f"flavours_{self.name}"


CASES = (
    Case("transactions", ("linear", "forest", "vote"), "2026-01-01", 3, "transactions", many=True),
    Case("santander", ("linear", "bayes"), "2026-01-01", 3, texts=False),
    Case("loan_approval", ("linear",), "2026-01-01", 3, "loan_approval"),
)


def _place(case: Case, folder: Path) -> None:
    """A copy of a use case with the candidates that are compared."""
    shutil.copytree(OWN_USE_CASES / case.name, folder / case.own)
    path = folder / case.own / "defs.yaml"
    defs = yaml.safe_load(path.read_text(encoding="utf-8"))
    training = defs["attributes"]["training"]
    own = {name: training["candidates"][name] for name in (training["baseline"], *case.beside)}
    further = {name: dict(one) for name, one in TREES.items() if case.many or name != "xgboost_vectors"}
    training["candidates"] = {**own, **further, "torch": {**TORCH, "prepare": [NUMBERS, *case.categories]}}
    training["trusted"] = [*training.get("trusted", ()), NETWORK]
    path.write_text(yaml.safe_dump(defs, sort_keys=False), encoding="utf-8")


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "mlops_assets.cli", *arguments], check=True, stdout=subprocess.DEVNULL)


def _rows(case: Case, tables: Path | None) -> str:
    """Put rows into the raw folder; says what they are."""
    found = sorted((tables / case.real).glob("*.csv")) if tables and case.real else []
    if not found:
        _run("sample", case.own, "--day", case.day, "--days", str(case.days))
        return "generated"
    _run("import", case.own, str(found[0]), *(["--day", case.day] if case.real == "loan_approval" else []))
    return "real"


def _trained(case: Case) -> Iterator[dict[str, str]]:
    """A line for each candidate of the newest training, and for a model that was exported."""
    from mlops_assets.journey.train.records import Evaluation, FittedCandidates
    from mlops_assets.workspace import Workspace

    stores = Workspace.from_environment().find(case.own)
    newest = stores.runs.newest(Evaluation)
    fitted = {one.name: one for one in stores.runs.newest(FittedCandidates).candidates}
    for name, one in fitted.items():
        score, model = newest.score(name), {"model": name.replace("_", " ")}
        if score is None or one.failed or score.failed:
            yield {**model, "accuracy": "fails"}
            continue
        yield model | _line(score.validation, score.rows_per_second, one.size)
    yield {"model": "onnx", **_line(*exported(stores, newest.training_set))}


def _line(figures: Mapping[str, float], rows_per_second: float, size: int) -> dict[str, str]:
    told = {metric: f"{figures[metric]:.3f}" for metric in METRICS if metric in figures}
    told["CPU s a million rows"] = f"{1e6 / max(1e-9, rows_per_second):.2f}"
    return {**told, "KB stored": f"{size / 1024:,.0f}"}


def exported(stores: Stores, data: TrainingSet) -> tuple[dict[str, float], float, int]:
    """What a forest says that was fitted apart and exported as ONNX, of the rows that choose among candidates.

    Returns
    -------
    tuple
        Its metrics, rows a CPU second, and bytes of its file.
    """
    from mlops_assets.journey.train.folds import ask_for, joined
    from mlops_assets.journey.train.origins import CHOOSES, rounds
    from mlops_assets.journey.train.scores import figures
    from mlops_assets.journey.train.speed import speed
    from mlops_assets.notebook import rows_of

    table, said = data.load(), []
    for one in rounds(data.origins, table, stores.use_case.training):
        if one.part == CHOOSES:
            learned = rows_of(table.take(pa.array(one.learned)), data.features)
            content = _export(learned.X, learned.y)
            model = _as_registered(stores.use_case, content, data.classes)
            said.append(ask_for(model, table.take(pa.array(one.tested))))
    found = figures(stores.use_case.training, data.classes, joined(said))
    return found, speed(model, model.matrix(table)), len(content)


def _export(rows: pd.DataFrame, labels: pd.Series) -> bytes:
    """A forest, fitted and exported: with one input of all columns where these are numbers, else one for each."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers = [*rows.select_dtypes("number")]
    texts = [name for name in rows if name not in numbers]
    forest = RandomForestClassifier(TREES_OF_FOREST, min_samples_leaf=5, random_state=0)
    if texts:
        known = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        model = make_pipeline(make_column_transformer((SimpleImputer(), numbers), (known, texts)), forest)
        types = [(name, (StringTensorType if name in texts else FloatTensorType)([None, 1])) for name in rows]
        fitted = model.fit(rows, labels)
    else:
        types = [("rows", FloatTensorType([None, len(numbers)]))]
        fitted = make_pipeline(SimpleImputer(), forest).fit(rows.to_numpy(), labels)
    content: bytes = to_onnx(fitted, initial_types=types, options={"zipmap": False}).SerializeToString()
    return content


def _as_registered(use_case: UseCase, content: bytes, labels: Sequence[str]) -> Model:
    """The model of such a file, loaded as it is after `register`."""
    from mlops_assets.journey.model.model import Model
    from mlops_assets.journey.train.from_file import model_of_file

    brought = model_of_file(use_case, "model.onnx", "onnx", content, labels)
    with TemporaryDirectory() as folder:
        sha256 = brought.model.save(Path(folder) / "model")
        return Model.load(Path(folder) / "model", sha256)


def _measured(case: Case, tables: Path | None) -> list[dict[str, str]]:
    """The lines of a use case, measured in a home of its own, which is removed."""
    with TemporaryDirectory() as home:
        os.environ |= {"MLOPS_HOME": f"{home}/home", "MLOPS_USE_CASES": f"{home}/cases", "MLOPS_WORKERS": "1"}
        _place(case, Path(home) / "cases")
        about = {"use case": case.name, "rows": _rows(case, tables)}
        _run("run", case.own, "--train")
        return [about | line | {"measured": f"{dt.date.today()}"} for line in _trained(case)]


def told_on(page: Path) -> list[dict[str, str]]:
    """The lines of the table as they stand on the page, so that measuring one use case keeps those of the others."""
    table = [line.strip("| ").split(" | ") for line in kept(NAME, page).splitlines() if line.startswith("| ")]
    return [dict(zip(table[0], line, strict=False)) for line in table[2:]]


def section(lines: Sequence[Mapping[str, str]]) -> str:
    """The section of the page."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    about = ABOUT.format(libraries=libraries, trees=TREES_OF_FOREST)
    order = [case.name for case in CASES]
    sorted_lines = sorted(lines, key=lambda line: order.index(line["use case"]))
    table = markdown(COLUMNS, [[line.get(column, "") for column in COLUMNS] for line in sorted_lines])
    return f"## What models of other libraries cost\n\n{about}\n\n{table}"


def main() -> None:
    """Train, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="real tables")
    parser.add_argument(
        "--only", choices=[case.name for case in CASES], help="one use case; the others' lines are kept"
    )
    parser.add_argument("--print", action="store_true", help="write nothing")
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(EXAMPLES), os.environ.get("PYTHONPATH"))))
    sys.path.append(str(EXAMPLES))
    lines = told_on(PAGE)
    for case in CASES:
        if asked.only in (None, case.name):
            lines = [line for line in lines if line["use case"] != case.name] + _measured(case, asked.folder)
            if not asked.print:
                put_section(NAME, section(lines), PAGE)
    print(section(lines))


if __name__ == "__main__":
    main()
