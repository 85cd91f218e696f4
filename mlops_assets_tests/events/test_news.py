"""What is news: each cause once, its end once, nothing of what happened before anybody looked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mlops_assets.events.behind import LASTS, Behind, Behinds
from mlops_assets.events.facts import Due, Facts, LastRun, Runs
from mlops_assets.events.happened import LampTurned
from mlops_assets.events.memory import Memory
from mlops_assets.events.message import Message
from mlops_assets.events.news import TOGETHER, news
from mlops_assets.journey.model.history import Change
from mlops_assets.journey.train.records import MadeVersion
from mlops_assets.storage.accounting import PredictionsAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.tables import Published
from mlops_assets_tests.helpers.stage import small

NOW = dt.datetime(2026, 1, 3, 9, 0, tzinfo=dt.UTC)
USE_CASE = small().model_copy(update={"deadline": "06:30 America/Sao_Paulo"})
DAY = "2026-01-02"
NOTHING = Facts(NOW, {}, (), "", None, Runs(), (), ())


def published(version: int = 1) -> Published[PredictionsAccounting]:
    return Published(version, 1_000 * version, PredictionsAccounting(files=2, rows=10, predictions=9, model_version=3))


def after(*looks: Facts) -> list[Message]:
    """What the last of some looks tells."""
    memory, messages = Memory(), []
    for facts in looks:
        memory, messages = news(USE_CASE, Memory.from_json(memory.to_json()), facts)
    return messages


def sentences(*looks: Facts) -> list[str]:
    return [message.sentence for message in after(*looks)]


def failed(run: str = "r1", *errors: str) -> Facts:
    last = LastRun(run, errors or ("no room for 4,711 files",), ended=NOW.timestamp())
    return replace(NOTHING, runs=Runs({DAY: last}))


def well(run: str = "r2") -> Runs:
    return Runs({DAY: LastRun(run, ended=NOW.timestamp())})


def test_what_was_published_before_the_first_look_is_no_news() -> None:
    facts = replace(NOTHING, published={DAY: published()})
    assert after(facts) == []
    assert after(facts, facts) == []


def test_a_day_is_told_once_when_it_is_published_and_once_for_each_time_it_is_replaced() -> None:
    one, two = (replace(NOTHING, published={DAY: published(version)}) for version in (1, 2))
    (message,) = after(NOTHING, one)
    assert (message.event, message.severity, message.days) == ("published", "info", (DAY,))
    assert message.numbers["predictions"] == 9
    assert after(NOTHING, one, one) == []
    assert sentences(NOTHING, one, two) == [f"{DAY} is published again, with other content."]


def test_many_days_at_once_are_one_message_with_their_sums() -> None:
    days = {f"2026-01-{day:02d}": published() for day in range(1, TOGETHER + 2)}
    (message,) = after(NOTHING, replace(NOTHING, published=days))
    assert message.sentence == "4 days, 2026-01-01 to 2026-01-04, are published."
    assert message.numbers["rows"] == 40
    assert message.numbers["model_version"] == 3


def test_a_red_day_is_told_once_a_cause_and_once_when_it_is_well_again() -> None:
    (message,) = after(NOTHING, failed())
    assert (message.event, message.severity, message.run_id) == ("red", "error", "r1")
    assert message.details == ("no room for 4,711 files",)
    assert f"mlops-assets run transactions --from {DAY} --to {DAY}" in message.what_to_do
    # it fails again, for the same reason with other numbers, then for another one
    assert after(NOTHING, failed(), failed("r2", "no room for 5,000 files")) == []
    assert len(after(NOTHING, failed(), failed("r2", "no such file"))) == 1
    mended = replace(NOTHING, published={DAY: published()}, runs=well())
    assert sentences(NOTHING, failed(), mended) == [f"{DAY} is published.", f"{DAY} is well again."]
    assert after(NOTHING, failed(), mended)[-1].over
    assert after(NOTHING, failed(), mended, mended) == []


def test_a_run_that_did_other_steps_well_does_not_mend_a_day() -> None:
    assert after(NOTHING, failed(), replace(NOTHING, runs=well())) == []


def test_a_red_day_whose_run_nobody_knows_any_more_is_not_called_well() -> None:
    assert after(NOTHING, failed(), replace(NOTHING, published={DAY: published()}))[-1].event == "published"


def test_a_job_without_days_is_told_by_its_name() -> None:
    last = {"transactions_training": LastRun("r", ("no labels",), is_day=False, ended=NOW.timestamp())}
    assert sentences(NOTHING, replace(NOTHING, runs=Runs(last))) == ["transactions_training failed."]
    mended = {"transactions_training": LastRun("s", is_day=False, ended=NOW.timestamp())}
    looks = NOTHING, replace(NOTHING, runs=Runs(last)), replace(NOTHING, runs=Runs(mended))
    assert sentences(*looks) == ["transactions_training is well again."]


def due(moment: dt.datetime, expected: dt.datetime | None = None) -> Facts:
    return replace(NOTHING, due=[Due(DAY, moment, "no raw files of it were listed yet", expected)])


def test_a_day_that_will_be_late_is_told_before_and_when_it_is_and_when_it_came() -> None:
    hour = dt.timedelta(hours=1)
    soon, in_time = due(NOW + hour, NOW + 2 * hour), due(NOW + hour, NOW)
    late = due(NOW - hour)
    assert after(NOTHING, in_time) == []
    (message,) = after(NOTHING, soon)
    assert message.severity == "warning"
    assert "06:30 America/Sao_Paulo (2026-01-03 10:00 UTC), expected at 2026-01-03 11:00 UTC" in message.sentence
    assert after(NOTHING, soon, soon) == []
    (message,) = after(NOTHING, soon, late)
    assert (message.severity, message.event) == ("error", "late")
    assert after(NOTHING, soon, late, late) == []
    came = replace(NOTHING, published={DAY: published()})
    assert sentences(NOTHING, soon, late, came) == [f"{DAY} is published.", f"{DAY} is published now."]


def test_a_deadline_that_passed_long_before_the_first_look_is_no_news() -> None:
    assert after(due(NOW - dt.timedelta(days=2))) == []
    assert len(after(due(NOW - dt.timedelta(hours=2)))) == 1


def lamps(*red: str, green: Sequence[str] = (), following: Sequence[str] = (), day: str = DAY) -> Facts:
    """The lamps of a day."""
    states = [*((name, True) for name in (*red, *following)), *((name, False) for name in green)]
    turned = [
        LampTurned(name=name, red=on, sentence=f"`{name}` moved.", day=day, follows=name in following)
        for name, on in states
    ]
    return replace(NOTHING, lamps=turned)


def test_a_lamp_is_told_when_it_turns_red_and_when_it_turns_green() -> None:
    city, later = lamps("city"), "2026-01-03"
    assert sentences(NOTHING, city) == [f"{DAY}: `city` moved."]
    assert after(NOTHING, city, lamps("city", day=later)) == []
    assert after(NOTHING, city, NOTHING) == []  # a day that was not judged
    (message,) = after(NOTHING, city, lamps(green=["city"], day=later))
    assert message.sentence == f"{later}: city is green again."
    assert message.over


def test_lamps_that_turn_red_together_are_one_message_and_one_more_once_all_are_green() -> None:
    names = [f"var_{number}" for number in range(200)]
    many = lamps(*names, following=["class_mix"])
    (message,) = after(NOTHING, many)
    assert message.sentence == f"{DAY}: `var_0` moved. 199 more are red."
    assert after(NOTHING, many, lamps(*reversed(names))) == [], "which is told first may differ from day to day"
    assert after(NOTHING, many, lamps(*names[1:], green=names[:1])) == []
    (message,) = after(NOTHING, many, lamps(green=names))
    assert (message.sentence, message.over) == (f"{DAY}: var_0 and 199 more are green again.", True)


def test_what_turns_red_later_is_news_and_what_follows_from_another_lamp_is_not() -> None:
    city, both = lamps("city"), lamps("amount", "city", following=["class_mix"])
    assert sentences(NOTHING, city, both) == [f"{DAY}: `amount` moved."]
    assert sentences(NOTHING, both, lamps("class_mix", green=["city", "amount"])) == [
        f"{DAY}: `class_mix` moved.",
        f"{DAY}: amount and 1 more are green again.",
    ], "what followed and stays has a cause of its own"


def test_a_change_of_the_champion_and_a_refused_training_are_told_once() -> None:
    change = Change(1, "2026-01-03T09:00:00+00:00", "ada", "rollback", 2, 3, "it was worse", "passed")
    (message,) = after(NOTHING, replace(NOTHING, changes=[change]))
    assert message.sentence == "version 2 is champion after version 3, by rollback of ada."
    assert message.details == ("it was worse",)
    refused = replace(NOTHING, training="run", made=MadeVersion(4, passed=False, reason="refused: below the baseline"))
    assert sentences(NOTHING, refused) == ["the gate refused version 4; the champion stays."]
    assert after(NOTHING, refused, refused) == []
    waits = replace(
        refused, training="other", made=MadeVersion(5, passed=True, reason="passed", waits="a person decides")
    )
    assert sentences(NOTHING, refused, waits) == ["version 5 passed the gate and waits for a person."]
    assert after(NOTHING, replace(waits, made=MadeVersion(5, passed=True, reason="passed"))) == []


def behind(version: int | None, serves: int | None = 1, when: float = 0.0) -> Behind:
    return Behind(version, serves, "another SHA-256", when)


def test_an_api_that_serves_an_older_version_is_told_once_however_many_processes_say_so() -> None:
    one, two = (replace(NOTHING, behind=[behind(2)] * processes) for processes in (1, 2))
    (message,) = after(NOTHING, one)
    assert (message.event, message.severity, message.details) == ("serving", "error", ("another SHA-256",))
    assert message.sentence == "the API answers with version 1, for it cannot load version 2, the champion."
    assert "mlops-assets rollback transactions" in message.what_to_do
    assert after(NOTHING, one, two) == []
    assert sentences(NOTHING, one, two, NOTHING) == ["the API answers with the champion."]
    # another champion that cannot be loaded, either, is news, and is over once
    worse = replace(NOTHING, behind=[behind(3, None)])
    assert sentences(NOTHING, one, worse) == ["the API answers nothing, for it cannot load version 3, the champion."]
    assert len(sentences(NOTHING, one, worse, NOTHING)) == 1


def test_what_a_process_said_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    behinds = Behinds(Lake(tmp_path, "toy"))
    assert behinds.standing(NOW.timestamp()) == []
    now = NOW.timestamp()
    behinds.say("killed", behind(2, when=now - LASTS - 1))
    behinds.say("alive", behind(3, when=now))
    (tmp_path / "toy" / "behind" / "cut.json").write_text("{")
    assert [one.version for one in behinds.standing(now)] == [3]
    behinds.tidy(now)
    assert [path.name for path in (tmp_path / "toy" / "behind").iterdir()] == ["alive.json"]
    behinds.withdraw("alive")
    behinds.withdraw("alive")
    assert behinds.standing(now) == []
