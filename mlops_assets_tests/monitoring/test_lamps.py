"""What is said of a day."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.journey.score.profile.counts import Counts
from mlops_assets.journey.score.profile.reference import Reference
from mlops_assets.monitoring.lamps import DayVerdict, Lamp, judge_day
from mlops_assets.use_case import UseCase
from mlops_assets.use_case.drift import Drift
from mlops_assets_tests.helpers.counted import DAY, learned, quiet_before, watched


@pytest.fixture(scope="module")
def reference() -> Reference:
    return learned()


def judge(
    use_case: UseCase, reference: Reference | None, today: object, before: object = (), **drift: object
) -> DayVerdict:
    """The verdict on a day, with other settings than the use case has."""
    against = drift.pop("against", None)
    changed = use_case.model_copy(update={"drift": Drift.model_validate(drift)})
    return judge_day(changed, today, before, reference, against)  # type: ignore[arg-type]


def lamp(verdict: DayVerdict, name: str) -> Lamp:
    return next(one for one in verdict.lamps if one.name == name)


def emptied(share: float) -> object:
    def change(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[: round(share * len(values))] = np.nan
        return changed

    return change


def in_no_language(values: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[::20] = "Ouagadougou"
    return changed


def test_a_quiet_day_is_green(transactions: UseCase, reference: Reference) -> None:
    verdict = judge(transactions, reference, watched(reference), quiet_before(reference))
    assert not verdict.red
    assert {one.state for one in verdict.lamps} == {"green"}
    assert "All 9 lamps are green, compared with the training rows" in verdict.sentence


def test_two_per_cent_more_nulls_and_two_per_cent_new_values_are_seen(
    transactions: UseCase, reference: Reference
) -> None:
    def some_new(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[::50] = "Ouagadougou"
        return changed

    verdict = judge(transactions, reference, watched(reference, files=2_000, amount=emptied(0.03), city=some_new))
    assert lamp(verdict, "rows.amount").what == "nulls"
    assert lamp(verdict, "rows.city").what == "unseen"
    assert {one.name for one in verdict.red_lamps} == {"rows.amount", "rows.city"}


def test_an_emptied_column_is_said_with_the_shares_that_were_judged(
    transactions: UseCase, reference: Reference
) -> None:
    found = lamp(judge(transactions, reference, watched(reference, amount=emptied(0.43))), "rows.amount")
    assert found.red
    now, then = map(float, re.findall(r"([\d.]+) %", found.sentence))
    assert now == pytest.approx(100 * found.figures["nulls"] + then, abs=1)
    assert found.effect == found.figures["nulls"]
    assert found.sentence.startswith("`amount` is empty in 4")
    assert "mend the files" in found.advice


def test_new_values_are_named_with_how_often_they_come(transactions: UseCase, reference: Reference) -> None:
    found = lamp(judge(transactions, reference, watched(reference, city=in_no_language)), "rows.city")
    assert found.what == "unseen"
    assert "5 % of rows (0 % in training): `Ouagadougou` 50." in found.sentence


def test_a_column_that_may_name_people_is_told_without_a_value(transactions: UseCase, reference: Reference) -> None:
    many = tuple(f"Ana {number}" for number in range(60))
    bins = {**reference.bins, ("rows", "city"): replace(reference.bins["rows", "city"], values=many)}
    size = bins["rows", "city"].number
    groups = tuple(
        replace(group, columns={**group.columns, ("rows", "city"): Counts(np.full(size, 9))})
        for group in reference.groups
    )
    people = replace(reference, bins=bins, groups=groups)
    today = watched(reference)
    new = Counts(np.append(np.full(size - 1, 10), 10_000), unseen=9_000, new={"Bob 7": 8_000})
    profile = replace(today.profile, columns={**today.profile.columns, ("rows", "city"): new})
    found = lamp(judge(transactions, people, replace(today, profile=profile)), "rows.city")
    assert found.red
    assert found.what == "unseen"
    assert "of rows" in found.sentence
    assert "Ana" not in found.sentence
    assert "Bob" not in found.sentence


def test_a_column_that_is_misspelt_in_the_configuration_is_told(transactions: UseCase, reference: Reference) -> None:
    columns = {"zzz": {"psi": 0.3}, "amount": {"psi": 0.3}}
    verdict = judge(transactions, reference, watched(reference), ignore=["citi"], columns=columns)
    told = {one.name: one.sentence for one in verdict.lamps if one.name.startswith("drift.")}
    assert told == {
        "drift.columns.zzz": "`drift.columns` names `zzz`, which is no column that is watched.",
        "drift.ignore.citi": "`drift.ignore` names `citi`, which is no column that is watched; is it `city`?",
    }
    assert not verdict.red


def test_a_mean_that_moves_is_said_in_standard_deviations(transactions: UseCase, reference: Reference) -> None:
    found = lamp(judge(transactions, reference, watched(reference, amount=lambda values: values + 6)), "rows.amount")
    assert (found.red, found.what) == (True, "shift")
    assert f"moved by {found.effect:.2f} standard deviations: its mean is 10" in found.sentence
    assert found.effect == pytest.approx(0.3, abs=0.06)


def test_a_mean_that_a_few_per_cent_of_large_values_move_is_seen(transactions: UseCase, reference: Reference) -> None:
    def some_large(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[::50] = 500
        return changed

    found = lamp(judge(transactions, reference, watched(reference, amount=some_large)), "rows.amount")
    assert (found.red, found.what) == (True, "mean")
    assert found.figures["shift"] < found.floor < 0.3 < found.effect
    assert "its values are " in found.sentence
    assert " to 500 (" in found.sentence


@pytest.mark.parametrize("values", [1, 5])
def test_a_few_values_far_out_move_no_mean(values: int, transactions: UseCase, reference: Reference) -> None:
    def far_out(amounts: np.ndarray) -> np.ndarray:
        changed = amounts.copy()
        changed[:values] = 1e6
        return changed

    found = lamp(judge(transactions, reference, watched(reference, amount=far_out)), "rows.amount")
    assert not found.red
    assert found.figures["mean"] > 10


def test_other_classes_and_less_confidence_are_seen(transactions: UseCase, reference: Reference) -> None:
    verdict = judge(transactions, reference, watched(reference, yes=0.2))
    assert [one.name for one in verdict.red_lamps] == ["class_mix", "confidence"]
    assert "`yes` 20 % (40 % in training)" in lamp(verdict, "class_mix").sentence


def test_of_rows_that_the_model_knows_it_is_surer_and_that_is_no_alarm(
    transactions: UseCase, reference: Reference
) -> None:
    learned = replace(reference, days=("2026-03-01", "2026-03-31"))
    found = lamp(judge(transactions, learned, watched(reference, yes=0.2)), "confidence")
    assert found.state == "grey"
    assert "learned from 2026-03-30" in found.sentence


def test_what_follows_from_a_raw_column_names_it_as_its_cause(transactions: UseCase, reference: Reference) -> None:
    verdict = judge(transactions, reference, watched(reference, yes=0.2, amount=emptied(0.5)))
    first, *others = verdict.red_lamps
    assert first.name == "rows.amount"
    assert {one.cause for one in others} == {"rows.amount"}
    assert verdict.sentence == f"{first.sentence} 2 likely follow from it."


def test_half_of_the_files_is_seen_beside_days_like_it(transactions: UseCase, reference: Reference) -> None:
    verdict = judge(transactions, reference, watched(reference, files=100), quiet_before(reference))
    assert lamp(verdict, "files").sentence == "100 files came (200 are usual)."
    assert {"files", "rows"} == {one.name for one in verdict.red_lamps}


def test_one_account_that_comes_a_thousand_times_is_seen(transactions: UseCase, reference: Reference) -> None:
    today = replace(watched(reference, files=1_200), accounts=200)
    verdict = judge(transactions, reference, today, quiet_before(reference))
    assert lamp(verdict, "rows_an_account").red


def test_refused_lines_are_seen_by_their_rule(transactions: UseCase, reference: Reference) -> None:
    before = quiet_before(reference, rules={"type": 5})
    verdict = judge(transactions, reference, watched(reference, rules={"type": 5, "range": 60}), before)
    assert [one.name for one in verdict.red_lamps] == ["rejects.range"]
    assert "of lines were refused by `range`" in verdict.sentence


def test_the_first_days_have_no_lamp_for_what_only_days_tell(transactions: UseCase, reference: Reference) -> None:
    verdict = judge(transactions, reference, watched(reference, files=60), quiet_before(reference, days=2))
    grey = {one.name for one in verdict.lamps if one.state == "grey"}
    assert grey == {"files", "rows", "rows_a_file", "rows_an_account", "refused_files"}
    assert "2 of the 28 days before it are known; 7 are needed, or 3" in lamp(verdict, "files").sentence


def test_after_three_days_half_of_the_files_is_seen_and_the_fewer_of_a_weekend_are_not(
    transactions: UseCase, reference: Reference
) -> None:
    before = quiet_before(reference, days=3)  # Friday, Saturday, Sunday
    assert {"files", "rows"} == {
        one.name for one in judge(transactions, reference, watched(reference, files=100), before).red_lamps
    }
    assert not judge(transactions, reference, watched(reference, files=140), before).red
    weekend = [before[0], *(replace(day, files=day.files // 10) for day in before[1:])]
    assert lamp(judge(transactions, reference, watched(reference), weekend), "files").state == "green"


def test_of_the_first_weekend_nobody_knows_how_many_files_it_has(transactions: UseCase, reference: Reference) -> None:
    week = [replace(watched(reference), day=f"2026-03-{day}") for day in (23, 24, 25, 26, 27)]
    saturday = watched(reference, files=100, day="2026-03-28")
    assert lamp(judge(transactions, reference, saturday, week), "files").state == "grey"
    assert lamp(judge(transactions, reference, replace(saturday, day="2026-03-27"), week), "files").red


def test_a_day_of_few_files_and_a_version_without_a_reference_say_why_nothing_is_judged(
    transactions: UseCase, reference: Reference
) -> None:
    few = judge(transactions, reference, watched(reference, files=10))
    assert "fewer than 20 tell nothing" in lamp(few, "columns").sentence
    assert few.sentence == lamp(few, "columns").sentence, "not that of another lamp, which is dark as well"
    assert "train again" in lamp(judge(transactions, None, watched(reference)), "columns").sentence


def test_what_days_before_have_always_had_is_no_news(transactions: UseCase, reference: Reference) -> None:
    def dearer(values: np.ndarray) -> np.ndarray:
        changed: np.ndarray = values + 8
        return changed

    before = quiet_before(reference, amount=dearer)
    assert judge(transactions, reference, watched(reference, amount=dearer)).red
    assert not judge(transactions, reference, watched(reference, amount=dearer), before).red


def test_since_when_is_the_first_of_the_days_in_a_row(transactions: UseCase, reference: Reference) -> None:
    broken = [watched(reference, 50 + day, f"2026-03-{day}", amount=emptied(0.5)) for day in (28, 29)]
    before = [*quiet_before(reference)[:-2], *broken]
    found = lamp(judge(transactions, reference, watched(reference, amount=emptied(0.5)), before), "rows.amount")
    assert found.since == "2026-03-28"


def test_a_lamp_may_wait_for_a_second_day(transactions: UseCase, reference: Reference) -> None:
    today, days = watched(reference, amount=emptied(0.5)), {"red": 2, "of": 3}
    before = quiet_before(reference)
    assert not judge(transactions, reference, today, before, days=days).red
    before[-2] = watched(reference, 60, before[-2].day, amount=emptied(0.5))
    assert judge(transactions, reference, today, before, days=days).red


def test_a_column_may_have_a_floor_of_its_own_or_no_lamp(transactions: UseCase, reference: Reference) -> None:
    today = watched(reference, amount=emptied(0.1))
    assert judge(transactions, reference, today).red
    assert not judge(transactions, reference, today, columns={"amount": {"nulls": 0.2, "psi": 1}}).red
    ignored = judge(transactions, reference, today, ignore=["amount"])
    assert "rows.amount" not in {one.name for one in ignored.lamps}


@pytest.mark.parametrize(
    ("against", "words"),
    [("training", "the training rows"), ("trailing", "the 28 days"), ("last-week", "2026-03-23"), ("2026-03-20",) * 2],
)
def test_a_day_can_be_compared_with_others_than_the_training_rows(
    against: str, words: str, transactions: UseCase, reference: Reference
) -> None:
    before = quiet_before(reference)
    quiet, broken = watched(reference), watched(reference, city=in_no_language)
    assert not judge(transactions, reference, quiet, before, against=against).red
    verdict = judge(transactions, reference, broken, before, against=against)
    assert lamp(verdict, "rows.city").red
    assert words in verdict.against


def test_a_day_that_another_reference_counted_is_no_comparison(transactions: UseCase, reference: Reference) -> None:
    before = [replace(day, reference="another") for day in quiet_before(reference)]
    verdict = judge(transactions, reference, watched(reference), before, against="last-week")
    assert "counted no day of 2026-03-23" in lamp(verdict, "columns").sentence


def test_the_order_and_the_past_of_days_that_are_handed_over_do_not_matter(
    transactions: UseCase, reference: Reference
) -> None:
    before = quiet_before(reference)
    later = watched(reference, 9, "2026-04-01", files=1)
    today = watched(reference, amount=emptied(0.02))
    assert judge(transactions, reference, today, [later, *reversed(before)]) == judge(
        transactions, reference, today, before
    )
    assert later.day > DAY
