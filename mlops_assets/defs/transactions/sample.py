"""Draws account files like those of the public dataset: each account has merchants that it returns to."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

CATEGORIES: dict[str, tuple[float, float, tuple[float, ...]]] = {
    "SERVIÇO": (0.30, 30.0, (0.90, 0.90, 0.99, 0.00)),
    "RESTAURANTE": (0.19, 35.0, (0.00, 0.50, 0.37)),
    "VAREJO": (0.13, 80.0, (0.00, 0.99, 0.90)),
    "SUPERMERCADOS": (0.11, 90.0, (0.43, 0.17, 0.86, 0.09)),
    "VESTUARIO": (0.07, 120.0, (0.90, 0.80)),
    "FARMACIAS": (0.06, 45.0, (0.53, 0.28, 0.11)),
    "POSTO DE GAS": (0.05, 100.0, (0.00, 0.00, 0.01)),
    "M.O.T.O.": (0.04, 25.0, (0.69, 0.35, 0.93)),
    "ARTIGOS ELETRO": (0.03, 300.0, (0.00, 0.90)),
    "AUTO PEÇAS": (0.02, 200.0, (0.00,)),
}
"""Category: its share, its typical amount in BRL, and the cents that its prices end in."""

HOMES = (
    ("SAO PAULO", "SP"),
    ("RIO DE JANEIRO", "RJ"),
    ("SANTO ANDRE", "SP"),
    ("OSASCO", "SP"),
    ("CAMPO LIMPO PAULISTA", "SP"),
)
ELSEWHERE = np.array(["CURITIBA", "BRASILIA", "SAOPAULO", "Sao Paulo", "415-503-9235", "BARUERI", "JUNDIAI"])
MERCHANTS = 6
"""Merchants that one account knows."""
POOL = 500
"""Accounts drawn at a time, so that the first file's account is the same however many files there are."""


def draw(
    generator: np.random.Generator, lasting: np.random.Generator, day: dt.date, files: int, rows: int
) -> pd.DataFrame:
    """Draw the rows of some account files.

    Parameters
    ----------
    generator
        Draws what differs from day to day.
    lasting
        Draws the accounts and their merchants, which are the same on every day.
    day
        The day of the files; purchases lie in the 30 days before it.
    files, rows
        Number of files, and of rows in each on average.
    """
    sizes = generator.integers(max(1, rows // 2), rows + rows // 2 + 1, files)
    file = np.repeat(np.arange(files), sizes)
    count = len(file)
    pool = max(POOL, files)
    frame = _accounts(lasting, pool).loc[file].reset_index(drop=True)
    frame.insert(0, "file", file)
    merchant = generator.integers(0, MERCHANTS, count)
    kind = _known_merchants(lasting, pool)[file, merchant]
    typical = np.array([amount for _, amount, _ in CATEGORIES.values()])
    endings = np.array([(list(cents) * 4)[:4] for _, _, cents in CATEGORIES.values()])
    usual = generator.random(count) < 0.6
    cents = np.where(usual, endings[kind, generator.integers(0, 4, count)], generator.integers(0, 100, count) / 100)
    frame["amount"] = np.floor(typical[kind] * generator.lognormal(0, 0.8, count)) + cents
    frame["category"] = np.array(list(CATEGORIES))[kind]
    # a merchant stands in one city, which is more often the customer's own
    city = lasting.integers(0, 3 * len(ELSEWHERE), (pool, MERCHANTS))[file, merchant]
    # merchants' cities are cut after 13 characters in the real files
    home = frame["home_city"].str[:13].str.strip()
    frame["merchant_city"] = np.where(city < len(ELSEWHERE), ELSEWHERE[city % len(ELSEWHERE)], home)
    frame["merchant_country"] = np.where(generator.random(count) < 0.02, "US", "BR")
    frame["date"] = np.datetime64(day) - generator.integers(1, 31, count).astype("timedelta64[D]")
    frame["limit_available"] = (frame["limit_total"] * generator.random(count)).round()
    unknown = generator.random(count) < 0.003
    frame.loc[unknown, "amount"] = np.nan
    frame.loc[unknown, ["merchant_city", "merchant_country"]] = ""
    return frame


def _accounts(generator: np.random.Generator, files: int) -> pd.DataFrame:
    """One customer a file."""
    number = generator.integers(10**9, 10**11, files)
    # a spreadsheet has made numbers of some long ids, as in the real files
    ruined = generator.random(files) < 0.2
    home = generator.integers(0, len(HOMES), files)
    return pd.DataFrame(
        {
            "account_id": [
                f"{n / 1e10:.2f}E+10".replace(".", ",") if r else str(n) for n, r in zip(number, ruined, strict=True)
            ],
            "account_opened": generator.integers(2008, 2020, files) * 100 + generator.integers(1, 13, files),
            "home_city": [HOMES[number][0].ljust(22) for number in home],
            "home_state": [HOMES[number][1].ljust(3) for number in home],
            "age": generator.integers(18, 80, files),
            "sex": generator.choice(["F", "M"], files),
            "limit_total": generator.integers(3, 400, files) * 100,
        }
    )


def _known_merchants(generator: np.random.Generator, files: int) -> np.ndarray:
    """The categories of the merchants that each account returns to, one row a file."""
    shares = np.array([share for share, _, _ in CATEGORIES.values()])
    return generator.choice(len(shares), (files, MERCHANTS), p=shares / shares.sum())
