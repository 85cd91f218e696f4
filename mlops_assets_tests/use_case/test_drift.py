"""What the key `drift` may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mlops_assets.errors import ConfigError
from mlops_assets.journey.features.sql import describe
from mlops_assets.journey.score.profile.bins import BEYOND_ASCII
from mlops_assets.journey.train.columns import check_columns
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.drift import Drift


@pytest.mark.parametrize("against", ["training", "trailing", "last-week", "2026-03-20"])
def test_a_day_is_compared_with_training_rows_days_before_or_one_day(against: str) -> None:
    assert Drift(against=against).against == against


@pytest.mark.parametrize("against", ["yesterday", "2026-3-20", ""])
def test_anything_else_is_refused_with_what_there_is(against: str) -> None:
    with pytest.raises(ValidationError, match="none of training, trailing, last-week, and no day"):
        Drift(against=against)


def test_more_red_days_than_days_are_refused() -> None:
    with pytest.raises(ValidationError, match="3 of 2 days can never be red"):
        Drift.model_validate({"days": {"red": 3, "of": 2}})


def test_a_column_has_the_floors_of_all_but_for_its_own() -> None:
    drift = Drift.model_validate({"floors": {"nulls": 0.02}, "columns": {"city": {"psi": 0.3}}})
    assert (drift.floor("city", "psi"), drift.floor("city", "nulls"), drift.floor("age", "psi")) == (0.3, 0.02, 0.1)


def naming(use_case: UseCase, **drift: object) -> UseCase:
    """The use case with such a `drift`."""
    return use_case.model_copy(update={"drift": Drift.model_validate(drift)})


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ({"ignore": ["amont"]}, "drift.ignore: neither .* has a column 'amont'; is it 'amount'"),
        (
            {"columns": {"Amount_log": {"psi": 1}}},
            "drift.columns: neither .* has a column 'Amount_log'; is it 'amount_log'",
        ),
        ({"ignore": ["zzz"]}, "has a column 'zzz'; they have .*amount.*, cents_size$"),
    ],
)
def test_a_column_that_there_is_not_is_refused_with_those_that_are_called_alike(
    drift: dict[str, object], said: str, transactions: UseCase
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_columns(naming(transactions, **drift), describe(transactions).model)


def test_columns_of_the_contract_of_the_model_and_second_counts_of_texts_can_be_named(transactions: UseCase) -> None:
    names = ["merchant_city", "amount_log", "merchant_city" + BEYOND_ASCII]
    check_columns(naming(transactions, ignore=names), describe(transactions).model)
