"""A process of the API imports pandas for those who need it alone, and gives back what it does not need."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from mlops_assets.work.memory import give_back

BEGIN = """
import sys
from mlops_assets.serving.lean import do_without_pandas
do_without_pandas()
import numpy as np
import pyarrow as pa
def is_there():
    return "pandas" in sys.modules
"""


@pytest.mark.parametrize(
    "then",
    [
        """
        assert pa.array([1, None]).null_count == 1
        assert pa.repeat(pa.scalar(True), 3).to_pylist() == [True] * 3
        from sklearn.impute import SimpleImputer
        from sklearn.compose import make_column_transformer
        some = np.array([[1.0], [np.nan], [3.0]])
        model = make_column_transformer((SimpleImputer(), [0])).fit(some)
        assert model.transform(some).tolist() == [[1.0], [2.0], [3.0]]
        assert not is_there()
        """,
        """
        import pandas as pd
        some = pa.array(pd.Series([1, np.nan]))
        assert (some.type, some.null_count) == (pa.float64(), 1)
        assert pa.table({"a": [1]}).to_pandas().shape == (1, 1)
        """,
        """
        from sklearn.preprocessing import StandardScaler
        some = np.array([[1.0], [3.0]])
        frame = StandardScaler().set_output(transform="pandas").fit_transform(some)
        assert type(frame).__name__ == "DataFrame"
        assert pa.array(frame.iloc[:, 0]).to_pylist() == [-1.0, 1.0]
        """,
    ],
    ids=["answers", "one that imports it", "scikit-learn in earnest"],
)
def test_pandas_is_imported_for_those_who_need_it(then: str) -> None:
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(then)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_free_can_be_given_back_at_any_time() -> None:
    give_back()
    give_back()
