"""How many files come, beside the days before."""

from __future__ import annotations

import datetime as dt

import numpy as np

from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.volume import volume_lamps
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.use_case.drift import Drift
from mlops_assets_tests.helpers.counted import learned, watched

BEFORE = 28


def test_days_that_always_differ_by_a_fifth_are_no_news() -> None:
    """Each is as far from the others of its weekday as today is from them: itself is not one of those."""
    counted, generator, first = watched(learned()).profile, np.random.default_rng(2), dt.date(2026, 3, 2)
    days = []
    for number, times in enumerate(np.exp(generator.normal(0, 0.2, BEFORE + 60))):
        day = first + dt.timedelta(days=number)
        files = round(1_000 * float(times) * (0.7 if day.weekday() >= 5 else 1.0))
        told = PredictionsAccounting(files=files, rows=10 * files, predictions=10 * files, model_version=1)
        days.append(WatchedDay(day.isoformat(), counted, told, files, files, version=1))
    red = [
        lamp.sentence
        for number, today in enumerate(days[BEFORE:])
        for lamp in volume_lamps(Drift(), today, days[number : number + BEFORE])
        if lamp.red
    ]
    assert red == []
