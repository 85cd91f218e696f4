"""In: which kinds of columns a table has. Out: the lines of `defs.yaml` that name the models to try for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

import yaml

BOOSTED_CLASSES = 10
"""Most classes for which scikit-learn's boosting is proposed: it has a tree a class and round, and asks all of them."""

BOOSTED_WORDS = 300
"""Words of a text that boosting sees, the commonest: it looks at each of them for every split."""


@dataclass(frozen=True)
class Kinds:
    """What there is for a model to see.

    Attributes
    ----------
    numbers, words
        Whether there are columns of numbers, and of categories.
    texts
        Names of columns that are read word by word, as YAML writes them.
    """

    numbers: bool
    words: bool
    texts: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether there is anything beside texts."""
        return self.numbers or self.words


class _Boosting(NamedTuple):
    """A library that boosts trees: what must be installed for it, its classes, and their arguments.

    Attributes
    ----------
    of_many
        Further arguments where there are more than two classes and no words: of those each class gets trees of its own.
    words
        Whether it takes words, of which a row has few, as they are.
    """

    module: str
    use: str
    parameters: Mapping[str, Any]
    of_many: Mapping[str, Any] = {}
    words: bool = True


BOOSTING = (
    _Boosting(
        "xgboost",
        "xgboost.XGB",
        {"n_estimators": 200, "learning_rate": 0.05, "max_depth": 5, "min_child_weight": 3, "subsample": 0.8},
        {"multi_strategy": "multi_output_tree"},  # a tree for all classes: asked in a fraction of the time
    ),
    _Boosting(
        "lightgbm",
        "lightgbm.LGBM",
        {"n_estimators": 200, "learning_rate": 0.05, "num_leaves": 15, "min_child_samples": 10},
    ),
    _Boosting(
        "sklearn",
        "sklearn.ensemble.HistGradientBoosting",
        {"max_iter": 200, "learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 10, "early_stopping": False},
        words=False,
    ),
)
"""Libraries for boosting; the first that is installed is proposed."""

_IMPUTE = [
    "          - use: sklearn.impute.SimpleImputer",
    "            parameters: {strategy: median, keep_empty_features: true}",
    "            columns: numbers",
]
_ONE_HOT = [
    "          - use: mlops_assets.encoders.OneHotEncoder",
    "            parameters: {min_frequency: 5}",
    "            columns: categories",
]
_CLASSES = [
    "    baseline: majority",
    "    candidates:",
    "      majority:",
    "        use: sklearn.dummy.DummyClassifier",
    "        parameters: {strategy: prior}",
    "      linear:",
    "        use: sklearn.linear_model.LogisticRegression",
    "        parameters: {max_iter: 1000}",
]
_NUMBERS = [
    "    baseline: median  # of all numbers, the one whose absolute error is least",
    "    candidates:",
    "      median:",
    "        use: sklearn.dummy.DummyRegressor",
    "        parameters: {strategy: median}",
    "      linear:",
    "        use: sklearn.linear_model.Ridge",
    "        parameters: {alpha: 1.0}",
]


def write_candidates(kinds: Kinds, classes: int, rows: int) -> list[str]:
    """The lines of the baseline and of the candidates: a linear model, a forest, boosting.

    Parameters
    ----------
    kinds
        What there is to see.
    classes
        Number of classes; 0 where the label is a number.
    rows
        Rows that have a label.
    """
    return [
        *(_CLASSES if classes else _NUMBERS),
        "        prepare:",
        *([*_IMPUTE, "            then: [{use: sklearn.preprocessing.StandardScaler}]"] if kinds.numbers else []),
        *(_ONE_HOT if kinds.words else []),
        *_read_words(kinds.texts, rows),
        *([*_forest(kinds, classes), *_boosting(kinds, classes, rows)] if kinds.plain else []),
    ]


def _forest(kinds: Kinds, classes: int) -> list[str]:
    """The lines of a candidate that sees all but texts."""
    prepare = [*(_IMPUTE if kinds.numbers else []), *_dropped(kinds.texts)]
    return [
        "      forest:",
        f"        use: sklearn.ensemble.ExtraTrees{_kind(classes)}",
        "        parameters: {n_estimators: 100, min_samples_leaf: 2, random_state: 0}",
        *(["        prepare:", *prepare] if prepare else []),
    ]


def _boosting(kinds: Kinds, classes: int, rows: int) -> list[str]:
    """The lines of a candidate that takes what is missing as it is, and sees the commonest words, if it can."""
    library = next(each for each in BOOSTING if find_spec(each.module))
    words = library.words and bool(kinds.texts)
    # trees for all classes at once take XGBoost five times as long to fit to words
    at_once = library.of_many if classes > 2 and not (words and classes <= BOOSTED_CLASSES) else {}
    if classes > BOOSTED_CLASSES and not at_once:
        return []
    parameters = {**library.parameters, **at_once, "random_state": 0}
    texts = _read_words(kinds.texts, rows, BOOSTED_WORDS) if words else _dropped(kinds.texts)
    return [
        "      boosting:",
        f"        use: {library.use}{_kind(classes)}",
        f"        parameters: {_on_one_line(parameters)}",
        *(["        prepare:", *texts] if texts else []),
    ]


def _kind(classes: int) -> str:
    return "Classifier" if classes else "Regressor"


def _dropped(texts: Iterable[str]) -> list[str]:
    return [f"          - {{use: drop, columns: [{text}]}}" for text in texts]


def _read_words(texts: Iterable[str], rows: int, most: int = 20_000) -> list[str]:
    """The lines that count the words of each text; those of few rows are all kept."""
    fewest = 2 if rows >= 1_000 else 1
    parameters = {"min_df": fewest, "max_features": most, "sublinear_tf": True, "strip_accents": "unicode"}
    return [
        line
        for text in texts
        for line in (
            "          - use: sklearn.feature_extraction.text.TfidfVectorizer",
            f"            parameters: {_on_one_line(parameters)}",
            f"            columns: [{text}]",
        )
    ]


def _on_one_line(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=float("inf")).strip()
