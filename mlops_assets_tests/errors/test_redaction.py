"""What is known to be a secret, and texts, errors and log lines without it."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import pytest
from dagster_shared.error import SerializableErrorInfo

from mlops_assets.components import private
from mlops_assets.components.alerts import Alert, AlertNotDelivered, send
from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import SHORTEST, redact_logs, redacted, remember, shown

SECRET = "rose/bud+7c41"
ENCODED = "rose%2Fbud%2B7c41"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://me:rosebud@127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("https://me:rose@bud@host/a/b?token=rosebud#rosebud", "https://host/a/b"),
        ("postgresql+psycopg2://me:rosebud@/all?host=/run", "postgresql+psycopg2:///all"),
        ("spark://rosebud@[::1]:7077", "spark://[::1]:7077"),
        ("http://me:rosebud@[::1", "***"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("/home/me@work", "/home/me@work"),
    ],
)
def test_an_address_is_shown_without_who_asks(address: str, expected: str) -> None:
    assert shown(address) == expected


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "MLOPS_ALERT_URL",
    ],
)
@pytest.mark.parametrize("form", [SECRET, ENCODED, "rose/bud%2B7c41"])
def test_a_variable_whose_name_says_it_is_secret_however_it_is_spelt(name: str, form: str) -> None:
    assert redacted(f"({form})", {name: SECRET}) == "(***)"


@pytest.mark.parametrize("name", ["S3_ENDPOINT_URL", "HTTPS_PROXY", "ANYTHING"])
def test_the_password_of_an_address_is_secret_in_whatever_variable(name: str) -> None:
    environment = {name: f"postgresql://me:{ENCODED}@host/all"}
    said = f"no {SECRET}, no {ENCODED}, http://me:a@host, postgresql://me:{SECRET}@host/all"
    assert redacted(said, environment) == "no ***, no ***, http://***@host, postgresql://***@host/all"


def test_behind_the_host_an_address_that_is_referred_to_has_its_secret_too() -> None:
    """Libraries say what they asked for, and not of whom."""
    environment = {remember("TEST_REDACTION_HOOK"): "http://host/hooks/rosebud?key=rosebud2"}
    assert (
        redacted("url: /hooks/rosebud?key=rosebud2 at http://host/x", environment)
        == "url: /***?key=*** at http://host/x"
    )


def test_the_name_of_a_database_that_is_referred_to_is_none() -> None:
    """A target may lie where the state does; who is told what to grant is told of which database."""
    environment = {remember("TEST_REDACTION_TABLES"): f"postgresql://me:{ENCODED}@host/orders?options=-cx"}
    said = f"GRANT CREATE ON DATABASE orders; {ENCODED}"
    assert redacted(said, environment) == "GRANT CREATE ON DATABASE orders; ***"


def test_what_an_address_says_by_a_secret_name_is_secret() -> None:
    environment = {"ANYTHING": "postgresql://host/all?sslmode=require&sslpassword=rosebud"}
    said = "rosebud: postgresql://other/?sslmode=require&password=x and http://host/?API_KEY=a&page=2"
    assert redacted(said, environment) == (
        "***: postgresql://other/?sslmode=require&password=*** and http://host/?API_KEY=***&page=2"
    )


def test_what_messages_are_about_is_no_secret(tmp_path: Path) -> None:
    """Every word has an `a`, and every second message names a day, or the folder that somebody refers to."""
    values = "a" * (SHORTEST - 1), str(tmp_path), "2026-01-31"
    environment = {remember(f"TEST_REDACTION_{number}"): value for number, value in enumerate(values)}
    environment["DATABASE_URL"] = "postgresql://postgres@host/all"
    said = f"{values} of postgresql"
    assert redacted(said, environment) == said


def test_the_example_of_an_address_stays_readable() -> None:
    assert redacted("such as postgresql://user:password@host/database", {}).endswith("user:password@host/database")


def test_a_pattern_of_an_address_is_none() -> None:
    said = "url: String should match pattern '^(https?://[^@]+|x)$', and not http://me:rosebud@host"
    assert redacted(said, {}) == said.replace("me:rosebud", "***")


@pytest.mark.parametrize("name", ["MLOPS_USER", "USER", "DATABASE_NAME", "TOKENIZERS_PARALLELISM"])
def test_a_setting_that_is_no_secret_is_a_word_like_any_other(name: str) -> None:
    environment = {name: "Somebody", "ANY_URL": "postgresql://Somebody@host/all"}
    assert redacted("Somebody changed what was stored", environment) == "Somebody changed what was stored"


def test_an_error_for_people_has_none_wherever_it_becomes_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", SECRET)
    error = MlopsError(f"the server says {SECRET}")
    assert str(error) == f"{error}" == "the server says ***"
    assert SECRET not in "".join(traceback.format_exception(error))


def test_what_dagster_keeps_of_an_error_has_none_in_all_that_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", SECRET)
    try:
        try:
            raise OSError(f"no {SECRET}")
        except OSError as error:
            raise ValueError(f"nor {SECRET}") from error
    except ValueError:
        kind, error, trace = sys.exc_info()
        assert kind is not None
        assert error is not None
        found = private.SerializableErrorInfo.from_traceback(traceback.TracebackException(kind, error, trace))
    assert isinstance(found, SerializableErrorInfo)
    assert "ValueError: nor ***" in found.to_string()
    assert "OSError: no ***" in found.to_string()
    assert SECRET not in found.to_string()


def test_a_line_of_the_log_has_none_whoever_writes_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEST_PASSWORD", SECRET)
    redact_logs()
    log = logging.getLogger("somebody.elses")
    log.warning("asked %s as %s", "http://me:a@host", SECRET)
    try:
        raise OSError(f"no {SECRET}")
    except OSError:
        log.exception("it failed")
    assert "asked http://***@host as ***" in caplog.text
    assert "OSError: no ***" in caplog.text
    assert SECRET not in caplog.text


def test_an_alert_that_fails_tells_nobody_where_it_was_sent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 warns of every retry, with the path of the webhook."""
    address = "http://me:rosebud-1@127.0.0.1:9/hooks/rosebud-2"
    monkeypatch.setenv("MLOPS_ALERT_URL", address)
    redact_logs()
    with pytest.raises(AlertNotDelivered) as told:
        send(Alert("job", (), "4711", "It failed.", (), "Mend it."), address)
    assert "Retrying" in caplog.text
    assert "rosebud" not in caplog.text + str(told.value)
