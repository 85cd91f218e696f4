"""A configuration that comes out of a store names nothing that today's does not, unless it is a part of models."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.errors import ModelRefused
from mlops_assets.plugins.stored import see_named

NETWORK = "mlops_assets.estimators.TorchClassifier"


def configured(module: str, **parameters: Any) -> dict[str, Any]:
    candidate = {"use": NETWORK, "parameters": {"module": module, **parameters}}
    return {"training": {"candidates": {"net": candidate}}}


def test_a_network_is_of_the_class_that_todays_configuration_names() -> None:
    see_named(configured("my.Net"), configured("my.Net"), "a card")
    with pytest.raises(ModelRefused, match=r"a card: training.candidates.net.parameters.module: 'os.system' is no"):
        see_named(configured("os.system"), configured("my.Net"), "a card")


@pytest.mark.parametrize(
    "changed", [{"search": {"module": ["os.system"]}}, {"parameters": {"model__module": "os.system"}}]
)
def test_nor_is_one_offered_to_a_search_or_to_a_part(changed: dict[str, Any]) -> None:
    stored = {"training": {"candidates": {"net": {"use": NETWORK, **changed}}}}
    with pytest.raises(ModelRefused, match=r"'os.system' is no model"):
        see_named(stored, configured("my.Net"), "a card")
