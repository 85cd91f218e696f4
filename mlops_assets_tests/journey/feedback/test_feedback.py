"""Feedback: every entry counts or is refused with a reason; what counts is learned from, what is held out stays."""

from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlops_assets.cli import cli
from mlops_assets.errors import MlopsError
from mlops_assets.journey.feedback.audit import draw_audit
from mlops_assets.journey.feedback.corrections import Taken, read_accepted, read_kept, take_in
from mlops_assets.journey.feedback.files import HEADER, LARGEST, MOST_LINES, Reject, read_file
from mlops_assets.journey.feedback.published import look_up
from mlops_assets.journey.feedback.rules import RULES
from mlops_assets.journey.train.candidates import choose, fit
from mlops_assets.journey.train.training_set import TrainingSet, build_training_set, repeats
from mlops_assets.storage.catalog import Lake
from mlops_assets.use_case import Candidate, Feedback, Origin, UseCase
from mlops_assets.views.output import write
from mlops_assets.work.spreadsheets import say_marked
from mlops_assets_tests.helpers.days import draw_day, in_shards_of
from mlops_assets_tests.helpers.feedback import EARLY, LABELS, LATE, NOW, about, entry, predicted
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.toy import DAY, purchases, put, toy
from mlops_assets_tests.helpers.visits import place_visits

Send = Callable[..., Taken]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", "toy")


@pytest.fixture
def send(lake: Lake, tmp_path: Path) -> Send:
    """Hand in one more file of entries and take in all; 60 rows are published."""
    put(lake, toy(), purchases(60), parts=3)
    folder = tmp_path / "feedback"

    def take(*entries: str, use_case: UseCase | None = None, header: str = ",".join(HEADER)) -> Taken:
        folder.mkdir(exist_ok=True)
        name = f"{len(list(folder.iterdir()))}.csv"
        (folder / name).write_text("\n".join([header, *entries, ""]), encoding="utf-8", newline="")
        return take_in(use_case or toy(), lake, folder, LABELS, NOW)

    return take


def rejected(taken: Taken) -> list[tuple[int, str]]:
    """Line and rule of every reject."""
    return [(one["source_line"], one["rule"]) for one in taken.rejected.to_pylist()]


def with_feedback(use_case: UseCase, **keys: Any) -> UseCase:
    return use_case.model_copy(update={"feedback": Feedback(**keys)})


# -- what counts --------------------------------------------------------------------------------------------------------


def test_a_good_entry_counts_and_is_kept_with_where_it_was_written(send: Send, lake: Lake) -> None:
    taken = send(entry(2, "FOOD"))
    assert (taken.files, taken.entries, taken.rules) == (1, 1, {})
    assert read_accepted(lake).to_pylist() == [
        {
            "day": DAY,
            "file": "000.csv",
            "line": 2,
            "label": "FOOD",
            "who": "ann",
            "when": "2026-02-01T08:00:00.000+00:00",
            "source_file": "0.csv",
            "source_line": 2,
            "audited": False,
        }
    ]


def test_columns_may_come_in_any_order_with_others_beside_them_and_with_the_marks_of_a_spreadsheet(send: Send) -> None:
    header = "\ufeffwhen,who,prediction,label,line,file,day\r"
    taken = send(f'2026-02-01T10:00:00+02:00,"Smith, Ann",FOOD, FUEL ,1,000.csv,{DAY}\r', header=header)
    (one,) = taken.accepted.to_pylist()
    assert (one["who"], one["label"], one["when"]) == ("Smith, Ann", "FUEL", "2026-02-01T08:00:00.000+00:00")


BAD = {
    "a field is missing": (entry(label=""), "no label"),
    "a line that is none": (entry(line=0), "the first data line of a file is 1"),
    "a line beyond all files": (entry(line=10**12), "is not a line"),
    "a day that no calendar has": (entry(day="2026-02-30"), "is not a day"),
    "a day in another form": (entry(day="20260131"), "is not a day"),
    "a time that is none": (entry(when="yesterday"), "is not a time"),
    "a time before all times": (entry(when="0001-01-01T00:00:00+14:00"), "is not a time"),
    "a field too many": (entry() + ",x", "7 fields, the header has 6"),
    "an open quote": (entry(who='"ann'), "not readable as CSV"),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_a_malformed_entry_is_told_and_the_next_one_counts(send: Send, bad: str, message: str) -> None:
    taken = send(bad, entry(2))
    assert rejected(taken) == [(2, "malformed")]
    assert message in taken.rejected["message"][0].as_py()
    assert taken.rejected["raw"][0].as_py() == bad
    assert len(taken.accepted) == 1


def test_a_header_that_lacks_a_column_refuses_every_line_of_the_file_with_its_name(send: Send) -> None:
    taken = send("a,b,1,FOOD,ann", header="day,file,line,label,who")
    assert rejected(taken) == [(1, "malformed"), (2, "malformed")]
    assert "the header lacks when" in taken.rejected["message"][0].as_py()


def test_a_line_that_is_not_utf8_is_refused_alone(send: Send, tmp_path: Path) -> None:
    send()
    path = tmp_path / "feedback" / "latin.csv"
    path.write_bytes("\n".join([",".join(HEADER), entry(who="José"), entry(2)]).encode("latin-1"))
    taken = send()
    assert rejected(taken) == [(2, "malformed")]
    assert taken.rejected["message"][0].as_py() == "not UTF-8"
    assert len(taken.accepted) == 1


RULED = {
    "in_the_future": ([entry(when="2026-03-01T12:00:01Z")], "2026-03-01T12:00:01"),
    "unknown_label": ([entry(label="RENT")], "known are: FOOD, FUEL"),
    "unknown_row": ([entry(line=99)], "no row 99 of '000.csv'"),
    "superseded": ([entry(label="FOOD"), entry(label="FUEL", when=LATE)], "ann said"),
    "duplicate": ([entry(), entry()], "the same as 0.csv, line 2"),
    "contradiction": ([entry(label="FOOD"), entry(label="FUEL", who="bob")], "ann says 'FOOD', bob says 'FUEL'"),
}


@pytest.mark.parametrize("rule", RULED)
def test_an_entry_that_breaks_a_rule_does_not_count_and_is_told_why(send: Send, rule: str) -> None:
    entries, message = RULED[rule]
    taken = send(*entries)
    assert set(taken.rules) == {rule}
    assert message in taken.rejected["message"][0].as_py()
    assert len(taken.accepted) + len(taken.rejected) == len(entries)


def test_a_day_and_a_file_that_are_not_published_are_unknown_rows(send: Send) -> None:
    taken = send(entry(day="2026-01-30"), entry(file="../000.csv"))
    assert taken.rules == {"unknown_row": 2}
    assert "no rows of 2026-01-30 are published" in taken.rejected["message"].to_pylist()


def test_a_label_that_the_configuration_names_may_be_new(send: Send) -> None:
    assert len(send(entry(label="RENT"), use_case=with_feedback(toy(), labels=("RENT",))).accepted) == 1


def test_people_who_agree_both_count(send: Send) -> None:
    assert len(send(entry(), entry(who="bob")).accepted) == 2


def test_a_contradiction_is_settled_by_a_newer_entry(send: Send) -> None:
    send(entry(label="FOOD"), entry(label="FUEL", who="bob"))
    taken = send(entry(label="FUEL", when=LATE))
    assert taken.rules == {"superseded": 1}
    assert {one["label"] for one in taken.accepted.to_pylist()} == {"FUEL"}


def test_what_somebody_takes_back_counts_no_more_until_they_say_something_again(send: Send) -> None:
    columns = (*HEADER, "withdrawn")
    send(entry(), entry(2))
    taken = send(entry(label="", when=LATE) + ",yes", header=",".join(columns))
    assert taken.rules == {"superseded": 1, "withdrawn": 1}
    assert [one["line"] for one in taken.accepted.to_pylist()] == [2]
    before, back = sorted(taken.rejected.to_pylist(), key=lambda one: one["rule"])
    assert before["message"].startswith("ann took it back at 2026-02-01T09:00:00")
    assert (back["day"], back["file"], back["line"], back["who"], back["label"]) == (DAY, "000.csv", 1, "ann", "")
    again = send(entry(label="FOOD", when="2026-02-01T10:00:00Z"))
    assert [one["label"] for one in again.accepted.to_pylist()] == ["FOOD", "FUEL"]


def test_nobody_takes_back_what_another_one_said_or_says_a_label_by_it(send: Send) -> None:
    columns = (*HEADER, "withdrawn")
    send(entry())
    taken = send(entry(label="", who="bob", when=LATE) + ",yes", entry(2) + ",yes", header=",".join(columns))
    assert taken.rules == {"malformed": 1, "withdrawn": 1}
    assert [one["who"] for one in taken.accepted.to_pylist()] == ["ann"]


def test_two_answers_of_one_person_at_the_same_moment_contradict_each_other(send: Send) -> None:
    assert send(entry(label="FOOD"), entry(label="FUEL")).rules == {"contradiction": 2}


def test_nothing_counts_of_a_source_that_sends_too_much_on_a_date(send: Send) -> None:
    use_case = with_feedback(toy(), most_a_day=3)
    many = [entry(line, when=f"2026-02-01T0{line}:00:00Z") for line in range(1, 5)]
    others = [entry(5, when="2026-02-02T00:00:00Z"), entry(6, who="bob")]
    taken = send(*many, *others, use_case=use_case)
    assert taken.rules == {"flood": 4}
    assert sorted(one["line"] for one in taken.accepted.to_pylist()) == [5, 6]


def test_the_same_file_handed_in_again_is_no_flood(send: Send) -> None:
    use_case = with_feedback(toy(), most_a_day=3)
    three = [entry(line) for line in range(1, 4)]
    send(*three, use_case=use_case)
    assert send(*three, use_case=use_case).rules == {"duplicate": 3}


def test_lines_of_an_audit_that_nobody_filled_in_are_no_entries(send: Send) -> None:
    taken = send(entry(label="", who="", when=""), entry(2), "", "  ")
    assert (taken.entries, taken.unfilled, len(taken.accepted)) == (1, 1, 1)


def test_no_folder_is_no_feedback(lake: Lake, tmp_path: Path) -> None:
    taken = take_in(toy(), lake, tmp_path / "none", LABELS, NOW)
    assert (taken.files, taken.entries, len(taken.accepted), len(taken.rejected)) == (0, 0, 0, 0)


def test_the_same_files_give_the_same_tables_and_a_file_that_is_gone_counts_no_more(
    send: Send, lake: Lake, tmp_path: Path
) -> None:
    send(entry(), entry(2, "RENT"))
    before = [path.read_bytes() for path in (lake.accepted, lake.rejected)]
    take_in(toy(), lake, tmp_path / "feedback", LABELS, NOW)
    assert [path.read_bytes() for path in (lake.accepted, lake.rejected)] == before
    (tmp_path / "feedback" / "0.csv").unlink()
    assert len(take_in(toy(), lake, tmp_path / "feedback", LABELS, NOW).accepted) == 0


@pytest.mark.parametrize("pipe", [False, True])
def test_a_link_out_of_the_folder_of_the_raw_files_is_a_reject_unless_links_are_followed(
    send: Send, lake: Lake, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, pipe: bool
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "other.csv"
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "z.csv").symlink_to(elsewhere)
    if pipe:
        os.mkfifo(elsewhere)
    else:
        elsewhere.write_text("\n".join([",".join(HEADER), entry(2, "FOOD"), ""]))
    taken = send(entry())
    assert (len(taken.accepted), taken.rules) == (1, {"link": 1})
    assert [(one["source_file"], one["raw"]) for one in taken.rejected.to_pylist()] == [("z.csv", "")]
    linked = toy().model_copy(update={"source": Origin(follow_links=True)})
    taken = take_in(linked, lake, tmp_path / "feedback", LABELS, NOW)
    assert (len(taken.accepted), taken.rules) == ((1, {"not_a_file": 1}) if pipe else (2, {}))


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def too_large(path: Path) -> None:
    path.touch()
    os.truncate(path, LARGEST + 1)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": a_socket,
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a file that is too large": too_large,
    "too many lines": lambda path: path.write_bytes(b"\n" * (MOST_LINES + 1)),
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_one_reject_and_the_others_count(
    send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    (tmp_path / "feedback").mkdir()
    monkeypatch.chdir(tmp_path / "feedback")  # the path of a socket must be short
    make(Path("z.csv"))
    taken = send(entry())
    assert (len(taken.accepted), taken.rules) == (1, {"not_a_file": 1})
    assert [one["source_file"] for one in taken.rejected.to_pylist()] == ["z.csv"]


def test_a_reject_keeps_the_beginning_of_a_long_line(send: Send) -> None:
    (reject,) = send("x" * 1_000_000).rejected.to_pylist()
    assert reject["raw"] == "x" * 2_000


def test_a_header_that_has_a_column_twice_refuses_the_file(send: Send) -> None:
    taken = send(f"{entry()},FUEL", header=",".join([*HEADER, "label"]))
    assert rejected(taken) == [(1, "malformed"), (2, "malformed")]
    assert "the header has label more than once" in taken.rejected["message"][0].as_py()


def test_an_apostrophe_that_nobody_marked_stays(send: Send) -> None:
    taken = send(entry(file="'=1.csv"))
    assert 'no row 1 of "\'=1.csv"' in taken.rejected["message"][0].as_py()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("published"), "toy")
    put(lake, toy(), purchases(60))
    return lake


FIELDS = st.fixed_dictionaries(
    {
        "day": st.sampled_from([DAY, "2026-01-30", "soon", ""]),
        "file": st.sampled_from(["000.csv", "001.csv", "x.csv"]),
        "line": st.sampled_from(["1", "2", "99", "-1", ""]),
        "label": st.sampled_from(["FOOD", "FUEL", "RENT", ""]),
        "who": st.sampled_from(["ann", "bob", "eve", ""]),
        "when": st.sampled_from([EARLY, LATE, "2026-02-02", "2027-01-01T00:00:00Z", "late", ""]),
    }
)
ENTRIES = st.one_of(FIELDS.map(lambda one: ",".join(one.values()).encode()), st.binary(max_size=30))


@given(st.lists(st.lists(ENTRIES, max_size=25), max_size=3))
@example([[b'"', b"\x00", b"\xff", b",,,,,", b"a,b,c,d,e,f"]])
def test_every_entry_is_accepted_or_rejected_once(published: Lake, files: Sequence[Sequence[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        entries: set[tuple[str, int]] = set()
        for number, lines in enumerate(files):
            content = b"\n".join([",".join(HEADER).encode(), *lines])
            (Path(folder) / f"{number}.csv").write_bytes(content)
            numbered = enumerate(content.split(b"\n")[1:], 2)
            entries |= {(f"{number}.csv", line) for line, text in numbered if text.strip()}
        taken = take_in(with_feedback(toy(), most_a_day=8), published, Path(folder), LABELS, NOW)
    told = [
        (one["source_file"], one["source_line"]) for one in (*taken.accepted.to_pylist(), *taken.rejected.to_pylist())
    ]
    assert len(told) == len(set(told)) == taken.entries
    assert taken.entries + taken.unfilled == len(entries)
    assert set(told) <= entries
    assert set(taken.rejected["rule"].to_pylist()) <= set(RULES)


def test_a_row_is_looked_up_in_the_parts_of_its_file_alone(transactions: UseCase, tmp_path: Path) -> None:
    lake = draw_day(in_shards_of(5, transactions), tmp_path, files=20, rows=5)
    table, day = lake.table("rows"), "2026-01-01"
    every = table.read_all([day], ["file", "line"]).to_pylist()
    for part in sorted(table.parts(day))[1:]:
        (table.folder / part).write_bytes(b"nobody may read this")
    first = pa.parquet.read_table(table.folder / min(table.parts(day)), partitioning=None)
    wanted = set(zip(first["file"].to_pylist(), first["line"].to_pylist(), strict=True))
    assert 0 < len(wanted) < len(every)
    assert look_up(lake, lake.rows, day, wanted).keys() == wanted


# -- the audit ----------------------------------------------------------------------------------------------------------


def test_the_same_day_has_the_same_audit_and_each_row_is_drawn_once(lake: Lake, tmp_path: Path) -> None:
    predicted(lake, purchases(100), parts=3)
    use_case = with_feedback(toy(), audit_rows=20)
    drawn = draw_audit(use_case, lake, DAY)
    rows = {(one["file"], one["line"]) for one in drawn.to_pylist()}
    assert len(rows) == len(drawn) == 20
    assert rows <= {(row["file"], row["line"]) for row in purchases(100)}
    other = Lake(tmp_path / "other", "toy")
    predicted(other, purchases(100), parts=3)
    assert draw_audit(use_case, other, DAY).equals(drawn)


def test_an_audit_stays_as_it_was_drawn_when_the_day_is_scored_again(lake: Lake) -> None:
    predicted(lake, purchases(100))
    drawn = draw_audit(toy(), lake, DAY)
    predicted(lake, purchases(90), version=2)
    assert draw_audit(toy(), lake, DAY).equals(drawn)


def test_every_row_is_as_likely_to_be_drawn(tmp_path: Path) -> None:
    days = [f"2026-01-{day:02d}" for day in range(1, 31)]
    lake, counts = Lake(tmp_path, "toy"), Counter[str]()
    use_case = with_feedback(toy(), audit_rows=10)
    for day in days:
        predicted(lake, purchases(40), parts=3, day=day)
        counts.update(f"{one['file']}{one['line']}" for one in draw_audit(use_case, lake, day).to_pylist())
    assert sum(counts.values()) == 300
    expected = 300 / 40
    assert (
        sum((counts[f"{row['file']}{row['line']}"] - expected) ** 2 / expected for row in purchases(40)) < 73
    )  # chi², 99.9 %


def test_a_day_with_fewer_rows_is_audited_whole_and_one_without_any_cannot_be(lake: Lake) -> None:
    predicted(lake, purchases(5))
    assert len(draw_audit(toy(), lake, DAY)) == 5
    with pytest.raises(MlopsError, match="no predictions of 2026-01-01 are published"):
        draw_audit(toy(), lake, "2026-01-01")


def test_entries_about_drawn_rows_are_audited(send: Send, lake: Lake) -> None:
    predicted(lake, purchases(60))
    use_case = with_feedback(toy(), audit_rows=5)
    drawn = {(one["file"], one["line"]) for one in draw_audit(use_case, lake, DAY).to_pylist()}
    taken = send(*(about(row, "FOOD") for row in purchases(60)), use_case=use_case)
    audited = {(one["file"], one["line"]) for one in taken.accepted.to_pylist() if one["audited"]}
    assert audited == drawn


# -- learning -----------------------------------------------------------------------------------------------------------


def held_out(found: TrainingSet) -> pa.Table:
    rows = found.load()
    return rows.filter(rows["_held_out"])


def by_key(found: TrainingSet) -> dict[tuple[str, int], dict[str, Any]]:
    return {(one["_file"], one["_line"]): one for one in found.load().to_pylist()}


def bad_entries(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A hundred entries that are bad in six ways."""
    malformed = [about(row, "FOOD", when="noon") for row in rows[:10]]
    future = [about(row, "FOOD", when="2027-01-01T00:00:00Z") for row in rows[10:20]]
    no_row = [entry(10_000 + number, "FOOD") for number in range(10)]
    no_label = [about(row, "RENT") for row in rows[20:25]]
    disagreed = [about(row, label, who) for row in rows[25:30] for who, label in (("bob", "FOOD"), ("eve", "FUEL"))]
    flood = [about(row, "FOOD", "robot") for row in rows[30:85]]
    return [*malformed, *future, *no_row, *no_label, *disagreed, *flood]


def test_of_1000_entries_100_bad_in_six_ways_900_are_learned_from_and_what_is_held_out_stays(
    lake: Lake, tmp_path: Path
) -> None:
    use_case = with_feedback(toy(), most_a_day=50, weight=4)
    rows = purchases(1500)
    for row in rows[1000:1100]:
        row["kind"] = None
    put(lake, use_case, rows, parts=4)
    before = build_training_set(use_case, lake)
    assert before.corrected == 0
    known = by_key(before)
    kept_back = [row for row in rows if known.get((row["file"], row["line"]), {}).get("_held_out")]
    # 700 to learn from, 100 without a label of their own, 100 that are held out; each gets the label OTHER than its own
    corrected = [*rows[:700], *rows[1000:1100], *kept_back[:100]]
    good = [
        about(row, "FUEL" if row["kind"] == "FOOD" else "FOOD", f"person {number % 20}")
        for number, row in enumerate(corrected)
    ]
    entries = [*good, *bad_entries(rows[700:800])]
    assert len(entries) == 1000
    folder = tmp_path / "feedback"
    folder.mkdir()
    order = np.random.default_rng(0).permutation(1000)
    (folder / "all.csv").write_text("\n".join([",".join(HEADER), *(entries[place] for place in order)]))

    taken = take_in(use_case, lake, folder, before.classes, NOW)
    assert (taken.entries, len(taken.accepted), len(taken.rejected)) == (1000, 900, 100)
    assert taken.rules == {
        "malformed": 10,
        "in_the_future": 10,
        "flood": 55,
        "unknown_label": 5,
        "unknown_row": 10,
        "contradiction": 10,
    }
    assert all(taken.rejected["message"].to_pylist())

    after = build_training_set(use_case, lake)
    assert after.corrected == 800
    assert (after.rows, after.held_out, after.boundary) == (before.rows + 100, before.held_out, before.boundary)
    assert held_out(after).equals(held_out(before))
    found = by_key(after)
    for row in (*rows[:700], *rows[1000:1100]):
        one = found[row["file"], row["line"]]
        assert (one["_label"], one["_weight"]) == ("FUEL" if row["kind"] == "FOOD" else "FOOD", 4)
        assert not one["_held_out"]
    others = [one for key, one in found.items() if one["_weight"] == 1]
    assert len(others) == after.rows - 800
    assert all(one["_label"] == known[one["_file"], one["_line"]]["_label"] for one in others)
    assert read_kept(lake, after.feedback).equals(taken.accepted)
    assert build_training_set(use_case, lake) == after
    assert after.fingerprint != before.fingerprint


SPLITS: dict[str, dict[str, Any]] = {
    "time": {"by": "time", "column": "date"},
    "account": {"by": "account", "held_out": 0.3},
    "random": {"by": "random"},
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("most_rows", [300_000, 150])
def test_held_out_rows_are_the_same_with_and_without_feedback_however_rows_are_split_and_sampled(
    lake: Lake, tmp_path: Path, split: dict[str, Any], most_rows: int
) -> None:
    use_case = with_feedback(toy(split=split, most_rows=most_rows), most_a_day=1000)
    rows = purchases(300, accounts=30)
    for row in rows[::4]:
        row["kind"] = None
    put(lake, use_case, rows, parts=3)
    before = build_training_set(use_case, lake)
    folder = tmp_path / "feedback"
    folder.mkdir()
    (folder / "all.csv").write_text("\n".join([",".join(HEADER), *(about(row, "FOOD") for row in rows)]))
    assert len(take_in(use_case, lake, folder, LABELS, NOW).accepted) == 300
    after = build_training_set(use_case, lake)
    assert held_out(after).equals(held_out(before))
    learned = after.load().filter(pc.invert(after.load()["_held_out"]))
    assert set(learned["_label"].to_pylist()) == {"FOOD"}
    assert after.corrected == len(learned) > before.rows - before.held_out
    if split["by"] == "account":
        assert not set(learned["_account"].to_pylist()) & set(held_out(after)["_account"].to_pylist())


def test_a_corrected_copy_of_a_held_out_row_is_not_learned_from(lake: Lake, tmp_path: Path) -> None:
    rows = purchases(60)
    copy = {**rows[-1], "line": 99, "kind": None}
    put(lake, toy(), [*rows, copy])
    folder = tmp_path / "feedback"
    folder.mkdir()
    (folder / "all.csv").write_text("\n".join([",".join(HEADER), about(copy, "FOOD"), about(rows[0], "FUEL")]))
    take_in(toy(), lake, folder, LABELS, NOW)
    found = build_training_set(toy(), lake)
    assert (found.rows, found.corrected) == (60, 1)


def test_a_new_label_becomes_a_class(send: Send, lake: Lake) -> None:
    use_case = with_feedback(toy(), labels=("RENT",))
    send(entry(1, "RENT"), use_case=use_case)
    assert build_training_set(use_case, lake).classes == ("FOOD", "FUEL", "RENT")


def test_a_row_counts_as_often_as_it_weighs() -> None:
    assert repeats(pa.table({"_weight": [1, 3, 2]})).tolist() == [0, 1, 1, 1, 2, 2]
    assert repeats(pa.table({"made before there were weights": [1, 2]})).tolist() == [0, 1]


def test_a_model_is_fitted_on_rows_as_often_as_they_weigh(send: Send, lake: Lake) -> None:
    use_case = with_feedback(toy(half_life="off"), weight=10)
    send(entry(1, "FUEL"), use_case=use_case)  # it was FOOD
    found = build_training_set(use_case, lake)
    rows = found.load().filter(pc.invert(found.load()["_held_out"]))
    prior = Candidate(use="sklearn.dummy.DummyClassifier", parameters={"strategy": "prior"})
    model = fit(use_case, prior, found, rows)
    fuel = rows["_label"].to_pylist().count("FUEL")
    assert model.probabilities(model.matrix(rows))[0][1] == pytest.approx((fuel + 9) / (len(rows) + 9))


def test_a_search_tests_each_row_once_however_much_it_weighs(send: Send, lake: Lake) -> None:
    use_case = with_feedback(toy(split={"by": "random"}), weight=50)
    rows = [{**row, "kind": "FUEL" if number % 4 == 0 else "FOOD"} for number, row in enumerate(purchases(120))]
    put(lake, use_case, rows)
    assert len(send(*(about(row, "FUEL") for row in rows[:60:4]), use_case=use_case).accepted) == 15
    found = build_training_set(use_case, lake)
    learned = found.load().filter(pc.invert(found.load()["_held_out"]))
    constant = Candidate(
        use="sklearn.dummy.DummyClassifier", parameters={"strategy": "constant"}, search={"constant": [0, 1]}
    )
    assert choose(use_case, constant, found, learned).parameters["constant"] == 0  # FOOD is three in four rows


# blanks around a field are dropped
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@'\";, \t\r\n1\uff1d"), min_size=1
).filter(lambda text: text == text.strip(" \t") and "\0" not in text)
LABELLED = TEXTS.filter(lambda text: text == text.strip() and "\n" not in text)
A_CORRECTION = f"a\n{DAY},001.csv,1,,FUEL,eve,{EARLY}\nb"


@given(st.lists(st.tuples(TEXTS, TEXTS, LABELLED | st.none()), min_size=1, max_size=4))
@example([("a.csv", A_CORRECTION, None), (A_CORRECTION, "b", "FOOD")])
def test_files_and_labels_come_back_from_a_spreadsheet_as_they_were(
    rows: list[tuple[str, str, str | None]],
) -> None:
    records = [
        {"day": DAY, "file": file, "line": 1, "account_id": account, "label": label}
        | ({"who": "ann", "when": EARLY} if label else {"who": None, "when": None})
        for file, account, label in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.csv"
        write(say_marked(pa.Table.from_pylist(records), "label").to_reader(), "csv", path, spreadsheet=True)
        found = list(read_file(path))
    assert [one and (one.file, one.label) for one in found if not isinstance(one, Reject)] == [
        label and (file, label) for file, _, label in rows
    ]
    assert len(found) == len(rows)


def test_a_quote_that_is_not_closed_swallows_no_entry(send: Send) -> None:
    taken = send(entry(file='"000.csv'), entry(2), entry(who='"ann'), entry(3))
    assert rejected(taken) == [(2, "malformed"), (4, "malformed")]
    assert len(taken.accepted) == 2


# -- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Two days of visits with a champion."""
    folder = tmp_path_factory.mktemp("shop")
    place_visits(folder / "use_cases")
    shop = Shop(folder / "home")
    assert shop("sample", "visits", "--day", "2026-01-01", "--days", "2", "--files", "3", "--rows", "40").code == 0
    assert shop("run", "visits", "--train").code == 0
    return shop


def test_an_audit_is_written_filled_in_and_handed_in(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    assert shop("audit", "visits", "--day", "2026-01-02", "-o", str(path)).code == 0
    lines = path.read_text().splitlines()
    assert len(lines) == 51
    assert lines[0].replace('"', "").endswith("prediction,probability,model_version,label,who,when")
    assert all(line.endswith(",,,") for line in lines[1:])
    path.write_text(
        "\n".join([lines[0], lines[1][:-2] + f"no,ann,{EARLY}", lines[2][:-2] + f"maybe,ann,{EARLY}", *lines[3:]])
    )
    done = shop("feedback", "visits", str(path))
    assert done.code == 0, done.err
    assert "2 entries in 1 file(s): 1 accepted, 1 rejected" in done.out
    assert "unknown_label: 1" in done.out
    assert "48 lines of audits have no label yet" in done.out
    again = shop("feedback", "visits", str(path))
    assert "was handed in before" in again.err
    assert "2 entries in 1 file(s)" in again.out
    shown = shop("feedback", "visits", "--rejects", "--format", "json")
    assert '"rule": "unknown_label"' in shown.out
    assert shop("feedback", "visits", "--rejects", "-o", str(tmp_path / "r.csv"), "--format", "csv").code == 0
    assert "maybe" in (tmp_path / "r.csv").read_text()
    accepted = read_accepted(Lake(shop.home / "lake", "visits")).to_pylist()
    assert [one["audited"] for one in accepted] == [True]


def test_what_is_handed_in_is_a_file_of_the_folder_that_was_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    path = tmp_path / "inbox" / "a.csv"
    for target, message in (("/dev/zero", "a link that leads out of its folder"), (__file__, "a link that leads out")):
        path.symlink_to(target)
        done = shop("feedback", "visits", str(path))
        assert (done.code, message in done.err) == (2, True), done.err
        path.unlink()
    os.mkfifo(path)
    done = shop("feedback", "visits", str(path))
    assert (done.code, "a.csv: cannot be read: not a regular file" in done.err) == (2, True)
    assert not list((shop.home / "raw" / "visits" / "feedback").glob("a-*"))


def test_mistakes_of_the_commands_are_told(shop: Shop, tmp_path: Path) -> None:
    done = shop("feedback", "visits", str(tmp_path / "none.csv"))
    assert (done.code, "none.csv: cannot be read" in done.err) == (2, True)
    done = shop("feedback", "visits", "--format", "csv")
    assert (done.code, "add --rejects" in done.err) == (2, True)
    done = shop("audit", "visits", "--day", "2026-01-09")
    assert (done.code, "no predictions of 2026-01-09 are published" in done.err) == (1, True)


def test_the_commands_are_part_of_the_group() -> None:
    assert {"feedback", "audit"} <= cli.commands.keys()
