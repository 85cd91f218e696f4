"""Files that are sent are answered as the daily job would: the same rows, rejects and bits, in whatever company."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import pytest

from mlops_assets.errors import ConfigError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.model.version import Version
from mlops_assets.journey.score.online import Loaded, Sent, answer_files
from mlops_assets.use_case import Checks
from mlops_assets_tests.helpers.account_files import ROW, account_file, changed
from mlops_assets_tests.helpers.days import DAY
from mlops_assets_tests.helpers.one_row import (
    BAD_LINE,
    GOOD,
    SMALL_AMOUNTS,
    TOO_MUCH,
    a_version,
    of_amounts,
    open_place,
)
from mlops_assets_tests.helpers.online import (
    CANDIDATES,
    DirtyDay,
    ask,
    ask_in_any_company,
    differences,
    learn,
    lenient,
    told_of,
)

# files and rows a file, in the suite and in the long test
FEW = {
    "compound_rings": (8, 3),
    "loan_approval": (30, 15),
    "santander": (16, 6),
    "topics": (40, 1),
    "transactions": (40, 15),
}
Learned = Callable[[str], tuple[Version, Loaded]]

MANY = {"compound_rings": 1, "loan_approval": 12, "santander": 4, "topics": 1, "transactions": 20}


@pytest.fixture(scope="module")
def apart() -> Iterator[ProcessPoolExecutor]:
    """Another process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A version of a use case by its name, made once."""
    return cache(lambda name: learn(lenient(name), tmp_path_factory.mktemp(name)))


@pytest.mark.parametrize("name", CANDIDATES)
def test_files_are_answered_to_the_bit_as_in_batch(
    name: str, apart: ProcessPoolExecutor, learned: Learned, tmp_path: Path
) -> None:
    day, (version, loaded) = DirtyDay(lenient(name), tmp_path), learned(name)
    day.draw(*FEW[name])
    batch = day.in_batch(version)
    assert any(told["rows"] for told in batch.values())
    assert any(told["rejects"] for told in batch.values())
    other = apart.submit(ask, loaded, day.sent[::-1], 7)
    for size in (1, 400):
        assert differences(batch, ask(loaded, day.sent, size)) == {}
    assert differences(batch, other.result()) == {}


@pytest.mark.long
@pytest.mark.parametrize("name", CANDIDATES)
def test_ten_thousand_distinct_files_are_answered_to_the_bit_as_in_batch(
    name: str, learned: Learned, tmp_path: Path
) -> None:
    day, (version, loaded) = DirtyDay(lenient(name), tmp_path), learned(name)
    day.draw(10_000, MANY[name])
    batch = day.in_batch(version)
    assert len(batch) > 10_000
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        # two processes, each with every file once
        for one in [pool.submit(ask_in_any_company, loaded, day.sent, seed) for seed in (1, 2)]:
            assert differences(batch, one.result()) == {}


# -- files of one call --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """SQL that fails on one amount, and no line may be left out for it."""
    folder = tmp_path_factory.mktemp("strict")
    version = a_version(folder / "version")
    return Loaded(open_place(folder, 0).use_case, 1, Model.load(version.folder / "serving", version.serving_sha256))


def may_leave_out(loaded: Loaded, share: float) -> Loaded:
    use_case = loaded.use_case.model_copy(update={"checks": Checks(sql_rejects=share)})
    return replace(loaded, use_case=use_case)


def test_files_of_the_same_name_are_told_apart_by_their_place(strict: Loaded) -> None:
    amounts = (), ("1,00",), (), ("2,00", "3,00")
    answers = answer_files(strict, [Sent("a.csv", of_amounts(*some)) for some in amounts], DAY)
    assert [len(one.line) for one in answers] == [4, 5, 4, 6]
    assert [one.name for one in answers] == ["a.csv"] * 4


def test_no_files_and_files_without_a_row_have_their_answers(strict: Loaded) -> None:
    assert answer_files(strict, [], DAY) == []
    (empty,) = answer_files(strict, [Sent("a.csv", b"")], DAY)
    assert (empty.refused, empty.lines, [one.rule for one in empty.refusals]) == (True, 0, ["empty_file"])
    assert empty.probabilities.shape == (0, 2)


@pytest.mark.parametrize("bad", [0, 3, 8])
def test_a_file_on_which_the_sql_fails_is_refused_and_no_other_is_changed(strict: Loaded, bad: int) -> None:
    files = [Sent(f"{number}.csv", of_amounts()) for number in range(9)]
    alone = [told_of(strict.model.classes, one) for one in answer_files(strict, files, DAY)]
    files[bad] = Sent("bad.csv", of_amounts(TOO_MUCH))
    answers = answer_files(strict, files, DAY)
    assert [one.refused for one in answers] == [number == bad for number in range(9)]
    (refusal,) = answers[bad].refusals
    assert (refusal.rule, answers[bad].lines, len(answers[bad].line)) == ("sql", 0, 0)
    assert f"bad.csv, line {BAD_LINE}" in refusal.message
    told = [told_of(strict.model.classes, one) for one in answers]
    assert [*told[:bad], *told[bad + 1 :]] == [*alone[:bad], *alone[bad + 1 :]]


def test_where_lines_may_be_left_out_the_line_is_refused(strict: Loaded) -> None:
    files = [Sent("a.csv", of_amounts()), Sent("a.csv", of_amounts(TOO_MUCH)), Sent("a.csv", of_amounts(TOO_MUCH, "x"))]
    answers = answer_files(may_leave_out(strict, 0.5), files, DAY)
    assert [one.line.tolist() for one in answers] == [[1, 2, 3, 4], [1, 2, 4, 5], [1, 2, 5, 6]]
    assert [[(one.line, one.rule) for one in answer.refusals] for answer in answers] == [
        [],
        [(3, "sql")],
        [(3, "sql"), (4, "type")],
    ]


def test_a_file_on_which_the_model_fails_is_refused_by_that_rule(strict: Loaded, tmp_path: Path) -> None:
    version = a_version(tmp_path / "version", takes_nan=False)
    model = Model.load(version.folder / "serving", version.serving_sha256)
    good, bad = answer_files(
        replace(strict, model=model), [Sent("a.csv", of_amounts()), Sent("b.csv", of_amounts("-"))], DAY
    )
    assert (good.refused, bad.refusals[0].rule) == (False, "model")


def test_a_file_of_which_the_sql_loses_rows_is_refused_and_the_others_answered(strict: Loaded) -> None:
    sql = SMALL_AMOUNTS.replace("JOIN file_features USING (file)", "JOIN file_features USING (file) WHERE amount <> 7")
    loaded = replace(strict, model=replace(strict.model, sql=sql))
    good, bad = answer_files(loaded, [Sent("a.csv", of_amounts()), Sent("b.csv", of_amounts("7,00"))], DAY)
    assert (good.refused, bad.refusals[0].rule) == (False, "sql")
    assert "every row once" in bad.refusals[0].message


def test_sql_that_fails_whichever_rows_they_are_is_an_error(strict: Loaded) -> None:
    loaded = replace(strict, model=replace(strict.model, sql=SMALL_AMOUNTS.replace("amount::", "no_such_column::")))
    with pytest.raises(ConfigError, match="no_such_column"):
        answer_files(loaded, [Sent("a.csv", of_amounts())], DAY)


def test_rules_for_whole_files_hold_for_each_file_of_a_call(strict: Loaded) -> None:
    use_case = strict.use_case.model_copy(update={"checks": Checks(file_rejects=1)})
    files = [
        account_file(GOOD),
        account_file([ROW, changed(id="another")]),
        account_file([ROW, changed(valor="1.5"), changed(valor="1.234")]),
        account_file([*GOOD, changed(data="x"), changed(data="y")]),
    ]
    answers = answer_files(replace(strict, use_case=use_case), [Sent("a.csv", data) for data in files], DAY)
    whole = [[one.rule for one in answer.refusals if one.line is None] for answer in answers]
    assert whole == [[], ["constant"], ["number_format"], ["too_many_rejects"]]


def test_the_size_and_the_ending_of_a_file_are_those_of_the_contract(strict: Loaded) -> None:
    small = strict.use_case.files.model_copy(update={"largest": len(account_file(GOOD))})
    loaded = replace(strict, use_case=strict.use_case.model_copy(update={"files": small}))
    files = [
        Sent("a.csv", account_file(GOOD)),
        Sent("a.csv", account_file(GOOD) + b" "),
        Sent("a.txt", account_file(GOOD)),
    ]
    answers = answer_files(loaded, files, DAY)
    assert [[one.rule for one in answer.refusals] for answer in answers] == [[], ["too_large"], ["unreadable"]]


def test_a_picture_is_that_of_the_file_it_was_sent_with(learned: Learned, tmp_path: Path) -> None:
    day, (_, loaded) = DirtyDay(lenient("compound_rings"), tmp_path), learned("compound_rings")
    day.draw(2, 1)
    pictures = [data for name, data in day.sent[0].attached.items()]
    record = b'[{"compound_id": 1, "image": "p.png"}]'
    files = [Sent("a.json", record, {"p.png": data}) for data in (*pictures[:2], b"?")] + [Sent("a.json", record)]
    answers = [told_of(loaded.model.classes, one) for one in answer_files(loaded, files, DAY)]
    assert answers == [told for file in files for _, told in ask(loaded, [file], 1)]
    assert [[one[1] for one in told["rejects"]] for told in answers[2:]] == [["broken_picture"], ["no_picture"]]
