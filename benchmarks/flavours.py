"""What models of other libraries say and cost, beside scikit-learn's, on the use cases of the package.

`python -m benchmarks.flavours [FOLDER]` trains each of them through the command, in a home of its own, and puts the
table into `docs/benchmarks.md`. FOLDER holds the real tables where they are to be had, `transactions/*.csv` and
`loan_approval/*.csv`; without them, and for `santander`, rows are generated. Costs are CPU seconds of one core, which a
busy machine does not change much; whoever reports them runs it alone all the same.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks.sections import put_section
from benchmarks.tables import markdown
from mlops_assets.settings import OWN_USE_CASES

ROOT = Path(__file__).parents[1]
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

ABOUT = """\
What each model says of the rows that choose among candidates, and what it costs: `python -m benchmarks.flavours`,
trained through the command as any use case is. All boosted ones have 60 steps and nobody tuned them, so the table says
what to try, not who wins. The CPU seconds are those of one core, from the matrix to class and probability.
{libraries}.

{rows}"""


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
    """

    name: str
    beside: Sequence[str]
    day: str
    days: int
    real: str | None = None
    many: bool = False

    @property
    def own(self) -> str:
        """Name of its copy with other candidates."""
        return f"flavours_{self.name}"


CASES = (
    Case("transactions", ("linear", "forest", "vote"), "2026-01-01", 3, "transactions", many=True),
    Case("santander", ("linear", "bayes"), "2026-01-01", 3),
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
    training["candidates"] = {**own, **further}
    path.write_text(yaml.safe_dump(defs, sort_keys=False), encoding="utf-8")


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "mlops_assets.cli", *arguments], check=True, stdout=subprocess.DEVNULL)


def _rows(case: Case, tables: Path | None) -> str:
    """Put rows into the raw folder; says where they are from."""
    found = sorted((tables / case.real).glob("*.csv")) if tables and case.real else []
    if not found:
        _run("sample", case.own, "--day", case.day, "--days", str(case.days))
        return "generated rows"
    _run("import", case.own, str(found[0]), *(["--day", case.day] if case.real == "loan_approval" else []))
    return "the real rows"


def _trained(case: Case) -> Iterator[dict[str, Any]]:
    """A line for each candidate of the newest training."""
    from mlops_assets.journey.train.records import Evaluation, FittedCandidates
    from mlops_assets.workspace import Workspace

    stores = Workspace.from_environment().find(case.own)
    newest = stores.runs.newest(Evaluation)
    fitted = {one.name: one for one in stores.runs.newest(FittedCandidates).candidates}
    for name, one in fitted.items():
        score = newest.score(name)
        told = {"use case": case.name, "model": name.replace("_", " ")}
        if score is None or one.failed or score.failed:
            yield {**told, "accuracy": "fails"}
            continue
        told |= {metric: f"{score.validation[metric]:.3f}" for metric in METRICS if metric in score.validation}
        told["CPU s a million rows"] = f"{1e6 / max(1e-9, score.rows_per_second):.2f}"
        yield {**told, "s to fit": f"{one.fit_seconds:.2f}", "KB stored": f"{one.size / 1024:,.0f}"}


def main() -> None:
    """Train, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="real tables")
    parser.add_argument("--only", help="one use case")
    parser.add_argument("--print", action="store_true", help="write nothing")
    asked = parser.parse_args()
    lines, facts = [], []
    with TemporaryDirectory() as home:
        os.environ |= {"MLOPS_HOME": f"{home}/home", "MLOPS_USE_CASES": f"{home}/cases", "MLOPS_WORKERS": "1"}
        for case in CASES:
            if asked.only in (None, case.name):
                _place(case, Path(home) / "cases")
                facts.append(f"`{case.name}`: {_rows(case, asked.folder)}")
                _run("run", case.own, "--train")
                lines += _trained(case)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    table = markdown(columns, [[line.get(column, "") for column in columns] for line in lines])
    libraries = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "xgboost-cpu", "lightgbm", "catboost"))
    text = "\n\n".join(
        [
            "## What models of other libraries cost",
            ABOUT.format(libraries=libraries, rows="; ".join(facts) + "."),
            table,
        ]
    )
    print(text)
    if not asked.print:
        put_section(NAME, text, PAGE)


if __name__ == "__main__":
    main()
