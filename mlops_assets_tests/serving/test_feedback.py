"""Corrections over the network: what counts, what does not and why, by the rules of the files."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mlops_assets.journey.feedback.corrections import read_accepted, take_in
from mlops_assets.journey.feedback.files import LARGEST
from mlops_assets.journey.feedback.handing import sign
from mlops_assets.settings import Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asked_api import Api, problem
from mlops_assets_tests.helpers.feedback import EARLY
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy

ADDRESS = "/v1/use-cases/toy/feedback"
HEADER = "day,file,line,label,who,when"
ME = "local"


@pytest.fixture
def use_case() -> UseCase:
    return toy().model_copy(update={"feedback": toy().feedback.model_copy(update={"labels": ("FOOD", "FUEL")})})


@pytest.fixture
def api(settings: Settings, use_case: UseCase) -> Api:
    put(Lake(settings.lake, "toy"), use_case, purchases(40))
    return Api.of(Workspace(settings), use_case)


def correction(line: int = 1, label: str = "FUEL", **fields: Any) -> dict[str, Any]:
    return {"day": DAY, "file": "000.csv", "line": line, "label": label, "when": EARLY, **fields}


def sent(answer: Any) -> dict[str, Any]:
    assert answer.status == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text)
    return found


def test_each_entry_is_answered_with_whether_it_counts_or_the_rule_it_breaks(api: Api, settings: Settings) -> None:
    wrong = [correction(2, "SHOES"), correction(99), correction(), correction(line=0)]
    told = sent(api.post(ADDRESS, {"corrections": [correction(), *wrong]}))
    assert (told["accepted"], told["rejected"], told["sent_before"], told["who"]) == (1, 4, False, ME)
    assert [(one["line"], one.get("rule")) for one in told["entries"]] == [
        (2, None),
        (3, "unknown_label"),
        (4, "unknown_row"),
        (5, "duplicate"),
        (6, "malformed"),
    ]
    (entry,) = read_accepted(Lake(settings.lake, "toy")).to_pylist()
    assert (entry["who"], entry["source_file"]) == (ME, told["file"])


def test_json_is_known_by_how_it_begins_where_nobody_says_what_it_is(api: Api) -> None:
    body = {"corrections": [correction()]}
    assert sent(api.post(ADDRESS, body, "application/x-www-form-urlencoded"))["accepted"] == 1


def test_the_same_content_lands_once_and_is_answered_the_same(api: Api, settings: Settings) -> None:
    first, second = (sent(api.post(ADDRESS, {"corrections": [correction()]})) for _ in range(2))
    assert second == {**first, "sent_before": True}
    assert [path.name for path in (settings.home / "raw" / "toy" / "feedback").iterdir()] == [first["file"]]


def test_csv_is_taken_as_it_is_but_for_the_name_that_an_entry_lacks(api: Api, settings: Settings) -> None:
    lines = [f"{HEADER},note", f"{DAY},000.csv,1,FUEL,,{EARLY},x", "", f"{DAY},000.csv,2,,,,", f"{DAY},broken"]
    told = sent(api.post(ADDRESS, "\n".join(lines).encode(), "text/csv"))
    assert [(one["line"], one.get("rule")) for one in told["entries"]] == [(2, None), (5, "malformed")]
    laid = (settings.home / "raw" / "toy" / "feedback" / told["file"]).read_text()
    assert laid == "\n".join([lines[0], f"{DAY},000.csv,1,FUEL,{ME},{EARLY},x", *lines[2:], ""])


def test_who_sends_speaks_for_themselves_or_for_people_of_theirs(api: Api, settings: Settings) -> None:
    told = problem(api.post(ADDRESS, {"corrections": [correction(), correction(2, who="ann")]}), 422)
    assert told["errors"] == [
        {
            "where": "line 3.who",
            "message": "is 'ann', but 'local' sends it: leave `who` empty, which means 'local', or write "
            "'local/NAME' for somebody you speak for",
        }
    ]
    assert not (settings.home / "raw" / "toy" / "feedback").exists()
    assert sent(api.post(ADDRESS, {"corrections": [correction(who=f"{ME}/ann")]}))["accepted"] == 1


def test_a_name_with_an_end_of_line_keeps_its_line_and_is_not_signed_twice() -> None:
    content = f'{HEADER}\n{DAY},"a\nb.csv",1,FUEL,,{EARLY}\n{DAY},000.csv,2,FUEL,ann,{EARLY}\n'.encode()
    signed = sign(content, "ann")
    assert signed.content == content.replace(b"FUEL,,", b"FUEL,ann,")
    assert sign(signed.content, "ann").content == signed.content
    assert sign(content, "bob").others == [(4, "ann")]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"[]", "application/json", 'Send {"corrections": [{"day"'),
        (b'{"corrections": 1}', "application/json", 'Send {"corrections": [{"day"'),
        (b"{", "application/json", "no JSON"),
        (b'{"corrections": []}', "application/json", "no correction in it"),
        (b'{"corrections": [1, {"lines": 1}]}', "application/json", "cannot be read"),
        (b"day,file\n", "text/csv", "the header lacks line, label, who, when"),
        (b"", "text/csv", "the header lacks"),
        (f"{HEADER}\n".encode(), "text/csv", "no correction in it"),
        (b"\xff\xfe", "text/csv", "not UTF-8"),
    ],
)
def test_what_cannot_be_taken_is_told_and_nothing_lands(
    api: Api, settings: Settings, content: bytes, kind: str, said: str
) -> None:
    assert said in problem(api.post(ADDRESS, content, kind), 422)["detail"]
    assert not (settings.home / "raw" / "toy" / "feedback").exists()


def test_all_that_a_json_correction_lacks_is_told_at_once(api: Api) -> None:
    told = problem(api.post(ADDRESS, {"corrections": [{**correction(line="x"), "extra": 1, "label": 5}, 1]}), 422)
    assert {one["where"] for one in told["errors"]} == {
        "body.corrections[0].extra",
        "body.corrections[0].label",
        "body.corrections[1]",
    }


def test_a_body_beyond_the_bound_is_refused(api: Api) -> None:
    assert "send them in pieces" in problem(api.post(ADDRESS, b"x" * (LARGEST + 1), "text/csv"), 413)["detail"]


def test_of_many_at_once_none_is_lost(api: Api, settings: Settings, use_case: UseCase) -> None:
    """Some by the network, some by what a command does, in no order: the last one has seen the files of all."""
    lake, folder = Lake(settings.lake, "toy"), settings.home / "raw" / "toy" / "feedback"

    def hand_in(number: int) -> None:
        if number % 4:
            sent(api.post(ADDRESS, {"corrections": [correction(number % 4, file=f"{number % 10:03d}.csv")]}))
        else:
            take_in(use_case, Lake(settings.lake, "toy"), folder, ["FOOD", "FUEL"])

    with ThreadPoolExecutor(8) as pool:
        [*pool.map(hand_in, range(24))]
    rows = {(number % 10, number % 4) for number in range(24) if number % 4}
    assert len(read_accepted(lake)) == len(rows)


def test_those_who_wait_are_taken_in_together(api: Api, use_case: UseCase, settings: Settings) -> None:
    """Each time all files are read: of many that come at once, none waits for all that came before it."""
    with ThreadPoolExecutor(12) as pool:
        told = [*pool.map(lambda line: sent(api.post(ADDRESS, {"corrections": [correction(line % 4 + 1)]})), range(24))]
    assert len({one["file"] for one in told}) == 4
    assert all(one["entries"] for one in told), "each is told of its own"
