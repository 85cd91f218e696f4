"""Regressors: what says a number of a row, and knows no classes."""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.structure.linear import coefficients
from mlops_assets.journey.model.structure.parts import INTEGERS, Part, Rule, passes, rules
from mlops_assets.journey.model.structure.trees import REGRESSORS, stages, trees_inside

LOSSES = ("HalfSquaredError", "AbsoluteError", "PinballLoss", "HuberLoss", "HalfPoissonLoss", "HalfGammaLoss")
LINKS = ("IdentityLink", "LogLink")


def _linear(part: Part) -> int:
    coefficients(part, 1, part.features())
    return 1


def _generalized(part: Part) -> int:
    _loss(part, "_base_loss")
    return _linear(part)


def _loss(part: Part, name: str = "_loss") -> None:
    loss = part.get(name)
    part.need(type(loss).__name__ in LOSSES, f"{name} is a {type(loss).__name__}")
    link = type(vars(loss).get("link")).__name__
    part.need(link in LINKS, f"{name} has the link {link}")


def _dummy(part: Part) -> int:
    part.features()
    part.whole("n_outputs_", 1, 1)
    part.array("constant_", 1, 1, kinds="fiu")
    return 1


def _forest(part: Part) -> int:
    features = part.features()
    part.whole("n_outputs_", 1, 1)
    trees_inside(part, part.list_of("estimators_"), REGRESSORS, features, 1)
    return 1


def _gradient_boosting(part: Part) -> int:
    features = part.features()
    part.whole("n_trees_per_iteration_", 1, 1)
    part.real("learning_rate")
    trees = part.array("estimators_", None, 1, kinds="O")
    part.whole("n_estimators_", 1, len(trees))
    trees_inside(part, trees.ravel().tolist(), REGRESSORS, features, 1)
    _loss(part)
    if part.get("init_") != "zero":
        # it makes the rows that compiled code writes numbers into
        part.need(part.child(part.get("init_"), "init_", features) == 1, "init_ says more than a number")
    return 1


def _hist_gradient_boosting(part: Part) -> int:
    features = part.features()
    part.whole("n_trees_per_iteration_", 1, 1)
    part.array("_baseline_prediction", 1, 1)
    _loss(part)
    stages(part, features, 1)
    return 1


def _bagging(part: Part) -> int:
    part.one_process()
    features = part.features()
    members = part.list_of("estimators_")
    for number, chosen in enumerate(part.list_of("estimators_features_", len(members))):
        name = f"estimators_features_[{number}]"
        columns = part.see_array(chosen, name, None, kinds=INTEGERS, within=(0, features))
        _member(part, members[number], f"estimators_[{number}]", len(columns))
    return 1


def _member(part: Part, member: object, name: str, columns: int | None) -> None:
    part.need(part.child(member, name, columns) in (1, None), f"{name} says more than a number")


def _voting(part: Part) -> int:
    members = part.list_of("estimators_")
    for number, member in enumerate(members):
        _member(part, member, f"estimators_[{number}]", part.columns)
    if part.has("weights"):
        weights = part.see_array(np.asarray(part.get("weights"), np.float64), "weights", None)
        part.need((weights >= 0).all() and weights.sum() > 0, "weights are none")
    return 1


def _stacking(part: Part) -> int:
    members = [member for member in part.list_of("estimators_") if not isinstance(member, str)]
    for number, member in enumerate(members):
        _member(part, member, f"estimators_[{number}]", part.columns)
    part.need(set(part.list_of("stack_method_")) <= {"predict"}, "stack_method_ names what is no method")
    beside = part.columns if part.get("passthrough") else 0
    columns = None if beside is None else len(members) + beside
    _member(part, part.get("final_estimator_"), "final_estimator_", columns)
    return 1


def _transformed(part: Part) -> int:
    part.whole("_training_dim", 1, 1)
    part.child(part.get("transformer_"), "transformer_", 1)
    _member(part, part.get("regressor_"), "regressor_", part.columns)
    return 1


def _on_frame(part: Part) -> int:
    names = part.list_of("columns")
    part.need(all(type(name) is str for name in names), "columns are no names")
    part.need(part.columns in (None, len(names)), f"it takes {len(names)} columns and is handed {part.columns}")
    part.need(set(part.get("texts")) <= set(names), "texts are no columns")
    _member(part, part.get("estimator"), "estimator", len(names))
    return 1


LINEAR = "sklearn.linear_model"

RULES: dict[str, Rule] = {
    **rules(f"{LINEAR}._ridge", _linear, "Ridge", "RidgeCV"),
    **rules(f"{LINEAR}._base", _linear, "LinearRegression"),
    **rules(f"{LINEAR}._coordinate_descent", _linear, "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV"),
    **rules(f"{LINEAR}._least_angle", _linear, "Lars", "LarsCV", "LassoLars", "LassoLarsCV", "LassoLarsIC"),
    **rules(f"{LINEAR}._bayes", _linear, "BayesianRidge"),
    **rules(f"{LINEAR}._huber", _linear, "HuberRegressor"),
    **rules(f"{LINEAR}._quantile", _linear, "QuantileRegressor"),
    **rules(f"{LINEAR}._theil_sen", _linear, "TheilSenRegressor"),
    **rules(f"{LINEAR}._stochastic_gradient", _linear, "SGDRegressor"),
    **rules(f"{LINEAR}._glm.glm", _generalized, "PoissonRegressor", "GammaRegressor"),
    **rules("sklearn.svm._classes", _linear, "LinearSVR"),
    **rules("sklearn.dummy", _dummy, "DummyRegressor"),
    **rules("sklearn.ensemble._forest", _forest, "RandomForestRegressor", "ExtraTreesRegressor"),
    **rules("sklearn.ensemble._gb", _gradient_boosting, "GradientBoostingRegressor"),
    **rules(
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
        _hist_gradient_boosting,
        "HistGradientBoostingRegressor",
    ),
    **rules("sklearn.ensemble._bagging", _bagging, "BaggingRegressor"),
    **rules("sklearn.ensemble._voting", _voting, "VotingRegressor"),
    **rules("sklearn.ensemble._stacking", _stacking, "StackingRegressor"),
    **rules("sklearn.compose._target", _transformed, "TransformedTargetRegressor"),
    **rules("mlops_assets.encoders", _on_frame, "NumbersOnFrame"),
    **rules("sklearn._loss.loss", passes, *LOSSES),
    **rules("sklearn._loss._loss", passes, *(f"Cy{name}" for name in LOSSES)),
}
