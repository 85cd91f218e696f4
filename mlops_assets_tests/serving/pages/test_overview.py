"""The overview: whether yesterday can be trusted, for somebody who knows no machine learning, and what to do if not."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.monitoring.kept import Judged, keep
from mlops_assets.monitoring.lamp import DayVerdict, Lamp
from mlops_assets.serving.app import make_app
from mlops_assets.use_case.partitions import DAYS, Partitions
from mlops_assets.views.days import Known, record
from mlops_assets.views.overview import Line, Trust, broken, headline, in_order, look, trust_of
from mlops_assets_tests.helpers.asked_api import Api
from mlops_assets_tests.helpers.shown_home import (
    DAMAGED,
    LATE,
    REFUSED,
    YESTERDAY,
    Shown,
    shown_copy,
    shown_home,
)


@pytest.fixture(scope="module")
def home() -> Iterator[Shown]:
    with shown_home() as home:
        yield home


def as_of(home: Shown, day: str) -> Line:
    """What is said some minutes after a day is over."""
    morning = dt.datetime.fromisoformat(f"{day}T23:59:00+00:00") + dt.timedelta(minutes=5)
    return look(home.stores, morning)


def test_a_day_of_which_nothing_is_red_can_be_trusted(home: Shown) -> None:
    line = as_of(home, YESTERDAY)
    assert (line.day, line.state, line.trust.answer, line.red) == (YESTERDAY, "done", "yes", [])
    rows = home.rows_of(YESTERDAY)
    assert line.trust.why.endswith(f"nothing is red; 2 of {rows + 2} lines were refused")
    assert (line.rows, line.open, line.champion, line.age) == (rows, 2, 1, 0)
    assert line.following.command == f"mlops-assets rejects transactions --day {YESTERDAY} -o rejects.csv"


def test_a_day_with_a_red_lamp_cannot_and_the_sentence_says_what_is_odd(home: Shown) -> None:
    line = as_of(home, DAMAGED)
    assert (line.state, line.trust.answer) == ("red", "no")
    assert line.trust.why.startswith("its predictions are out, but its rows are not like those that the model learned")
    assert "empty in 100 % of rows" in line.trust.why
    assert line.red
    assert line.following.path == f"drift?day={DAMAGED}"


def test_a_day_that_a_check_kept_back_says_so_without_the_name_of_the_check(home: Shown) -> None:
    line = as_of(home, REFUSED)
    assert line.trust.answer == "no"
    assert line.trust.why.startswith("it was kept back, for more of its lines were refused than is allowed (")
    assert line.following.path == f"data/rejects?day={REFUSED}"


def test_a_late_day_says_since_when(home: Shown) -> None:
    now = dt.datetime.fromisoformat(f"{YESTERDAY}T23:45:00+00:00")
    line = look(home.stores, now)
    assert (line.day, line.state, line.trust.answer) == (LATE, "late", "no")
    assert line.trust.why.endswith(f"due by {YESTERDAY} 23:30 UTC: no files of it came")
    assert line.following.command == f"mlops-assets run transactions --from {LATE} --to {LATE}"


def test_where_nothing_of_yesterday_came_the_last_day_is_told_and_is_not_taken_for_it(home: Shown) -> None:
    now = dt.datetime.fromisoformat(f"{YESTERDAY}T12:00:00+00:00")
    line = look(home.stores, now)
    assert (line.day, line.trust.answer) == (DAMAGED, "no")
    assert line.trust.why.startswith(f"nothing of yesterday ({LATE}) has come, which is due by {YESTERDAY} 23:30 UTC")
    assert "cannot be trusted" in line.trust.why


def test_minutes_are_those_from_the_end_of_the_day_and_the_deadline_is_their_limit(home: Shown) -> None:
    found = as_of(home, YESTERDAY).pace
    assert found is not None
    assert (found.limit, found.days[-1]) == (1410, YESTERDAY)
    last = found.minutes[-1]
    assert last is not None
    assert last < 1440, "the home was made today"
    assert found.over == sum(minutes is not None and minutes > 1410 for minutes in found.minutes)
    assert "1,410 are allowed" in found.words
    assert f"{last:,.0f}, allowed are 1,410" in found.short
    assert max(one for one in found.minutes if one is not None) > 2820, "what is said is what was"
    assert max(one for one in found.drawn if one is not None) == 2820, "what is drawn is cut"
    without = replace(home, use_case=home.use_case.model_copy(update={"deadline": None}))
    worked = as_of(without, YESTERDAY).pace
    assert worked is not None
    assert worked.limit is None
    assert worked.minutes[-1], "what its shards cost"


def test_a_day_that_nobody_compared_is_trusted_with_care(tmp_path: Path) -> None:
    with shown_copy(tmp_path / "home") as home:
        stores = home.stores
        stores.lake.verdict(YESTERDAY).unlink()
        assert as_of(home, YESTERDAY).trust.answer == "care"
        published = stores.lake.predictions.days()[YESTERDAY].version
        grey = DayVerdict(YESTERDAY, "the training rows", (Lamp("files", "grey", "volume", sentence="Too few."),))
        keep(home.use_case, stores.lake, Judged(grey, publication=published))
        line = as_of(home, YESTERDAY)
        assert line.trust.answer == "care"
        assert line.trust.why.startswith("it could not be compared")
        assert line.following.path == f"drift?day={YESTERDAY}"


def test_one_broken_use_case_hides_no_other(tmp_path: Path) -> None:
    with shown_copy(tmp_path / "home") as home:
        log = Path(str(home.stores.lake.predictions.folder)) / "_delta_log"
        for commit in log.glob("*.json"):
            commit.write_text("{")
        text = html.unescape(Api(make_app(home.service())).get("/pages/").text)
    assert "Yesterday can be trusted in 0 of 1 use case. 1 more has no day yet." in text
    assert "transactions</a>: what is known of it cannot be read." in text
    assert "mlops-assets status transactions" in text
    assert "loan_approval" in text
    assert str(home.workspace.settings.home) not in text


def test_the_page_says_it_in_a_sentence_and_what_to_run(home: Shown) -> None:
    text = html.unescape(Api(make_app(home.service())).get("/pages/").text)
    assert "Yesterday can be trusted in 1 of 1 use case. 1 more has no day yet." in text
    said = re.sub(r"<[^>]+>", "", text)
    assert "loan_approval: it has no day yet that is over." in said
    assert said.index(f"transactions: each of its {home.rows_of(YESTERDAY)} rows") < said.index(
        "loan_approval: it has no day"
    )
    assert "no deadline" not in said
    assert "mlops-assets run loan_approval --train" in text
    assert f'href="/pages/transactions/days/{YESTERDAY}"' in text
    assert f'href="/pages/transactions/data/rejects?day={YESTERDAY}"' in text


def test_a_good_day_says_how_many_files_could_not_be_read(home: Shown) -> None:
    known = Known.of(home.stores, dt.datetime.now(dt.UTC))
    told = {**record(known, YESTERDAY), "files": 60, "files_refused": 8}
    assert trust_of(known, told).why.endswith(
        f"; 2 of {home.rows_of(YESTERDAY) + 2} lines and 8 of 60 files were refused"
    )


def test_the_headline_counts_only_what_can_be_trusted() -> None:
    assert headline([], [DAYS]) == "No use case is served here."
    doubted = replace(broken("two"), trust=Trust("care", "it was not compared"))
    assert (
        headline([broken("one"), doubted], [DAYS])
        == "Yesterday can be trusted in 0 of 2 use cases, and with care in 1 more."
    )
    assert headline([broken("one")], [DAYS]) == "Yesterday can be trusted in 0 of 1 use case."
    new = replace(broken("three"), trust=Trust("none", "it has no day yet"))
    assert (
        headline([broken("one"), new, new], [DAYS])
        == "Yesterday can be trusted in 0 of 1 use case. 2 more have no day yet."
    )
    hours, weeks = Partitions(every="hour"), Partitions(every="week")
    assert headline([broken("one")], [hours]) == "The last hour can be trusted in 0 of 1 use case."
    assert headline([broken("one"), doubted], [hours, weeks]).startswith("What is over can be trusted in 0 of 2")
    assert headline([new], [DAYS]) == "No use case has a day yet that is over."
    assert [one.name for one in in_order([new, doubted, broken("one")])] == ["one", "two", "three"]
