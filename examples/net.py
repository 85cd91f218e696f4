"""A network of PyTorch for a candidate.

Put this file into a folder on PYTHONPATH, and into the `defs.yaml`:

training:
  trusted: [net.Net]
  candidates:
    net:
      use: mlops_assets.estimators.TorchClassifier
      parameters: {module: net.Net, parameters: {hidden: 32}, epochs: 50}
      prepare:
        - {use: sklearn.impute.SimpleImputer, columns: numbers, then: [{use: sklearn.preprocessing.StandardScaler}]}
        - {use: mlops_assets.encoders.OneHotEncoder, columns: categories}
"""

import torch


class Net(torch.nn.Sequential):
    """It is made for so many columns and classes, and says a number for each class: no softmax at its end."""

    def __init__(self, columns: int, classes: int, hidden: int = 32) -> None:
        super().__init__(
            torch.nn.Linear(columns, hidden),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.1),
            torch.nn.Linear(hidden, classes),
        )
