"""Linear models, naive Bayes, neural networks, the dummy, and how their scores become probabilities."""

from __future__ import annotations

import numpy as np

from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Part, Rule, passes, rules, scores

ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "softmax")
STRATEGIES = ("most_frequent", "prior", "stratified", "uniform", "constant")
LOSSES = ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber")
FURTHER_LOSSES = ("epsilon_insensitive", "squared_epsilon_insensitive")


def _linear(part: Part) -> int:
    features, classes = part.features(), part.classes()
    rows = scores(classes)
    coefficients(part, rows, features)
    return classes


def coefficients(part: Part, rows: int, features: int) -> None:
    """See to the coefficients of a linear model that makes so many scores of so many columns."""
    # ridge has no row of its own for one score
    flat = rows == 1 and getattr(part.get("coef_"), "ndim", 2) == 1
    part.matrix("coef_", *((features,) if flat else (rows, features)))
    if isinstance(part.get("intercept_"), np.ndarray) and part.get("intercept_").ndim:
        part.array("intercept_", rows)
    else:
        part.real("intercept_")


def _sgd(part: Part) -> int:
    part.choice("loss", (*LOSSES, *FURTHER_LOSSES))
    return _linear(part)


def _discriminant(part: Part) -> None:
    features, classes = part.features(), part.classes()
    part.array("priors_", classes)
    part.array("coef_", scores(classes), features)
    part.array("intercept_", scores(classes))
    if part.has("xbar_"):
        part.array("xbar_", features)
    if part.has("scalings_"):
        part.array("scalings_", features, None)
    # as a transformer it makes fewer columns than it knows classes


def _quadratic(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.array("priors_", classes)
    part.array("means_", classes, features)
    rotations = part.list_of("rotations_", classes)
    for number, scalings in enumerate(part.list_of("scalings_", classes)):
        part.see_array(scalings, "scalings_", None)
        part.see_array(rotations[number], "rotations_", features, len(scalings))
    return classes


def _gaussian(part: Part) -> int:
    features, classes = part.features(), part.classes()
    for name in ("theta_", "var_"):
        part.array(name, classes, features)
    part.need((part.get("var_") > 0).all(), "var_ holds a variance that is none")
    part.array("class_prior_", classes)
    return classes


def _counts(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.array("feature_log_prob_", classes, features)
    # the logarithm of what never came is minus infinity
    part.array("class_log_prior_", classes, finite=False)
    return classes


def _categories(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.array("class_log_prior_", classes, finite=False)
    known = part.array("n_categories_", features, kinds="iu", within=(0, LARGEST_WIDTH))
    for number, logarithms in enumerate(part.list_of("feature_log_prob_", features)):
        part.see_array(logarithms, f"feature_log_prob_[{number}]", classes, int(known[number]))
    return classes


def _network(part: Part) -> int:
    features, classes = part.features(), part.classes()
    part.choice("activation", ACTIVATIONS)
    part.choice("out_activation_", ACTIVATIONS)
    layers = part.list_of("coefs_")
    part.whole("n_layers_", len(layers) + 1, len(layers) + 1)
    offsets = part.list_of("intercepts_", len(layers))
    width = features
    for number, weights in enumerate(layers):
        part.see_array(weights, f"coefs_[{number}]", width, None)
        width = weights.shape[1]
        part.see_array(offsets[number], f"intercepts_[{number}]", width)
    part.need(width == scores(classes), f"the last of coefs_ makes {width} scores of {classes} classes")
    part.child(part.get("_label_binarizer"), "_label_binarizer", None)
    return classes


def _labels(part: Part) -> int:
    return part.classes()


def _dummy(part: Part) -> int:
    part.features()
    classes = part.classes()
    part.choice("_strategy", STRATEGIES)
    part.whole("n_outputs_", 1, 1)
    part.whole("n_classes_", classes, classes)
    priors = part.array("class_prior_", classes)
    part.need((priors >= 0).all() and np.isclose(priors.sum(), 1), "class_prior_ are no probabilities")
    return classes


def _calibrated(part: Part) -> int:
    features, classes = part.features(), part.classes()
    for number, member in enumerate(part.list_of("calibrated_classifiers_")):
        name = f"calibrated_classifiers_[{number}]"
        part.need(type(member).__name__ == "_CalibratedClassifier", f"{name} is a {type(member).__name__}")
        if part.child(member, name, features) != classes:
            part.refuse(f"{name} knows other classes")
    return classes


def _calibrated_member(part: Part) -> int:
    classes = part.classes("classes")
    part.choice("method", ("sigmoid", "isotonic", "temperature"))
    part.child(part.get("estimator"), "estimator", part.columns)
    one = part.get("method") == "temperature"
    for number, calibrator in enumerate(part.list_of("calibrators", 1 if one else scores(classes))):
        part.child(calibrator, f"calibrators[{number}]", None)
    return classes


def _sigmoid(part: Part) -> None:
    part.real("a_")
    part.real("b_")


def _temperature(part: Part) -> None:
    part.real("beta_")


def _isotonic(part: Part) -> None:
    known = part.array("X_thresholds_", None)
    part.array("y_thresholds_", len(known))
    part.need(len(known) and (known[:-1] <= known[1:]).all(), "X_thresholds_ are not in order")
    part.real("X_min_")
    part.real("X_max_")
    part.choice("out_of_bounds", ("clip", "nan", "raise"))


RULES: dict[str, Rule] = {
    **rules("sklearn.linear_model._logistic", _linear, "LogisticRegression", "LogisticRegressionCV"),
    **rules("sklearn.linear_model._stochastic_gradient", _sgd, "SGDClassifier"),
    **rules("sklearn.linear_model._perceptron", _sgd, "Perceptron"),
    **rules("sklearn.linear_model._ridge", _linear, "RidgeClassifier", "RidgeClassifierCV"),
    **rules("sklearn.svm._classes", _linear, "LinearSVC"),
    **rules("sklearn.discriminant_analysis", _discriminant, "LinearDiscriminantAnalysis"),
    **rules("sklearn.discriminant_analysis", _quadratic, "QuadraticDiscriminantAnalysis"),
    **rules("sklearn.naive_bayes", _gaussian, "GaussianNB"),
    **rules("sklearn.naive_bayes", _counts, "MultinomialNB", "ComplementNB", "BernoulliNB"),
    **rules("sklearn.naive_bayes", _categories, "CategoricalNB"),
    **rules("sklearn.neural_network._multilayer_perceptron", _network, "MLPClassifier"),
    **rules("sklearn.neural_network._stochastic_optimizers", passes, "AdamOptimizer", "SGDOptimizer"),
    **rules("sklearn.preprocessing._label", _labels, "LabelEncoder", "LabelBinarizer"),
    **rules("sklearn.dummy", _dummy, "DummyClassifier"),
    **rules("sklearn.calibration", _calibrated, "CalibratedClassifierCV"),
    **rules("sklearn.calibration", _calibrated_member, "_CalibratedClassifier"),
    **rules("sklearn.calibration", _sigmoid, "_SigmoidCalibration"),
    **rules("sklearn.calibration", _temperature, "_TemperatureScaling"),
    **rules("sklearn.isotonic", _isotonic, "IsotonicRegression"),
    **rules("sklearn._loss.link", passes, "Interval", "LogitLink", "MultinomialLogit", "HalfLogitLink", "LogLink"),
    **rules("sklearn._loss.link", passes, "IdentityLink"),
    **rules("sklearn._loss.loss", passes, "HalfBinomialLoss", "HalfMultinomialLoss", "ExponentialLoss"),
    **rules("sklearn._loss._loss", passes, "CyHalfBinomialLoss", "CyHalfMultinomialLoss", "CyExponentialLoss"),
    **rules("sklearn.linear_model._sgd_fast", passes, "Hinge", "SquaredHinge", "ModifiedHuber"),
    **rules("sklearn.linear_model._sgd_fast", passes, "EpsilonInsensitive", "SquaredEpsilonInsensitive"),
}
