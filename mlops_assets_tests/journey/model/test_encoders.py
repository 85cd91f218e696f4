"""The encoders: what scikit-learn's give, only faster."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import preprocessing
from sklearn.exceptions import NotFittedError

from mlops_assets import encoders

VALUES = st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0, 2.5, 7.0, 1e300, float("nan")])
FEATURES = arrays(np.float64, st.tuples(st.integers(4, 40), st.just(3)), elements=VALUES)


@given(known=FEATURES, asked=FEATURES, rare=st.sampled_from([None, 1, 2, 0.3]), most=st.sampled_from([None, 2, 3]))
def test_one_hot_columns_are_those_of_scikit_learn(
    known: np.ndarray, asked: np.ndarray, rare: float | None, most: int | None
) -> None:
    ours = encoders.OneHotEncoder(min_frequency=rare, max_categories=most).fit(known)
    theirs = preprocessing.OneHotEncoder(handle_unknown="ignore", min_frequency=rare, max_categories=most).fit(known)
    assert np.array_equal(ours.transform(asked).toarray(), theirs.transform(asked).toarray())


@given(known=FEATURES, asked=FEATURES, classes=st.sampled_from([2, 3]), seed=st.integers(0, 5))
def test_target_means_are_those_of_scikit_learn(known: np.ndarray, asked: np.ndarray, classes: int, seed: int) -> None:
    target = np.random.default_rng(seed).integers(0, classes, len(known))
    target[:classes] = np.arange(classes)
    ours, theirs = (
        kind(cv=_folds()).fit(known, target) for kind in (encoders.TargetEncoder, preprocessing.TargetEncoder)
    )
    assert np.array_equal(ours.transform(asked), theirs.transform(asked))


def _folds() -> object:
    from sklearn.model_selection import KFold

    return KFold(2, shuffle=True, random_state=0)


@pytest.mark.parametrize("kind", [encoders.OneHotEncoder, encoders.TargetEncoder])
def test_an_encoder_that_was_not_fitted_says_so(kind: type) -> None:
    with pytest.raises(NotFittedError):
        kind().transform(np.zeros((1, 1)))
