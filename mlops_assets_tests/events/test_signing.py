"""A signature says who sent a message and when: what is forged, old or a replay is refused, and MLflow's is known."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.events.channels import NotTold, Webhook, open_channel
from mlops_assets.events.facts import Runs
from mlops_assets.events.message import Message
from mlops_assets.events.signing import TOLERANCE, NotSigned, Repeated, Seen, Signed, sign, verify
from mlops_assets.events.telling import look
from mlops_assets.use_case import Told
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.receiver import Receiver, webhook
from mlops_assets_tests.helpers.receiving import receiving
from mlops_assets_tests.helpers.stage import small

NOW, BODY = 1_700_000_000.0, b'{"event": "champion"}'
SECRET = "".join(("whsec_", base64.b64encode(bytes(range(32))).decode()))
OTHER = "o" * 32
NO_BASE64 = "".join(("whsec_", "!" * 40))


def test_what_is_signed_is_taken_once() -> None:
    headers, seen = sign(SECRET, "msg_1", NOW, BODY), Seen()
    assert verify(headers, BODY, SECRET, NOW, seen) == Signed("msg_1", int(NOW))
    with pytest.raises(Repeated):
        verify(headers, BODY, SECRET, NOW + 10, seen)
    assert verify({name.upper(): value for name, value in headers.items()}, BODY, SECRET, NOW, Seen())


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of their specification: id, time and body with dots between, the key in base64."""
    shared = "".join(("whsec_", "MfKQ9r8GKYqrTwjUP", "D8ILPZIo2LaLaSw"))
    headers = sign(shared, "".join(("msg_p5jXN8AQ", "M9LWM0D4loKWxJek")), 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "".join(("v1,g0hM9SsE+OTPJTGt/tm", "IKtSyZlE3uFJELVlNIOLJ1OE="))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-signature": "v1,AAAA"}, "its signature is not that of the secret"),
        ({"webhook-signature": "v1,\xe9"}, "its signature is not that of the secret"),
        ({"webhook-id": "another"}, "its signature is not that of the secret"),
        ({"webhook-timestamp": str(int(NOW) + 1)}, "its signature is not that of the secret"),
        ({"webhook-timestamp": "9" * 5000}, "it is not signed"),
        ({"webhook-id": ""}, "it is not signed"),
        ({"webhook-id": "msg_1.1"}, "its id has a dot"),
    ],
)
def test_what_is_forged_is_refused_and_remembered_by_nobody(change: dict[str, str], why: str) -> None:
    seen, headers = Seen(), sign(SECRET, "msg_1", NOW, BODY)
    with pytest.raises(NotSigned, match=why):
        verify(headers | change, BODY, SECRET, NOW, seen)
    with pytest.raises(NotSigned, match="not that of the secret"):
        verify(headers, BODY + b" ", SECRET, NOW, seen)
    with pytest.raises(NotSigned, match="it is not signed"):
        verify({}, BODY, SECRET, NOW, seen)
    assert verify(headers, BODY, SECRET, NOW, seen) == Signed("msg_1", int(NOW))


@pytest.mark.parametrize("away", [TOLERANCE + 1, -TOLERANCE - 1], ids=["old", "ahead"])
def test_a_time_that_is_far_from_ours_is_refused(away: float) -> None:
    with pytest.raises(NotSigned, match="more than 300 s ago"):
        verify(sign(SECRET, "msg_1", NOW - away, BODY), BODY, SECRET, NOW, Seen())


def test_a_replay_stays_one_as_long_as_its_time_is_good() -> None:
    headers, seen = sign(SECRET, "msg_1", NOW + TOLERANCE, BODY), Seen()
    verify(headers, BODY, SECRET, NOW, seen)
    with pytest.raises(Repeated):
        verify(headers, BODY, SECRET, NOW + 2 * TOLERANCE - 1, seen)


def test_what_could_not_be_acted_on_may_come_again() -> None:
    headers, seen = sign(SECRET, "msg_1", NOW, BODY), Seen()
    seen.forget(verify(headers, BODY, SECRET, NOW, seen).name)
    assert verify(headers, BODY, SECRET, NOW, seen)


def test_a_secret_is_replaced_without_a_message_that_is_refused() -> None:
    both = f"{SECRET} {OTHER}"
    for sent_with, known in ((SECRET, both), (both, SECRET), (both, OTHER), (OTHER, both)):
        assert verify(sign(sent_with, "msg_1", NOW, BODY), BODY, known, NOW, Seen())


@pytest.mark.parametrize("known", ["", "short", NO_BASE64, "whsec_c2hvcnQ="], ids=range(4))
def test_a_secret_that_is_none_signs_and_proves_nothing(known: str) -> None:
    with pytest.raises(ValueError, match="secret|base64"):
        verify(sign(SECRET, "msg_1", NOW, BODY), BODY, known, NOW, Seen())


def test_mlflow_signs_the_same_bytes_under_names_of_its_own() -> None:
    from mlflow.webhooks import constants
    from mlflow.webhooks.delivery import _generate_hmac_signature

    headers = {
        constants.WEBHOOK_DELIVERY_ID_HEADER: "d1",
        constants.WEBHOOK_TIMESTAMP_HEADER: str(int(NOW)),
        constants.WEBHOOK_SIGNATURE_HEADER: _generate_hmac_signature(OTHER, "d1", str(int(NOW)), BODY.decode()),
    }
    assert verify(headers, BODY, OTHER, NOW, Seen()).name == "d1"
    with pytest.raises(NotSigned):
        verify(headers, BODY + b"x", OTHER, NOW, Seen())


# -- the channel --------------------------------------------------------------------------------------------------------


def message() -> Message:
    return Message("shop", "team:ml", "champion", "info", "champion:3", "version 2 is champion.", change=3).cleaned()


def test_the_example_of_a_receiver_takes_what_is_signed_once_and_nothing_else(tmp_path: Path) -> None:
    with receiving(SECRET) as (url, lines):
        signed = Webhook(url, secret=SECRET)
        assert signed.tell(message(), "msg_1") == "it answered with 204"
        assert signed.tell(message(), "msg_1") == "it answered with 204", "a try again is no refusal"
        for other in (Webhook(url), Webhook(url, secret=OTHER)):
            with pytest.raises(NotTold, match="it answered with 401"):
                other.tell(message(), "msg_2")
        signed.tell(replace(message(), sentence="the last."), "msg_3")
        assert [next(lines), next(lines)] == ["champion shop 3 version 2 is champion.", "champion shop 3 the last."]


def test_a_try_again_has_the_same_id_and_a_time_of_its_own(tmp_path: Path) -> None:
    with webhook() as receiver, state_in(tmp_path):
        told = {"deploy": Told(url=receiver.url, secret=SECRET, severity="info")}
        stores = Workspace.from_environment().of(small().model_copy(update={"told": told}))
        look(stores, Runs(), now=lambda: NOW)
        stores.history.append("promote", 1, "ada", "better", "passed")
        receiver.answers = [500]
        look(stores, Runs(), now=lambda: NOW)
        look(stores, Runs(), now=lambda: NOW + 60)
    assert len(ids_of(receiver)) == 2
    assert len({*ids_of(receiver)}) == 1
    body = json.loads(receiver.sent[1][1])
    assert {name: body[name] for name in ("event", "use_case", "change", "severity", "days")} == {
        "event": "champion",
        "use_case": "transactions",
        "change": 1,
        "severity": "info",
        "days": [],
    }


def ids_of(receiver: Receiver) -> list[str]:
    return [headers["webhook-id"] for headers, _ in receiver.sent]


def test_a_channel_whose_secret_cannot_sign_says_so_without_it() -> None:
    with pytest.raises(NotTold, match="its secret cannot sign: what comes after whsec_ is no base64") as told:
        open_channel(Told(url="https://127.0.0.1:9/", secret=NO_BASE64)).tell(message())
    assert "!!!" not in str(told.value)
