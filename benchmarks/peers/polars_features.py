"""The features of `features.sql` as Polars expressions over the rows of many files."""

from __future__ import annotations

import polars as pl

AMOUNT, ACCOUNT, CITY = pl.col("amount"), pl.col("account"), pl.col("merchant_city")
CENTS = (AMOUNT * 100).round()
STEPS = ((100, 7), (50, 6), (10, 5), (5, 4), (1, 3))


def features(rows: pl.LazyFrame) -> pl.LazyFrame:
    """What the model sees: one row a transaction, beside the habits of its file.

    Parameters
    ----------
    rows
        Typed rows with `file` and `line`.
    """
    whole = pl.coalesce(pl.when(AMOUNT % step == 0).then(points) for step, points in STEPS)
    odd = pl.when(CENTS % 10 == 0).then(2).otherwise(1)
    made = rows.with_columns(
        account=pl.col("account_id") + "|" + pl.col("account_opened").cast(pl.String),
        cents=AMOUNT.sign() * (CENTS.abs() % 100),
        roundness=pl.when(AMOUNT.is_not_null()).then(pl.coalesce(whole, odd)).otherwise(0),
        size=(2 * (1 + AMOUNT.abs()).log(2)).round(),
    )
    return made.with_columns(
        limit_free=pl.col("limit_available") / _nonzero(pl.col("limit_total")),
        city=CITY,
        at_home=pl.col("home_city").str.slice(0, 13) == CITY,
        abroad=pl.col("merchant_country") != "BR",
        amount_log=(1 + AMOUNT.abs()).log(),
        amount_deviation=(AMOUNT - AMOUNT.mean().over("file")) / _nonzero(AMOUNT.std().over("file")),
        same_amount=pl.when(AMOUNT.is_not_null()).then(pl.len().over("file", "amount")).otherwise(1),
        same_city_share=pl.when(CITY.is_not_null()).then(pl.len().over("file", "merchant_city"))
        / pl.len().over("file"),
        account_city=ACCOUNT + "|" + CITY,
        account_size=ACCOUNT + "|" + pl.col("size").cast(pl.Int32).cast(pl.String),
        city_roundness=CITY + "|" + pl.col("roundness").cast(pl.String),
        cents_size=pl.col("cents") + 100 * pl.col("size"),
    )


def _nonzero(value: pl.Expr) -> pl.Expr:
    return pl.when(value != 0).then(value)
