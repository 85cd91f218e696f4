"""The history of the champion: append-only, one change at a time, and the word on who is champion."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.errors import MlopsError, UsageError
from mlops_assets.journey.model.history import Change, Hashes, History, HistoryConflict


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path, "cards")


def on(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day}T12:00:00+00:00")


def promote(history: History, version: int, day: str = "2026-01-01") -> Change:
    return history.append("promote", version, "ana", "better", "linear passes", on(day))


def test_without_a_change_there_is_no_champion(history: History) -> None:
    assert (history.changes(), history.champion(), history.champion("2026-01-01")) == ([], None, None)


def test_a_change_remembers_who_why_and_what_was_before(history: History) -> None:
    promote(history, 1)
    made = promote(history, 3, "2026-01-02")
    assert made == Change(2, "2026-01-02T12:00:00.000+00:00", "ana", "promote", 3, 1, "better", "linear passes", "")
    assert history.changes()[1] == made
    assert history.champion() == 3


def test_the_champion_of_a_day_is_the_one_at_its_end(history: History) -> None:
    promote(history, 1, "2026-01-02")
    promote(history, 2, "2026-01-04")
    found = {day: history.champion(f"2026-01-0{day}") for day in range(1, 6)}
    assert found == {1: None, 2: 1, 3: 1, 4: 2, 5: 2}


def test_rollbacks_go_back_step_by_step(history: History) -> None:
    for version in (1, 2, 3):
        promote(history, version)
    went = []
    for _ in range(2):
        went.append(history.previous())
        history.append("rollback", went[-1], "ana", "worse", "")
    assert went == [2, 1]
    with pytest.raises(UsageError, match="no champion before this one"):
        history.previous()


def test_a_promotion_after_a_rollback_goes_back_to_where_the_rollback_led(history: History) -> None:
    promote(history, 1)
    promote(history, 2)
    history.append("rollback", 1, "ana", "worse", "")
    promote(history, 3)
    assert history.previous() == 1


def test_of_two_that_change_at_once_one_is_told(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(history, 1)
    seen = history.changes()
    promote(history, 2)
    monkeypatch.setattr(history, "changes", lambda: seen)  # another process that looked before the second change
    with pytest.raises(HistoryConflict, match=r"promote of version 3 was not done\. Look at `history`"):
        promote(history, 3)
    monkeypatch.undo()
    assert [change.version for change in history.changes()] == [1, 2]


def test_a_decision_that_was_taken_before_another_change_is_not_carried_out(history: History) -> None:
    promote(history, 1)
    seen = len(history.changes())
    promote(history, 2)
    with pytest.raises(HistoryConflict, match=r"changed by ana in the meantime; rollback of version 1 was not done"):
        history.append("rollback", 1, "bob", "worse", "", seen=seen)
    assert history.champion() == 2


REGISTERED = Hashes("s", "j", "a")


def test_a_version_is_pinned_once(history: History) -> None:
    history.pin(1, REGISTERED)
    history.pin(1, REGISTERED)
    with pytest.raises(HistoryConflict, match="a version 1 was registered before, and is another model"):
        history.pin(1, Hashes("s", "j", "other"))
    assert (history.newest(), history.changes()) == (1, [])


@pytest.mark.parametrize(
    ("hashes", "said"),
    [
        (REGISTERED, ""),
        (Hashes("other", "j", "a"), "the model that was registered (another SHA-256)"),
        (Hashes("s", "other", "a"), "the model that was registered, for it has another judged model (another SHA-256)"),
        (
            Hashes("s", "j", "other"),
            "the model that was registered, for it has another card (about.json) (another SHA-256)",
        ),
    ],
)
def test_what_is_not_as_it_was_registered_is_said(history: History, hashes: Hashes, said: str) -> None:
    history.pin(2, REGISTERED)
    assert history.differs(2, hashes) == said
    assert history.differs(1, hashes) == ""  # of an earlier release, which pinned none


def test_a_version_that_nobody_registered_is_told(history: History) -> None:
    assert history.differs(3, REGISTERED) == ""
    history.pin(2, REGISTERED)
    assert history.differs(3, REGISTERED) == "registered here: the history does not know it"


def test_a_champion_of_an_earlier_release_is_known_by_its_model_and_from_the_next_promotion_on_by_all(
    history: History,
) -> None:
    promote(history, 1)
    assert history.differs(1, REGISTERED) == ""
    history.append("promote", 1, "ana", "better", "", hashes=Hashes("s"))
    assert history.differs(1, Hashes("s", "any", "any")) == ""
    assert history.differs(1, Hashes("other")) == "the model that became champion (another SHA-256)"
    history.append("promote", 1, "ana", "again", "", hashes=REGISTERED)
    assert history.differs(1, Hashes("s", "j", "any")).endswith("another card (about.json) (another SHA-256)")
    assert history.newest() == 1


def test_a_damaged_pin_is_told(history: History, tmp_path: Path) -> None:
    history.pin(1, REGISTERED)
    (tmp_path / "cards" / "history" / "versions" / "000001.json").write_text("{}")
    assert history.differs(1, REGISTERED) == ""  # it says nothing
    (tmp_path / "cards" / "history" / "versions" / "000001.json").write_text('{"x": 1}')
    with pytest.raises(MlopsError, match=r"000001\.json: cannot be read: .* Restore it from a backup"):
        history.differs(1, REGISTERED)


def test_many_at_once_leave_a_history_without_gaps(tmp_path: Path) -> None:
    def change(version: int) -> bool:
        try:
            promote(History(tmp_path, "cards"), version)
        except HistoryConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(change, range(1, 41)))
    changes = History(tmp_path, "cards").changes()
    assert [change.number for change in changes] == list(range(1, sum(done) + 1))
    assert [change.before for change in changes] == [None, *(change.version for change in changes[:-1])]
    assert not list((tmp_path / "cards" / "history").glob(".*"))


@pytest.mark.parametrize("text", ["", "{", '{"number": 1}', "[]"])
def test_a_damaged_change_is_told_with_its_file(history: History, tmp_path: Path, text: str) -> None:
    promote(history, 1)
    path = tmp_path / "cards" / "history" / "000001.json"
    path.write_text(text)
    with pytest.raises(MlopsError, match=r"000001\.json.* from a backup"):
        history.champion()


def test_a_missing_change_is_told_by_its_number(history: History, tmp_path: Path) -> None:
    promote(history, 1)
    promote(history, 2)
    (tmp_path / "cards" / "history" / "000001.json").unlink()
    with pytest.raises(MlopsError, match="change 1 is missing"):
        history.champion()


def test_an_unfinished_change_counts_for_nothing(history: History, tmp_path: Path) -> None:
    promote(history, 1)
    (tmp_path / "cards" / "history" / ".0a1b.tmp").write_text(json.dumps({"number": 2, "version": 9}))
    assert history.champion() == 1


def test_a_refusal_changes_no_champion_and_the_first_one_stands(tmp_path: Path) -> None:
    history = History(tmp_path, "visits")
    history.append("promote", 1, "ann", "better", "passed")
    refusal = history.refuse(2, "ann", "worse")
    with pytest.raises(UsageError, match="refused already, .* by ann: worse"):
        history.refuse(2, "bob", "I think so, too")
    assert (history.refusals(), history.champion(), len(history.changes())) == ({2: refusal}, 1, 1)
