"""Somebody is told of failed runs and red checks, by a webhook; no secret goes there or into a log."""

from __future__ import annotations

import html
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components import alerting
from mlops_assets.components.alerting import AlertWaits, alert_sensors
from mlops_assets.components.alerts import Alert, AlertNotDelivered, send
from mlops_assets.events.message import LENGTH, LINES, first_lines
from mlops_assets.running import load_definitions
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.receiver import SECRET_PATH, Receiver, webhook
from mlops_assets_tests.helpers.stage import Stage, small

ALERT = Alert("transactions_daily", ("2026-01-02",), "4711", "It failed.", ("no room",), "Make room.")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook() as known:
        yield known


# -- the webhook --------------------------------------------------------------------------------------------------------


def test_an_alert_is_json_with_a_text_for_chat_programs(receiver: Receiver) -> None:
    send(ALERT, receiver.url)
    assert receiver.got == [
        {
            "text": "It failed.\nno room\nMake room.",
            "job": "transactions_daily",
            "days": ["2026-01-02"],
            "run_id": "4711",
            "problem": "It failed.",
            "errors": ["no room"],
            "what_to_do": "Make room.",
        }
    ]


def test_a_text_calls_nobody_and_hides_no_address(receiver: Receiver) -> None:
    said = "<!channel> @here <http://bad.example|your bank> [look](http://bad.example) a & b"
    send(replace(ALERT, errors=(said,)), receiver.url)
    (told,) = receiver.got
    assert told["errors"] == [said]
    assert not {"<", "@here", "]("} & {sign for sign in ("<", "@here", "](") if sign in told["text"]}
    assert html.unescape(told["text"]).replace("\u200b", "").splitlines()[1] == said


def test_a_webhook_that_is_busy_is_asked_again(receiver: Receiver) -> None:
    receiver.answers = [503, 429, 200]
    send(ALERT, receiver.url)
    assert len(receiver.got) == 3


def test_a_webhook_that_refuses_is_not_asked_again_and_its_address_is_not_told(receiver: Receiver) -> None:
    receiver.answers = [403]
    with pytest.raises(AlertNotDelivered, match="run 4711 was not delivered: it answered with 403") as told:
        send(ALERT, receiver.url)
    assert len(receiver.got) == 1
    assert SECRET_PATH not in str(told.value)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """It could lead anywhere, with what the alert says."""
    receiver.answers = [307]
    with pytest.raises(AlertNotDelivered):
        send(ALERT, receiver.url)
    assert len(receiver.got) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/rosebud", "no address rosebud", "ftp://127.0.0.1/rosebud"])
def test_a_webhook_that_is_not_there_is_told_without_its_address(address: str) -> None:
    with socket.socket() as taken:  # bound but not listening, so nobody answers
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(AlertNotDelivered, match="MLOPS_ALERT_URL") as told:
            send(ALERT, address.format(taken.getsockname()[1]))
    shown = [told.value, told.value.__cause__, told.value.__context__]
    assert not any("rosebud" in str(one) for one in shown)


def test_secrets_of_the_environment_are_not_told() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "tulip-one",
        "POSTGRES_PASSWORD": "tulip-one-two",
        "MLOPS_ALERT_URL": "http://hooks/tulip",
        "MLOPS_HOME": "/state",
        "SHORT_TOKEN": "a",
    }
    said = "at /state: tulip-one, tulip-one-two, http://hooks/tulip, postgresql://me:tulip@db:5432/x?y=a"
    assert first_lines([said], environment) == ("at /state: ***, ***, ***, postgresql://***@db:5432/x?y=a",)


def test_an_alert_is_bounded() -> None:
    lines = first_lines(["\n\n".join(["x" * 10_000] * 50)])
    assert [len(line) for line in lines] == [LENGTH] * LINES


# -- the sensors --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.of(small(), tmp_path_factory.mktemp("alerts") / "home") as stage:
        yield stage


Look = Callable[[Stage, dg.ExecuteInProcessResult, str], dg.SkipReason]


@contextmanager
def told_at(stage: Stage, url: str) -> Iterator[dict[str, Workspace]]:
    """The resources of a sensor, with an address to post to."""
    with stage.settings() as settings:
        yield {"workspace": Workspace(replace(settings, alert_url=url))}


@pytest.fixture
def look(receiver: Receiver) -> Look:
    """What a sensor does with a run."""

    def sensor(stage: Stage, result: dg.ExecuteInProcessResult, url: str = receiver.url) -> dg.SkipReason:
        failed, red = alert_sensors(listening=True)
        event = result.get_run_failure_event() if not result.success else result.get_run_success_event()
        wanted = red if result.success else failed
        with told_at(stage, url) as resources:
            context = dg.build_run_status_sensor_context(
                wanted.name, event, stage.instance, result.dagster_run, resources=resources
            )
            return wanted(context if result.success else context.for_run_failure())

    return sensor


def test_a_failed_day_is_told_with_its_first_error_and_what_to_run(idle: Stage, receiver: Receiver, look: Look) -> None:
    result = idle.execute("daily", day="2026-01-02")
    look(idle, result, receiver.url)
    (told,) = receiver.got
    assert told["job"] == "transactions_daily"
    assert told["days"] == ["2026-01-02"]
    assert told["run_id"] == result.run_id
    assert told["problem"] == "transactions_daily failed for 2026-01-02."
    assert told["errors"][0].startswith("No raw files of 2026-01-02: there is no folder")
    assert "mlops-assets run transactions --from 2026-01-02 --to 2026-01-02" in told["what_to_do"]


def test_a_run_that_is_tried_again_is_not_told_yet(idle: Stage, receiver: Receiver, look: Look) -> None:
    result = idle.execute("daily", day="2026-01-03")
    idle.instance.add_run_tags(result.run_id, {"dagster/will_retry": "true"})
    assert "is tried again" in (look(idle, result, receiver.url).skip_message or "")
    assert receiver.got == []


def test_a_range_that_failed_is_not_told_for_its_day_goes_on(idle: Stage, receiver: Receiver, look: Look) -> None:
    result = idle.execute("daily", day="2026-01-04")
    idle.instance.add_run_tags(result.run_id, {"mlops_assets/range_of": "a-day"})
    assert "did a range for a-day" in (look(idle, result, receiver.url).skip_message or "")
    assert receiver.got == []


def test_a_training_without_rows_is_told_without_days(idle: Stage, receiver: Receiver, look: Look) -> None:
    look(idle, idle.execute("training"), receiver.url)
    (told,) = receiver.got
    assert told["problem"] == "transactions_training failed."
    assert told["days"] == []


def test_a_missing_day_is_told_although_the_run_that_found_it_went_well(
    tmp_path: Path, receiver: Receiver, look: Look
) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        stage.sample("2026-01-01")
        stage.run("2026-01-01", train=True)
        result = stage.execute("watch")
        assert result.success
        look(stage, result, receiver.url)
    (told,) = receiver.got
    assert told["problem"] == "transactions_watch: 1 check is red."
    assert "yesterday_is_not_missing: The predictions of" in told["errors"][0]
    assert "Run `mlops-assets run transactions --from" in told["errors"][0]


def test_days_that_did_not_come_beside_others_are_shown_and_nobody_is_told(
    tmp_path: Path, receiver: Receiver, look: Look
) -> None:
    with Stage.of(small(), tmp_path / "home") as stage:
        for day in ("2026-01-01", "2026-01-03"):
            stage.sample(day)
        result = stage.execute("daily", days=("2026-01-01", "2026-01-03"))
        assert result.success
        assert not stage.check("raw_files", "every_day_delivered").passed
        assert "no check of the run" in (look(stage, result, receiver.url).skip_message or "")
    assert receiver.got == []


def test_a_run_without_red_checks_is_not_told(idle: Stage, receiver: Receiver, look: Look) -> None:
    look(idle, idle.execute("watch"), receiver.url)
    assert receiver.got == []


def test_without_an_address_nobody_is_told(idle: Stage, receiver: Receiver, look: Look) -> None:
    said = look(idle, idle.execute("daily", day="2026-01-02"), "")
    assert said.skip_message == "MLOPS_ALERT_URL is not set, so nobody is told"
    assert receiver.got == []


class Ticks:
    """The ticks of the sensor of failed runs: each begins where the one before has left the cursor."""

    def __init__(self, stage: Stage, url: str) -> None:
        self.stage, self.url = stage, url
        self.sensor, _ = alert_sensors(listening=True)
        self.cursor: str | None = None

    def tick(self) -> list[str]:
        """What Dagster notes in the run as the error of the sensor."""
        with told_at(self.stage, self.url) as resources:
            context = dg.build_sensor_context(
                self.stage.instance, self.cursor, repository_name=None, resources=resources
            )
            done = self.sensor.evaluate_tick(context)
        self.cursor = done.cursor
        return [reaction.error.message for reaction in done.dagster_run_reactions if reaction.error]


@pytest.fixture
def ticks(idle: Stage, receiver: Receiver) -> Ticks:
    """With one failed run that nobody was told of."""
    ticks = Ticks(idle, receiver.url)
    ticks.tick()  # the first one looks where it begins
    assert not idle.execute("daily", day="2026-01-02").success
    return ticks


def test_an_alert_that_the_webhook_does_not_take_is_sent_by_a_later_tick(ticks: Ticks, receiver: Receiver) -> None:
    receiver.answers = [403]
    with pytest.raises(AlertWaits, match="it answered with 403") as told:
        ticks.tick()
    assert SECRET_PATH not in str(told.value)
    assert [ticks.tick(), ticks.tick()] == [[], []]
    assert [one["problem"] for one in receiver.got] == ["transactions_daily failed for 2026-01-02."] * 2, (
        "refused, taken"
    )


def test_an_alert_that_nobody_takes_for_a_day_is_given_up(
    ticks: Ticks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "PATIENCE", -60)
    receiver.answers = [403]
    (said,) = ticks.tick()
    assert "was not delivered: it answered with 403" in said
    ticks.tick()
    assert len(receiver.got) == 1


@pytest.mark.parametrize(("url", "status"), [("http://127.0.0.1/x", "RUNNING"), ("", "STOPPED")])
def test_the_sensors_run_by_themselves_where_there_is_an_address(
    url: str, status: str, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_ALERT_URL", url)
    sensors = {one.name: one for one in load_definitions().get_repository_def().sensor_defs}
    for name in ("alert_on_failed_runs", "alert_on_red_checks"):
        assert sensors[name].default_status.value == status
