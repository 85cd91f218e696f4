"""A class of scikit-learn is read, not imported, when a use case is loaded; what is read is what scikit-learn has."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from sklearn.utils import all_estimators

from mlops_assets.plugins import PluginError
from mlops_assets.plugins.estimators import CLASSIFIER, TRANSFORMER, _read, check_estimator, see_estimator

KINDS = {"classifier": CLASSIFIER, "transformer": TRANSFORMER}
EVERY = [(kind, estimator) for kind in KINDS for _, estimator in all_estimators(kind)]


def test_every_estimator_of_scikit_learn_is_read_with_its_arguments() -> None:
    assert len(EVERY) > 100
    for _, estimator in EVERY:
        read = _read(f"{estimator.__module__}.{estimator.__name__}", {})
        parameters = inspect.signature(estimator).parameters
        assert read is not None, estimator
        assert list(read.names) == list(parameters), estimator
        assert set(read.required) == {name for name, one in parameters.items() if one.default is one.empty}, estimator


def has(estimator: type[Any], method: str) -> bool:
    """Whether a class or one that it inherits from defines a method, though it may depend on an argument."""
    return any(method in vars(kind) for kind in estimator.__mro__)


def test_every_estimator_of_scikit_learn_is_read_with_its_methods() -> None:
    for kind, estimator in EVERY:
        path, complete = f"{estimator.__module__}.{estimator.__name__}", True
        try:
            _read(path, KINDS[kind])
        except PluginError:
            complete = False
        assert complete == all(has(estimator, method) for method in KINDS[kind]), estimator


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        ("sklearn.dummy.Such", (), "'sklearn.dummy.Such' cannot be imported: module 'sklearn.dummy' has no attribute"),
        ("sklearn.no.Such", (), "'sklearn.no.Such' cannot be imported: No module named 'sklearn.no'"),
        (
            "sklearn.linear_model",
            (),
            "sklearn.linear_model is a module, expected a class with fit(X, y), predict_proba(X)",
        ),
        ("sklearn.svm.LinearSVC", (), "sklearn.svm.LinearSVC has no method predict_proba(X)"),
        (
            "sklearn.dummy.DummyClassifier",
            ("x",),
            "DummyClassifier takes no argument 'x'; it takes strategy, random_state",
        ),
        ("sklearn.ensemble.VotingClassifier", (), "VotingClassifier cannot be made without the argument 'estimators'"),
        ("mlops_assets.encoders.OneHotEncoder", (), "OneHotEncoder has no method predict_proba(X)"),
        ("sklearn.dummy.Real", (), "sklearn.dummy.Real is no class of sklearn, expected a class with fit(X, y)"),
        ("sklearn.dummy.np", (), "module 'sklearn.dummy' has no attribute 'np'"),
        ("sklearn.os", (), "module 'sklearn' has no attribute 'os'"),
        ("sklearn.utils.os.system", (), "No module named 'sklearn.utils.os'"),
        ("sklearn.datasets.fetch_openml", (), "sklearn.datasets.fetch_openml is no class of sklearn"),
        ("sklearn.tree._tree.Tree", (), "No module named 'sklearn.tree._tree'"),
        ("mlops_assets.cli.common.find", (), "mlops_assets.cli.common.find is no class of mlops_assets"),
        ("mlops_assets.workspace.Workspace", (), "mlops_assets.workspace.Workspace has no method fit(X, y)"),
        ("Dummy", (), "'Dummy' cannot be imported: it is no path like package.module.Name"),
        ("collections.Counter", (), "collections.Counter has no method fit(X, y)"),
    ],
)
def test_what_is_wrong_with_a_model_is_told(path: str, given: tuple[str, ...], said: str) -> None:
    with pytest.raises(PluginError) as error:
        check_estimator(path, CLASSIFIER, given)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "path",
    [
        "sklearn.linear_model.LogisticRegression",
        "sklearn.model_selection.StratifiedKFold",
        "sklearn.gaussian_process.kernels.RBF",
        "mlops_assets.encoders.TargetEncoder",
    ],
)
def test_a_part_of_a_model_may_be_named_by_anybody(path: str) -> None:
    see_estimator(path)


@pytest.mark.parametrize(
    "path", ["subprocess.Popen", "builtins.str", "Sklearn.dummy.DummyClassifier", "sklearn.utils.Bunch", "sklearn..x"]
)
def test_nothing_else_may_be_and_nothing_of_it_is_imported(path: str) -> None:
    with pytest.raises(PluginError):
        see_estimator(path)


def test_loading_the_use_cases_of_the_package_imports_no_scikit_learn() -> None:
    code = (
        "import sys; from mlops_assets.use_case import list_use_cases, load_use_case;"
        "from mlops_assets.settings import OWN_USE_CASES;"
        "[load_use_case(folder) for folder in list_use_cases([OWN_USE_CASES]).values()];"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
