"""Fit a model of your own and export it as ONNX: python examples/export_onnx.py loan_approval model.onnx.

It needs `pip install skl2onnx 'mlops-assets[onnx]'`, and `mlops-assets run loan_approval --train` before. Afterwards
`mlops-assets register loan_approval model.onnx` makes a version of it.
"""

import sys

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_assets import notebook

use_case, path = sys.argv[1:]
data = notebook.load_training_set(use_case)
X, y = data.train.X, data.train.y
numbers = list(X.select_dtypes("number"))
texts = [name for name in X if name not in numbers]

model = make_pipeline(
    make_column_transformer((SimpleImputer(), numbers), (OneHotEncoder(handle_unknown="ignore"), texts)),
    RandomForestClassifier(50, min_samples_leaf=5, random_state=0),
).fit(X, y)

# an input for each column, named as it: so a day's rows find their places, texts among them
inputs = [(name, (FloatTensorType if name in numbers else StringTensorType)([None, 1])) for name in X]
exported = to_onnx(model, initial_types=inputs, options={"zipmap": False})
# which rows it has learned: so it can be compared with the champion on others
exported.metadata_props.add(key="training_set", value=data.fingerprint)
with open(path, "wb") as file:
    file.write(exported.SerializeToString())
