"""The features of `features.sql` in pandas, for one file at a time, as one writes them when the file is a frame."""

from __future__ import annotations

import numpy as np
import pandas as pd

NAMES = {
    "id": "account_id",
    "safra_abertura": "account_opened",
    "cidade": "home_city",
    "limite_total": "limit_total",
    "limite_disp": "limit_available",
    "valor": "amount",
    "cidade_estabelecimento": "merchant_city",
    "pais_estabelecimento": "merchant_country",
}
"""Columns of the files that the features need, and our names of them."""


def features(raw: pd.DataFrame) -> pd.DataFrame:
    """What the model sees of one file.

    Parameters
    ----------
    raw
        The file as read: numbers as numbers, all else as text, columns with the names of the header.
    """
    frame = raw[list(NAMES)].rename(columns=NAMES)
    for column in ("account_id", "home_city", "merchant_city", "merchant_country"):
        frame[column] = frame[column].str.strip().replace("", None)
    amount, city = frame["amount"], frame["merchant_city"]
    account = frame["account_id"] + "|" + frame["account_opened"].astype(str)
    cents = pd.Series(np.fmod((amount * 100).round(), 100))
    size = (2 * np.log2(1 + amount.abs())).round()
    round_to = roundness(amount, cents)
    return pd.DataFrame(
        {
            "account": account,
            "limit_free": frame["limit_available"] / frame["limit_total"].replace(0, np.nan),
            "city": city,
            "at_home": known(city == frame["home_city"].str[:13], city.notna() & frame["home_city"].notna()),
            "abroad": known(frame["merchant_country"] != "BR", frame["merchant_country"].notna()),
            "amount": amount,
            "amount_log": np.log(1 + amount.abs()),
            "cents": cents,
            "roundness": round_to,
            "amount_deviation": (amount - amount.mean()) / (amount.std() or np.nan),
            "same_amount": amount.groupby(amount).transform("size").fillna(1),
            "same_city_share": city.groupby(city).transform("size") / len(frame),
            "account_city": account + "|" + city,
            "account_size": account + "|" + size.astype("Int64").astype("string"),
            "city_roundness": city + "|" + round_to.astype(str),
            "cents_size": cents + 100 * size,
        }
    )


def known(condition: pd.Series, present: pd.Series) -> pd.Series:
    """A condition as a number, none where what it compares is not known."""
    return condition.astype(float).where(present)


def roundness(amount: pd.Series, cents: pd.Series) -> pd.Series:
    """7 for whole hundreds down to 1 for odd cents; 0 where no amount is known."""
    steps = [amount.isna(), *(amount % step == 0 for step in (100, 50, 10, 5, 1)), cents % 10 == 0]
    return pd.Series(np.select(steps, [0, 7, 6, 5, 4, 3, 2], 1), index=amount.index)
