"""Networks of PyTorch, as a use case has them in its own module; imported by those alone who have PyTorch."""

from __future__ import annotations

from typing import Any

import torch


class Net(torch.nn.Sequential):
    """Two layers, with dropout and a norm over the batch."""

    def __init__(self, columns: int, classes: int, hidden: int = 8) -> None:
        super().__init__(
            torch.nn.Linear(columns, hidden),
            torch.nn.BatchNorm1d(hidden),
            torch.nn.GELU(),
            torch.nn.Dropout(0.1),
            torch.nn.Linear(hidden, classes),
        )


class Tied(torch.nn.Module):
    """One weight under two names."""

    def __init__(self, columns: int, classes: int) -> None:
        super().__init__()
        self.first = torch.nn.Linear(columns, columns)
        self.again = torch.nn.Linear(columns, columns)
        self.again.weight = self.first.weight
        self.last = torch.nn.Linear(columns, classes)

    def forward(self, rows: Any) -> Any:
        """What it says of rows."""
        return self.last(self.again(self.first(rows)))


class One(torch.nn.Linear):
    """Says one number a row, whatever the classes are."""

    def __init__(self, columns: int, classes: int) -> None:  # noqa: ARG002 - which is wrong with it
        super().__init__(columns, 1)
