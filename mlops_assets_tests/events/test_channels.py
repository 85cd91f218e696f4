"""Channels take a message or say why not, in bounded time; what they show obeys nobody's file and holds no secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlops_assets.events.channels import Apprise, NotTold, Webhook, open_channel
from mlops_assets.events.message import LENGTH, LINES, Message
from mlops_assets.use_case import Told
from mlops_assets_tests.helpers.mail import mail_server
from mlops_assets_tests.helpers.receiver import SECRET_PATH, webhook


def message(sentence: str = "2026-01-01 is red.", *details: str) -> Message:
    return Message("shop", "team:ml", "red", "error", "red:x", sentence, details, "Run it.", ("2026-01-01",)).cleaned()


@contextmanager
def silent() -> Iterator[str]:
    """Host and port of somebody who takes every connection and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_webhook_gets_the_fields_of_an_alert_and_more() -> None:
    with webhook() as receiver:
        assert open_channel(Told(url=receiver.url)).tell(message()) == "it answered with 200"
    (got,) = receiver.got
    assert got["text"] == "[error] shop: 2026-01-01 is red.\nRun it.\nowner: team:ml"
    assert got.keys() >= {"text", "job", "days", "run_id", "problem", "errors", "what_to_do"}
    assert (got["event"], got["severity"], got["over"]) == ("red", "error", False)


def test_an_email_comes_with_the_sentence_as_its_subject() -> None:
    with mail_server() as box:
        assert isinstance(open_channel(Told(url=box.url)), Apprise)
        assert Apprise(box.url).tell(message()) == "it was taken"
    (mail,) = box.got
    assert mail["Subject"] == "[error] shop: 2026-01-01 is red."
    assert box.recipients == ["rcpt TO:<owner@example.org>"]


def test_a_name_of_a_file_adds_no_header_to_an_email() -> None:
    with mail_server() as box:
        Apprise(box.url).tell(message("a\r\nBcc: all@example.org\r\n\r\nhello.csv is refused"))
    (mail,) = box.got
    assert mail["Bcc"] is None
    assert len(box.recipients) == 1
    assert r"a\r\nBcc: all" in mail["Subject"]


def test_a_mail_server_that_refuses_is_told_with_what_was_refused() -> None:
    with mail_server() as box:
        box.refuses = True
        with pytest.raises(NotTold, match="owner@example.org"):
            Apprise(box.url).tell(message())


@pytest.mark.parametrize("address", ["http://{}/hook", "mailto://{}?from=a@example.org&to=b@example.org&mode=insecure"])
def test_a_channel_that_hangs_is_given_up(address: str) -> None:
    with silent() as host, pytest.raises(NotTold, match="Timeout|took longer"):
        open_channel(Told(url=address.format(host)), seconds=0.3).tell(message())


@pytest.mark.parametrize("answer", [301, 307, 403, 500])
def test_a_redirect_or_a_refusal_is_no_success_and_no_address_is_told(answer: int) -> None:
    with webhook() as receiver:
        receiver.answers = [answer]
        with pytest.raises(NotTold, match=f"answered with {answer}") as told:
            Webhook(receiver.url).tell(message())
    assert len(receiver.got) == 1
    assert SECRET_PATH not in str(told.value)


@pytest.mark.parametrize("address", ["nonsense://rosebud", "slack://rosebud"])
def test_an_address_that_apprise_does_not_know_is_told_without_it(address: str) -> None:
    with pytest.raises(NotTold, match="does not know this kind of address") as told:
        Apprise(address).tell(message())
    assert "rosebud" not in str(told.value)


def test_a_message_is_bounded_and_shows_what_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "rosebud-4711")
    said = message("exe\u202etxt.\x1b[31m rosebud-4711", "x" * 10_000_000, *["y\nz"] * 50)
    assert said.sentence == r"exe\u202etxt.\u001b[31m ***"
    assert len(said.details) == LINES
    assert len(said.details[0]) == LENGTH


def test_a_text_calls_nobody() -> None:
    with webhook() as receiver:
        Webhook(receiver.url).tell(message("<!channel> @here [look](http://bad.example)"))
    assert not [sign for sign in ("<!", "@here", "](") if sign in receiver.got[0]["text"]]
