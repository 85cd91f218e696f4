"""Keys: what an entry says, who sent a request, what they may do, and how often."""

from __future__ import annotations

import hashlib
import math

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.serving.entrance.callers import Caller
from mlops_assets.serving.entrance.guard import Headers
from mlops_assets.serving.entrance.keys import VARIABLE, Bucket, Key, Keys, new_key, right_for, see_right
from mlops_assets.serving.problems import Problem

SHOP, KEY = new_key("shop", frozenset({"read", "predict"}), 2)
AUDITOR, AUDIT = new_key("auditor", frozenset({"read"}))


def sent(*headers: tuple[str, str]) -> Headers:
    return Headers([(name.encode(), value.encode("latin-1")) for name, value in headers])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setenv(VARIABLE, f"{KEY.entry}\n  {AUDIT.entry}\n")
    found = Keys.from_environment()
    assert found is not None
    return found


def refused(keys: Keys, *headers: tuple[str, str]) -> Problem:
    with pytest.raises(Problem) as caught:
        keys.caller(sent(*headers))
    return caught.value


def test_an_entry_holds_a_hash_and_no_key() -> None:
    digest = hashlib.sha256(SHOP.encode()).hexdigest()
    assert KEY.entry == f"shop:read,predict:2:{digest}"
    assert AUDIT.entry.startswith("auditor:read:-:")
    assert Key.parse(AUDIT.entry, 1) == AUDIT
    assert len({new_key("a", frozenset({"read"}))[0] for _ in range(50)}) == 50


def test_who_sent_a_request_is_who_has_its_key(keys: Keys) -> None:
    assert keys.caller(sent(("Authorization", f"Bearer {SHOP}"))) == Caller("shop", frozenset({"read", "predict"}))
    assert keys.caller(sent(("authorization", f"bearer  {SHOP} "))).name == "shop"
    assert keys.caller(sent(("X-Api-Key", AUDITOR))).name == "auditor"


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", f"Bearer {SHOP[:-1]}"),),
        (("Authorization", f"Bearer {KEY.digest}"),),
        (("X-Api-Key", "ä€".encode().decode("latin-1")),),
        (("X-Api-Key", SHOP), ("X-Api-Key", AUDITOR)),
    ],
    ids=["almost", "the hash", "no text", "two"],
)
def test_another_key_is_refused(keys: Keys, headers: tuple[tuple[str, str], ...]) -> None:
    problem = refused(keys, *headers)
    assert (problem.status, problem.headers["WWW-Authenticate"]) == (
        401,
        'Bearer realm="mlops-assets", error="invalid_token"',
    )


@pytest.mark.parametrize("headers", [(), (("Authorization", f"Basic {SHOP}"),), (("X-Api-Key", ""),)])
def test_without_a_key_it_is_said_how_one_is_sent(keys: Keys, headers: tuple[tuple[str, str], ...]) -> None:
    problem = refused(keys, *headers)
    assert (problem.status, problem.headers) == (401, {"WWW-Authenticate": 'Bearer realm="mlops-assets"'})
    assert "Authorization: Bearer KEY" in problem.detail


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/v1/use-cases/topics/days", "read"),
        ("HEAD", "/metrics", "read"),
        ("POST", "/v1/use-cases/topics/predictions", "predict"),
        ("POST", "/v2/models/topics/infer", "predict"),
        ("POST", "/v2/models/topics/versions/3/infer", "predict"),
        ("POST", "/predict/", "predict"),
        ("POST", "/v1/use-cases/topics/feedback", "write"),
        ("POST", "/v1/use-cases/topics/promote", "write"),
        ("DELETE", "/v1/use-cases/topics/predictions/1", "write"),
    ],
)
def test_what_a_request_needs_is_seen_by_its_method_and_path(method: str, path: str, right: str) -> None:
    assert right_for(method, path) == right


def test_a_right_that_lacks_is_named() -> None:
    see_right(KEY.caller, "POST", "/predict")
    with pytest.raises(Problem, match="The key of shop has no right to write; it has: predict, read") as caught:
        see_right(KEY.caller, "POST", "/v1/use-cases/topics/train")
    assert caught.value.status == 403
    assert "insufficient_scope" in caught.value.headers["WWW-Authenticate"]


def test_a_bucket_gives_a_second_at_once_and_then_its_rate() -> None:
    now = [0.0]
    bucket = Bucket(2, lambda: now[0])
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.5]
    now[0] = 0.5
    assert [bucket.take(), bucket.take()] == [0, 0.5]
    now[0] = 1_000
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.5]
    assert Bucket(math.inf).take() == 0


def test_beyond_its_rate_a_caller_waits_and_others_do_not(keys: Keys) -> None:
    keys.take(KEY.caller)
    keys.take(KEY.caller)
    with pytest.raises(Problem, match="key of shop") as caught:
        keys.take(KEY.caller)
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
    for _ in range(100):
        keys.take(AUDIT.caller)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("shop", "entry 2: it is not NAME:RIGHTS:RATE:HASH"),
        ("sh/op:read:-:" + "0" * 64, "entry 2: it is not NAME:RIGHTS:RATE:HASH"),
        ("shop:read,all:-:" + "0" * 64, "entry 2 (shop): rights are read, predict, write"),
        ("shop::-:" + "0" * 64, "entry 2 (shop): rights are"),
        ("shop:read:0:" + "0" * 64, "entry 2 (shop): the rate is a number of requests a second, or -"),
        ("shop:read:inf:" + "0" * 64, "entry 2 (shop): the rate is"),
        (f"shop:read:-:{SHOP}", "entry 2 (shop): its hash is not 64 hexadecimal digits"),
        (AUDIT.entry, "the name auditor stands there twice"),
    ],
    ids=[
        "no parts",
        "name",
        "rights",
        "no rights",
        "rate 0",
        "rate inf",
        "a key, not its hash",
        "twice",
    ],  # keys are random
)
def test_a_wrong_entry_is_named_and_never_quoted(entry: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{AUDIT.entry} {entry}")
    with pytest.raises(UsageError) as caught:
        Keys.from_environment()
    assert str(caught.value).startswith(VARIABLE)
    assert said in str(caught.value)
    assert SHOP not in str(caught.value)


def test_no_entry_means_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " ")
    assert Keys.from_environment() is None


def test_a_name_that_an_entry_cannot_hold_gets_no_key() -> None:
    with pytest.raises(UsageError, match="cannot be the name of a key"):
        new_key("a:b", frozenset({"read"}))
