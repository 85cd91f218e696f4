"""What a day costs by each way: numbers worked out by hand, and what must hold whatever the numbers are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import UsageError
from mlops_assets.settings import Settings
from mlops_assets.work.costs import PriceTable, Step, Way, Work, cheapest, minutes, offers, price_table

WORK = Work(30.0, (Step(10, 600.0), Step(10, 300.0)))
"""Half a minute of listing, then ten shards of a minute, and ten of half a minute."""

OWN = Way(engine="local", most=1, core_hour=0.06, start=60)
CLUSTER = Way(engine="spark", cores=4, most=4, beside=1, core_hour=0.06, start=120, step=30, shard=3)
TABLE = PriceTable(dated=dt.date(2026, 1, 2), currency="USD", ways={"local": OWN, "spark": CLUSTER})


def test_minutes_are_the_start_the_listing_and_the_rounds_of_shards() -> None:
    # 60 + 30 + 600 + 300 s; by four: 3 rounds each, 3 x 60 and 3 x 30 s
    assert minutes(OWN, WORK, 1) == pytest.approx(990 / 60)
    assert minutes(OWN, WORK, 4) == pytest.approx((60 + 30 + 180 + 90) / 60)
    # 120 + 30, and for each step 30 s and 3 s a shard: 30 + 3 x 63, 30 + 3 x 33
    assert minutes(CLUSTER, WORK, 4) == pytest.approx((120 + 30 + 30 + 189 + 30 + 99) / 60)


def test_a_step_without_shards_costs_nothing() -> None:
    assert minutes(CLUSTER, Work(30.0, (Step(0, 0.0),)), 4) == pytest.approx(150 / 60)


def test_money_is_minutes_times_machines_times_price() -> None:
    local, spark = offers(TABLE, WORK, 10.0, 4)
    # 6 minutes of one machine of 4 cores at 0.06 an hour and core
    assert (local.machines, local.cores, local.money) == (1, 4, pytest.approx(6 / 60 * 1 * 4 * 0.06))
    # 8.3 minutes of one machine that works, and one beside it
    assert (spark.machines, spark.workers, spark.holds) == (2, 4, True)
    assert spark.money == pytest.approx(498 / 3600 * 2 * 4 * 0.06)


def test_as_many_machines_are_taken_as_hold_the_deadline_for_the_least_money() -> None:
    # by 8 cores: 2 rounds, 150 + 30 + 126 + 30 + 66 = 402 s = 6.7 min; by 12 one round, 150 + 93 + 63 = 306 s = 5.1 min
    for deadline, machines, seconds in ((8.4, 2, 498), (8.0, 3, 402), (6.0, 4, 306)):
        spark = offers(TABLE, WORK, deadline, 4)[1]
        assert (spark.machines, spark.minutes, spark.holds) == (machines, pytest.approx(seconds / 60), True)


def test_what_cannot_hold_the_deadline_says_so_and_how_many_cores_would() -> None:
    local, spark = offers(TABLE, WORK, 5.2, 2)
    # 90 s, and 5 rounds of 60 and 30 s = 9 min by two; 90 + 90 x rounds <= 312 s needs 2 rounds: 5 cores
    assert (local.holds, local.minutes, local.enough) == (False, pytest.approx(9.0), 5)
    assert (spark.holds, spark.enough) == (True, 10)
    # no number of cores takes the start, the listing and one round of each step away
    late = offers(TABLE, WORK, 5.0, 2)[1]
    assert (late.holds, late.enough, late.minutes) == (False, None, pytest.approx(5.1))


def test_the_cheapest_that_holds_is_chosen_among_the_engines_that_are_set_up() -> None:
    def chosen(deadline: float, *engines: str) -> str | None:
        offer = cheapest(offers(TABLE, WORK, deadline, 2), engines)
        return offer and offer.engine

    assert chosen(10.0, "local", "spark") == "local", "both hold it"
    assert chosen(8.4, "local", "spark") == "spark", "local takes 9 minutes"
    assert chosen(8.4, "local") == "local", "there is nothing else"
    assert chosen(1.0, "local", "spark") == "spark", "none holds it, which is the fastest"
    assert chosen(1.0) is None


def test_of_equals_the_first_is_chosen() -> None:
    free = PriceTable(
        dated=dt.date(2026, 1, 2),
        currency="USD",
        ways={name: OWN.model_copy(update={"engine": name, "core_hour": 0.0}) for name in ("local", "spark")},
    )
    found = cheapest(offers(free, WORK, 60.0, 2), ["spark", "local"])
    assert found is not None
    assert found.engine == "local"


seconds = st.floats(0, 86_400, allow_nan=False)
works = st.builds(Work, seconds, st.lists(st.builds(Step, st.integers(0, 2_000), seconds), max_size=4).map(tuple))
ways = st.builds(
    Way,
    engine=st.just("spark"),
    cores=st.integers(1, 16),
    most=st.integers(1, 20),
    beside=st.integers(0, 2),
    core_hour=st.floats(0, 5),
    start=seconds,
    step=seconds,
    shard=st.floats(0, 100),
)


@given(ways, works, st.integers(1, 300), st.integers(1, 300))
def test_more_workers_never_take_longer(way: Way, work: Work, some: int, more: int) -> None:
    assert minutes(way, work, some + more) <= minutes(way, work, some) * (1 + 1e-12)


@given(ways, works, st.floats(0.01, 1e4))
def test_every_offer_is_minutes_times_machines_times_price_and_says_what_holds(
    way: Way, work: Work, deadline: float
) -> None:
    table = PriceTable(dated=dt.date(2026, 1, 2), currency="USD", ways={"one": way})
    (offer,) = offers(table, work, deadline, 2)
    assert way.cores is not None
    assert offer.money == pytest.approx(offer.minutes / 60 * offer.machines * way.cores * way.core_hour)
    assert offer.workers == (offer.machines - way.beside) * way.cores
    assert offer.holds is (offer.minutes <= deadline)
    if offer.enough is None:
        assert not offer.holds
    else:
        assert minutes(way, work, offer.enough) <= deadline
        assert offer.enough == 1 or minutes(way, work, offer.enough - 1) > deadline


# -- the table ----------------------------------------------------------------------------------------------------------


def test_the_table_that_is_shipped_is_dated_and_says_where_its_numbers_come_from() -> None:
    table = price_table(None)
    assert table.source
    assert {"local", "spark", "emr", "runs"} <= set(table.ways)
    assert next(iter(table.ways)) == "local", "of equals this machine is taken"
    assert all(way.source for way in table.ways.values())


def test_a_table_of_ones_own_says_what_is_other(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text("dated: 2026-02-03\ncurrency: EUR\nways: {local: {core_hour: 0}, spark: {cores: 8, most: 3}}\n")
    table, shipped = price_table(own), price_table(None)
    assert (table.dated, table.currency, table.source) == (dt.date(2026, 2, 3), "EUR", "")
    assert table.ways["local"] == shipped.ways["local"].model_copy(update={"core_hour": 0.0})
    assert table.ways["spark"] == shipped.ways["spark"].model_copy(update={"cores": 8, "most": 3})
    assert table.ways["emr"] == shipped.ways["emr"]
    own.write_text("dated: 2026-02-03\nways: {spark: {start: 30}, emr: {step: 1, source: our clusters}}\n")
    ways = price_table(own).ways
    assert (ways["spark"].source, ways["emr"].source) == ("", "our clusters"), "not from where the shipped ones are"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("currency: EUR", "MLOPS_PRICES: say `dated`, the day on which these prices were looked up."),
        ("dated: soon", "MLOPS_PRICES: dated: "),
        ("dated: 2026-02-03\nways: {spark: {core_hour: -1}}", "MLOPS_PRICES: ways.spark.core_hour: "),
        ("dated: 2026-02-03\nways: {spark: {core_hour: .nan}}", "MLOPS_PRICES: ways.spark.core_hour: "),
        ("dated: 2026-02-03\nways: {spark: {most: 1000000000}}", "MLOPS_PRICES: ways.spark.most: "),
        ("dated: 2026-02-03\nways: {spark: {price: 1}}", "MLOPS_PRICES: ways.spark.price: "),
        ("dated: 2026-02-03\nways: {mine: {most: 1}}", "MLOPS_PRICES: ways.mine.engine: "),
        ("dated: 2026-02-03\nways: {spark: {engine: sparc}}", "MLOPS_PRICES: ways.spark.engine: "),
        ("dated: 2026-02-03\nways: [1]", "MLOPS_PRICES: ways: "),
        ("dated: 2026-02-03\nways: {spark: 1}", "MLOPS_PRICES: ways.spark: "),
        ("dated: 2026-02-03\nways: {spark: {start: 1e308}}", "MLOPS_PRICES: ways.spark.start: "),
        ("dated: 2026-02-03\nways: {spark: {core_hour: .inf}}", "MLOPS_PRICES: ways.spark.core_hour: "),
        ('dated: 2026-02-03\ncurrency: "\\e[2J"', "MLOPS_PRICES: currency: "),
        ('dated: 2026-02-03\nways: {"\\e[2J": {most: 1}}', "MLOPS_PRICES: ways."),
        ("dated: 2026-02-03\n1: 2", "MLOPS_PRICES: "),
        (
            f"dated: 2026-02-03\nways: {{{', '.join(f'w{n}: {{engine: local, most: 1, core_hour: 0}}' for n in range(101))}}}",
            "MLOPS_PRICES: ways: ",
        ),
        ("dated: 2026-02-03\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "MLOPS_PRICES: a: "),
        ("- 1", "MLOPS_PRICES: the table must have keys, such as `dated` and `ways`."),
        ("a: [", "MLOPS_PRICES: the table is no YAML in line 1."),
        ("#" * 70_000, "MLOPS_PRICES: a table has at most 65,536 signs."),
        ("\udcff", "MLOPS_PRICES: the table cannot be read: it is not UTF-8."),
    ],
    ids=[
        "undated",
        "no date",
        "negative",
        "nan",
        "machines",
        "key",
        "no engine",
        "other engine",
        "list",
        "number",
        "huge",
        "endless",
        "signs of a terminal",
        "a name of such signs",
        "a number as key",
        "too many ways",
        "aliases",
        "text",
        "yaml",
        "long",
        "bytes",
    ],
)
def test_what_a_table_cannot_say_is_told_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "prices.yaml"
    own.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as error:
        price_table(own)
    assert str(error.value).startswith(said)
    assert str(tmp_path) not in str(error.value)


def test_a_table_that_is_not_there_is_told(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_PRICES", str(tmp_path / "none.yaml"))
    with pytest.raises(UsageError, match="MLOPS_PRICES: the table cannot be read: No such file or directory"):
        price_table(Settings.from_environment().prices)
