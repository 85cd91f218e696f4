"""The table at the end of the demo tells what each training found, whatever the gate opened and said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.tools.demo import _result

TRAINING = SimpleNamespace(metric="accuracy", baseline="majority")


def told(winner: str | None, **metrics: dict[str, float]) -> list[str]:
    scores = [SimpleNamespace(name=name, metrics=values) for name, values in metrics.items()]
    stores: Any = SimpleNamespace(use_case=SimpleNamespace(name="shop", training=TRAINING))
    newest: Any = SimpleNamespace(scores=scores, verdict=SimpleNamespace(winner=winner))
    return _result(stores, newest)


@pytest.mark.parametrize(
    ("winner", "metrics", "line"),
    [
        (
            "linear",
            {"linear": {"accuracy": 0.8}, "majority": {"accuracy": 0.5}},
            ["0.500", "linear", "0.800", "passed"],
        ),
        # only the chosen one and the baseline are asked of the rows that test
        (
            "vote",
            {"linear": {}, "vote": {"accuracy": 0.9}, "majority": {"accuracy": 0.5}},
            ["0.500", "vote", "0.900", "passed"],
        ),
        (None, {"linear": {"accuracy": 0.4}, "majority": {"accuracy": 0.5}}, ["0.500", "linear", "0.400", "refused"]),
        (None, {"linear": {}, "majority": {"accuracy": 0.5}}, ["0.500", "majority", "0.500", "refused"]),
        (None, {"linear": {}, "majority": {}}, ["-", "majority", "-", "refused"]),
    ],
)
def test_each_training_has_a_line(winner: str | None, metrics: dict[str, dict[str, float]], line: list[str]) -> None:
    assert told(winner, **metrics) == ["shop", "accuracy", *line]
