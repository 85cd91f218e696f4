"""What answers tell of their own accuracy: an estimate with an interval, a lamp, and how audits agree with it."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.journey.model.about import Summary
from mlops_assets.journey.score.profile.counts import Profile, Said
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.journey.score.profile.shard import count_answers
from mlops_assets.monitoring.days import WatchedDay
from mlops_assets.monitoring.estimate import Estimate, estimate, estimate_said, say_doubt
from mlops_assets.monitoring.estimate_checks import compare_with_audits
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.monitoring.verdicts import Explained
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.views import drift
from mlops_assets.views.estimating import checked_record, estimate_record, estimate_text

CLASSES = ("food", "fuel", "rent")


def answers(sure: float, rows: int, seed: int = 0, spread: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose largest is `sure` on average, and the classes said; food is said most often."""
    draw = np.random.default_rng(seed)
    top = np.maximum(0.34, draw.beta(sure * spread, (1 - sure) * spread, rows))
    said = draw.choice(3, rows, p=[0.6, 0.3, 0.1])
    probabilities = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    probabilities[np.arange(rows), said] = top
    return probabilities, said


def said_of(sure: float, rows: int, seed: int = 0) -> Said:
    return count_answers(*answers(sure, rows, seed))


def groups(sure: float = 0.7, rows: int = 100) -> list[Said]:
    return [said_of(sure, rows, seed) for seed in range(100, 120)]


def found(day: Said, accuracy: float | None = 0.7) -> Estimate:
    return estimate_said(day, groups(), CLASSES, accuracy)


def test_answers_that_are_right_as_often_as_they_say_are_estimated_well() -> None:
    """Months whose labels are drawn by the probabilities themselves: 95 of 100 lie inside, or more."""
    inside = 0
    for seed in range(60):
        probabilities, said = answers(0.55 + seed / 300, 300, seed)
        estimate = found(count_answers(probabilities, said), accuracy=0.7)
        truth = np.random.default_rng(seed).random(300) < probabilities[np.arange(300), said]
        inside += estimate.low <= truth.mean() <= estimate.high
    assert inside >= 57


def test_what_the_model_was_off_by_when_it_was_judged_is_taken_away() -> None:
    """It says 0.7 and was right in 0.5 of the rows: a day on which it says 0.6 is estimated at 0.4."""
    day = found(said_of(0.6, 5000), accuracy=0.5)
    assert day.accuracy == pytest.approx(day.confidence - (day.reference_confidence - 0.5))
    assert day.accuracy == pytest.approx(0.4, abs=0.01)


def test_a_model_of_unknown_accuracy_is_taken_at_its_word() -> None:
    day = found(said_of(0.6, 5000), accuracy=None)
    assert day.accuracy == day.confidence


def test_nothing_is_estimated_beyond_all_or_none() -> None:
    assert (found(said_of(0.95, 500), accuracy=0.99).high, found(said_of(0.4, 500), accuracy=0.2).low) == (1, 0)


def test_one_class_for_all_rows_is_estimated_beside_it_by_the_class_that_was_most_frequent_before() -> None:
    probabilities, said = answers(0.7, 1000)
    day = found(count_answers(probabilities, said))
    assert day.baseline == pytest.approx(probabilities[:, 0].mean(), abs=1e-5)
    assert day.class_mix["food"].said == (said == 0).mean()
    assert sum(share.expected for share in day.class_mix.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("sure", "rows", "red"),
    [(0.6, 1000, True), (0.67, 1000, False), (0.8, 1000, False), (0.6, 99, False), (0.6, 100, True)],
    ids=["fell", "fell by less than the floor", "rose", "too few rows", "just enough rows"],
)
def test_the_lamp_is_red_where_the_model_is_clearly_less_sure_than_it_was(sure: float, rows: int, red: bool) -> None:
    day = found(said_of(sure, rows))
    assert day.red is red
    assert ("less sure" in day.sentence) is red


def test_where_whole_files_differ_much_a_fall_must_be_larger_to_be_told() -> None:
    """Groups of files of 0.5 or 0.9: a day of few files may well lie at 0.64."""
    uneven = [said_of(0.5 if seed % 2 else 0.9, 100, seed) for seed in range(20)]
    day = said_of(0.64, 100)
    assert found(day).red
    uneven_day = estimate_said(day, uneven, CLASSES, 0.7)
    assert uneven_day.error > 2 * found(day).error
    assert not uneven_day.red


def test_it_says_that_it_is_an_estimate_of_how_many_rows_and_what_one_class_would_have() -> None:
    sentence = found(said_of(0.7, 1234)).sentence
    assert sentence.startswith("Estimate without labels: 7")
    assert "of 1,234 answers are right" in sentence
    assert "one class for all rows: " in sentence


def reference(profiles: list[Profile]) -> Reference:
    return Reference({}, CLASSES, tuple(profiles), (1,) * len(profiles), "file", ("2026-01-01", "2026-01-31"))


def profile(said: Said | None) -> Profile:
    return Profile({}, said, np.zeros(32, np.int64))


def test_a_day_is_estimated_by_its_profile_and_what_is_known_of_the_version() -> None:
    day = WatchedDay("2026-02-01", profile(said_of(0.6, 500)), PredictionsAccounting(), 10, 10)
    profiles = [profile(said) for said in groups()]
    about = Summary(metrics={"accuracy": 0.7})
    assert estimate(reference(profiles), day, about) == found(said_of(0.6, 500))
    # a group without held-out rows says nothing
    empty = profile(count_answers(np.zeros((0, 3)), np.zeros(0, np.int64)))
    assert estimate(reference([*profiles, empty]), day, about) == found(said_of(0.6, 500))
    assert estimate(reference([empty]), day, about) is None
    assert estimate(reference(profiles), WatchedDay("2026-02-01", empty, PredictionsAccounting(), 0, 0), about) is None


def confidence(state: str, now: float) -> DayVerdict:
    """A day of which nothing but the lamp `confidence` is judged, with 0.7 in training."""
    numbers = abs(now - 0.7), 0.05, 0.12
    lamp = Lamp("confidence", state, "confidence", *numbers, "predictions", figures={"now": now, "then": 0.7})
    return DayVerdict("2026-02-01", "the training rows", (lamp,))


def test_a_doubt_is_a_warning_before_the_lamp_confidence_and_never_less_than_that_lamp() -> None:
    fell, usual = found(said_of(0.6, 1000)), found(said_of(0.67, 1000))
    assert (fell.red, usual.red) == (True, False)
    assert say_doubt(fell, confidence("green", 0.6)).endswith(" the lamp `confidence` is green up to 0.120.")
    assert say_doubt(fell, confidence("red", 0.5)) == fell.sentence
    assert say_doubt(fell, confidence("grey", 0.5)) == fell.sentence
    assert say_doubt(usual, confidence("red", 0.5)) == usual.sentence, "where the lamp is red for a fall, it is a doubt"
    assert say_doubt(usual, confidence("red", 0.9)) == "", "surer than it was is no doubt"
    assert say_doubt(usual, confidence("green", 0.67)) == say_doubt(None, confidence("red", 0.5)) == ""


def audit(day: str, right: int, part: str = "all", audited: int = 50) -> dict[str, object]:
    share = right / audited if audited else None
    ends = {"low": None, "high": None} if share is None else {"low": share - 0.13, "high": share + 0.13}
    return {"day": day, "model_version": 1, "slice": part, "audited": audited, "accuracy": share, **ends}


def test_estimates_stand_beside_the_audits_of_their_days() -> None:
    estimates = {(f"2026-02-0{day}", 1): found(said_of(0.7, 1000, day)) for day in range(1, 5)}
    audits = [
        audit("2026-02-01", 35),
        audit("2026-02-02", 30),
        audit("2026-02-03", 20),
        audit("2026-02-03", 1, part="home_state=SP"),
        audit("2026-02-04", 0, audited=0),
        audit("2026-02-09", 30),
    ]
    checked = compare_with_audits(estimates, audits)
    assert checked is not None
    assert [(day.day, day.inside) for day in checked.days] == [
        ("2026-02-01", True),
        ("2026-02-02", True),
        ("2026-02-03", False),
    ]
    assert checked.audited == 150
    assert checked.error == pytest.approx(0.7 - 85 / 150, abs=0.02)
    assert checked.inside == pytest.approx(2 / 3)
    assert "3 audited days (150 rows)" in checked.sentence
    assert "too few days" in checked.sentence
    assert checked_record(checked)["days"][0]["audited"] == 50
    assert compare_with_audits(estimates, audits[-1:]) is None


def test_people_see_the_estimate_the_audits_and_the_classes_that_moved_most() -> None:
    day = found(said_of(0.6, 500))
    text = estimate_text(day)
    assert text.startswith(day.sentence)
    assert "No audit" in text
    assert "rent" in text
    checked = compare_with_audits({("2026-02-01", 1): day}, [audit("2026-02-01", 30)])
    assert checked is not None
    assert checked.sentence in estimate_text(day, checked)
    assert estimate_record(day)["class_mix"]["food"]["said"] == day.class_mix["food"].said


def test_the_command_drift_tells_the_estimate_of_a_day_and_how_audits_agree() -> None:
    day = found(said_of(0.6, 500))
    explained = Explained(DayVerdict("2026-02-01", "the training rows", ()), estimate=day)
    assert day.sentence in drift.text([explained])
    (told,) = drift.as_json("shop", [explained])["days"]
    assert (told["estimate"]["rows"], told["audits"]) == (500, None)
