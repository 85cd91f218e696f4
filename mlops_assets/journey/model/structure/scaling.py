"""Transformers of numbers: scalers, imputers, those that make fewer columns or more."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_array

from mlops_assets.journey.model.structure.parts import LARGEST_WIDTH, Part, Rule, rules

HIGHEST_DEGREE = 10


def _scaler(*names: str) -> Rule:
    """The rule of a scaler that has one number a column in each of some attributes, or none at all."""

    def rule(part: Part) -> int:
        features = part.features()
        for name in names:
            if part.get(name) is not None:
                part.array(name, features)
        return features

    return rule


def _row_by_row(part: Part) -> int:
    return part.features()


def _power(part: Part) -> int:
    features = part.features()
    part.array("lambdas_", features)
    part.choice("method", ("yeo-johnson", "box-cox"))
    if part.has("_scaler"):
        part.child(part.get("_scaler"), "_scaler", features)
    return features


def _quantiles(part: Part) -> int:
    features = part.features()
    count = part.whole("n_quantiles_", 1)
    part.array("references_", count)
    part.array("quantiles_", count, features, finite=False)
    part.choice("output_distribution", ("uniform", "normal"))
    return features


def _polynomial(part: Part) -> int:
    features = part.features()
    highest = part.whole("_max_degree", 0, HIGHEST_DEGREE)
    lowest = part.whole("_min_degree", 0, highest)
    given = part.get("degree")
    part.need(given in (highest, (lowest, highest), [lowest, highest]), "degree is not what it was fitted with")
    facts = {name: part.choice(name, (False, True)) for name in ("interaction_only", "include_bias")}
    count = part.thing._num_combinations(n_features=features, min_degree=0, max_degree=highest, **facts)
    part.whole("_n_out_full", count, min(count, LARGEST_WIDTH))
    return part.whole("n_output_features_", 1, count)


def _imputer(part: Part) -> int:
    features = part.features()
    statistics = part.array("statistics_", features, kinds="iufbUSO", finite=False)
    part.choice("keep_empty_features", (False, True))
    # a column that had no value at all is left out
    empty = int(np.isnan(statistics).sum()) if statistics.dtype.kind == "f" else 0
    kept = features if part.get("keep_empty_features") else features - empty
    return kept + _indicated(part, features)


def _indicated(part: Part, features: int) -> int:
    if not part.has("indicator_"):
        return 0
    indicator = part.get("indicator_")
    part.need(type(indicator).__name__ == "MissingIndicator", "indicator_ is none")
    return part.child(indicator, "indicator_", features) or 0


def _indicator(part: Part) -> int:
    features = part.features()
    part.whole("_n_features", features, features)
    return len(part.array("features_", None, kinds="iu", within=(0, features)))


def _nearest_imputer(part: Part) -> int:
    features = part.features()
    rows = len(part.array("_fit_X", None, features, finite=False))
    part.array("_mask_fit_X", rows, features, kinds="b")
    part.whole("n_neighbors", 1)
    part.choice("weights", ("uniform", "distance"))
    part.choice("metric", ("nan_euclidean",))
    valid = part.array("_valid_mask", features, kinds="b")
    part.choice("keep_empty_features", (False, True))
    kept = features if part.get("keep_empty_features") else int(valid.sum())
    return kept + _indicated(part, features)


def _chosen(name: str) -> Rule:
    """The rule of a selection of columns by a number for each."""

    def rule(part: Part) -> None:
        part.array(name, part.features(), finite=False)

    return rule


def _components(part: Part) -> int:
    features = part.features()
    components = part.array("components_", None, features)
    part.need(len(components), "components_ is empty")
    if "mean_" in vars(part.thing):
        part.array("mean_", features)
        part.array("explained_variance_", len(components))
    return len(components)


def _function(part: Part) -> int | None:
    for name in ("func", "inverse_func"):
        function = part.get(name)
        if function is not None and not part.may_call(function):
            part.refuse(
                f"{name} is {function!r:.80}: any function may do anything. Name it in `training.trusted`, or make the "
                "column in features.sql"
            )
    function = part.get("func")
    # what boosted trees put before their numbers makes as many columns as it takes
    same = function is None or getattr(function, "func", function) is check_array
    return part.columns if same else None


RULES: dict[str, Rule] = {
    **rules("sklearn.preprocessing._data", _scaler("mean_", "scale_", "var_"), "StandardScaler"),
    **rules("sklearn.preprocessing._data", _scaler("scale_", "min_"), "MinMaxScaler"),
    **rules("sklearn.preprocessing._data", _scaler("scale_"), "MaxAbsScaler"),
    **rules("sklearn.preprocessing._data", _scaler("scale_", "center_"), "RobustScaler"),
    **rules("sklearn.preprocessing._data", _row_by_row, "Normalizer", "Binarizer"),
    **rules("sklearn.preprocessing._data", _power, "PowerTransformer"),
    **rules("sklearn.preprocessing._data", _quantiles, "QuantileTransformer"),
    **rules("sklearn.preprocessing._polynomial", _polynomial, "PolynomialFeatures"),
    **rules("sklearn.preprocessing._function_transformer", _function, "FunctionTransformer"),
    **rules("sklearn.impute._base", _imputer, "SimpleImputer"),
    **rules("sklearn.impute._base", _indicator, "MissingIndicator"),
    **rules("sklearn.impute._knn", _nearest_imputer, "KNNImputer"),
    **rules("sklearn.feature_selection._variance_threshold", _chosen("variances_"), "VarianceThreshold"),
    **rules("sklearn.feature_selection._univariate_selection", _chosen("scores_"), "SelectKBest", "SelectPercentile"),
    **rules("sklearn.decomposition._truncated_svd", _components, "TruncatedSVD"),
    **rules("sklearn.decomposition._pca", _components, "PCA"),
}
