"""One small fitted estimator of every family whose structure is known, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from mlops_assets import encoders
from mlops_assets.journey.features.matrix import TEXT
from mlops_assets.journey.model.archive import ALLOWED_TYPES, Known
from mlops_assets.journey.model.model import Model

NUMBERS: dict[str, Known] = {"kind": None, "amount": None, "age": None}
WORDS: dict[str, Known] = {"text": TEXT, "amount": None}
TREE = DecisionTreeClassifier(max_depth=3, random_state=0)


def _matrix() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    matrix = generator.uniform(0, 5, (60, 3))
    matrix[:, 0] = generator.integers(0, 4, 60)
    return matrix, np.digitize(matrix[:, 1] + generator.normal(0, 0.3, 60), [1.6, 3.3])


MATRIX, TARGET = _matrix()
LABELS = ("low", "middle", "high")
TEXTS = np.array([["two red apples", 1.0], ["blue apples", 2.0], ["red and blue", 3.0]] * 20, dtype=object)


def _after(*steps: Any) -> Any:
    return make_pipeline(*steps, LogisticRegression(max_iter=500))


def _of_texts(vectorizer: Any) -> Any:
    first = make_pipeline(vectorizer, TruncatedSVD(2, random_state=0))
    rest = make_pipeline(encoders.AsNumbers(), SimpleImputer(), StandardScaler())
    return _after(ColumnTransformer([("words", first, 0), ("numbers", rest, [1])]))


MANY: dict[str, Callable[[], Any]] = {
    "tree": lambda: DecisionTreeClassifier(max_depth=4, ccp_alpha=0.01, random_state=0),
    "extra tree": lambda: ExtraTreeClassifier(max_leaf_nodes=6, random_state=0),
    "forest": lambda: RandomForestClassifier(4, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(4, bootstrap=True, random_state=0),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=3, random_state=0),
    "hist gradient boosting": lambda: HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "hist gradient boosting of categories": lambda: HistGradientBoostingClassifier(
        max_iter=3, random_state=0, categorical_features=[0]
    ),
    "ada boost": lambda: AdaBoostClassifier(TREE, n_estimators=3, random_state=0),
    "bagging": lambda: BaggingClassifier(TREE, n_estimators=3, max_features=2, random_state=0),
    "logistic": LogisticRegression,
    "logistic by folds": lambda: LogisticRegressionCV(
        Cs=2, cv=2, l1_ratios=(0.0,), use_legacy_attributes=False, scoring="accuracy"
    ),
    "stochastic": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "discriminant": LinearDiscriminantAnalysis,
    "quadratic discriminant": QuadraticDiscriminantAnalysis,
    "gaussian": GaussianNB,
    "multinomial": MultinomialNB,
    "complement": ComplementNB,
    "bernoulli": BernoulliNB,
    "categories": lambda: make_pipeline(OrdinalEncoder(), CategoricalNB(min_categories=60)),
    "neighbours by force": lambda: KNeighborsClassifier(algorithm="brute"),
    "neighbours by k-d tree": lambda: KNeighborsClassifier(algorithm="kd_tree", leaf_size=5),
    "neighbours by ball tree": lambda: KNeighborsClassifier(algorithm="ball_tree", p=3, weights="distance"),
    "sparse neighbours": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), KNeighborsClassifier()),
    "network": lambda: MLPClassifier((4,), max_iter=5, random_state=0),
    "dummy": DummyClassifier,
    "calibrated": lambda: CalibratedClassifierCV(LinearSVC(), cv=2),
    "calibrated by steps": lambda: CalibratedClassifierCV(GaussianNB(), cv=2, method="isotonic"),
    "calibrated perceptron": lambda: CalibratedClassifierCV(Perceptron(random_state=0), cv=2),
    "calibrated ridge": lambda: CalibratedClassifierCV(RidgeClassifier(), cv=2),
    "support vectors": lambda: CalibratedClassifierCV(SVC(random_state=0), cv=2),
    "sparse support vectors": lambda: CalibratedClassifierCV(
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), SVC(random_state=0)), cv=2
    ),
    "other support vectors": lambda: CalibratedClassifierCV(NuSVC(nu=0.1, random_state=0), cv=2),
    "voting": lambda: VotingClassifier([("a", GaussianNB()), ("b", TREE)], voting="soft", weights=[1, 2]),
    "stacking": lambda: StackingClassifier([("a", GaussianNB()), ("b", TREE)], cv=2),
    "standard": lambda: _after(StandardScaler()),
    "least and most": lambda: _after(MinMaxScaler(), MaxAbsScaler()),
    "robust": lambda: _after(RobustScaler(), Normalizer(), Binarizer()),
    "power": lambda: _after(PowerTransformer()),
    "quantiles": lambda: _after(QuantileTransformer(n_quantiles=10)),
    "polynomial": lambda: _after(StandardScaler(), PolynomialFeatures(3, interaction_only=True)),
    "bins": lambda: _after(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf")),
    "one hot": lambda: _after(OneHotEncoder(drop="first")),
    "one hot of rare": lambda: _after(OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist")),
    "own one hot": lambda: _after(encoders.OneHotEncoder()),
    "own one hot of rare": lambda: _after(encoders.OneHotEncoder(min_frequency=5)),
    "targets": lambda: _after(TargetEncoder(random_state=0)),
    "own targets": lambda: _after(encoders.TargetEncoder()),
    "imputer": lambda: _after(SimpleImputer(strategy="median", add_indicator=True)),
    "imputer by neighbours": lambda: _after(KNNImputer()),
    "enough variance": lambda: _after(VarianceThreshold()),
    "components": lambda: _after(PCA(2)),
    "union": lambda: _after(FeatureUnion([("a", StandardScaler()), ("b", FunctionTransformer())])),
    "columns": lambda: _after(ColumnTransformer([("a", StandardScaler(), [1])], remainder="passthrough")),
    "on a frame": lambda: encoders.OnFrame(LogisticRegression(), tuple(NUMBERS), (), (0, 1, 2)),
}
"""Estimators of numbers, not yet fitted."""

OF_TEXTS: dict[str, Callable[[], Any]] = {
    "counted words": lambda: _of_texts(CountVectorizer(ngram_range=(1, 2), stop_words="english")),
    "weighted words": lambda: _of_texts(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3))),
    "weighted later": lambda: _of_texts(make_pipeline(CountVectorizer(), TfidfTransformer())),
    "hashed words": lambda: _of_texts(HashingVectorizer(n_features=64)),
}
"""Estimators of a text and a number, not yet fitted."""


def fitted(name: str, classes: int = 3) -> Model:
    """A model of an estimator of the tables, which a test may change; it is fitted once a process.

    Parameters
    ----------
    name
        Its name there.
    classes
        How many classes it learns, 2 or 3.
    """
    return deepcopy(_fitted(name, classes))


@cache
def _fitted(name: str, classes: int) -> Model:
    target = np.minimum(TARGET, classes - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few rows converge nowhere
        if name in OF_TEXTS:
            estimator = OF_TEXTS[name]().fit(TEXTS, target)
            return Model(estimator, WORDS, LABELS[:classes], "-- SQL")
        estimator = MANY[name]()
        if name == "on a frame":
            estimator.estimator.fit(encoders.as_frame(MATRIX, tuple(NUMBERS), ()), target)
            estimator.classes = tuple(range(classes))
        else:
            estimator.fit(MATRIX, target)
    return Model(estimator, NUMBERS, LABELS[:classes], "-- SQL")


def rows_of(model: Model) -> np.ndarray:
    """The rows that a model of the tables was fitted on."""
    return TEXTS if "text" in model.columns else MATRIX


def to_trust(estimator: Any) -> list[str]:
    """What a person must name in `training.trusted` so that an estimator is loaded at all."""
    asked = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
    return [name for name in asked if name not in ALLOWED_TYPES]
