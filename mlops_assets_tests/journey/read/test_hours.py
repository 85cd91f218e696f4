"""Raw files of hours: folders on disk and on S3, messages of a queue, the rows of a query; what of it no run reads."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path

import pytest

from mlops_assets.journey.read.messages import NotUnderstood, days_named
from mlops_assets.journey.read.sources import FolderSource, S3Source, SqlSource, open_source
from mlops_assets.journey.read.sources.own import OwnSource
from mlops_assets.journey.read.strays import find_strays
from mlops_assets.plugins.sources import Entry, SourceError
from mlops_assets.settings import Settings
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Origin, Partitions, UseCase, load_use_case
from mlops_assets_tests.helpers.postgres import query
from mlops_assets_tests.helpers.queues import event, notification
from mlops_assets_tests.helpers.s3_server import Server
from mlops_assets_tests.helpers.visits import place_visits

BERLIN = Partitions(every="hour", timezone="Europe/Berlin")
HOURS = ["2026-03-29T03", "2026-10-25T01", "2026-10-25T02", "2026-10-25T02+0100"]
FILES = {
    *("day=2026-10-25/hour=01/a.csv", "day=2026-10-25/hour=02/deep/b.csv", "day=2026-10-25/hour=02+0100/a.csv"),
    *("day=2026-03-29/hour=03/a.csv", "day=2026-03-29/hour=02/a.csv"),
    *("day=2026-10-25/a.csv", "day=2026-10-25/hour=3/a.csv", "day=2026-10-25/hour=01+0100/a.csv"),
    *("day=2019-01-01/hour=00/a.csv", "day=2027-01-01/hour=00/a.csv", "hour=05/a.csv", "feedback/people.csv"),
}
WHY = {
    "day=2026-03-29/hour=02": "'2026-03-29T02' is no hour: by the clock of Europe/Berlin, that is 2026-03-29T03",
    "day=2026-10-25/hour=01+0100": "'2026-10-25T01+0100' is no hour: by the clock of Europe/Berlin, that is ",
    "day=2026-10-25/a.csv": "beside the hours, which are folders named hour=HH",
    "day=2026-10-25/hour=3": "beside the hours, which are folders named hour=HH",
    "day=2019-01-01/hour=00": "before the first hour, 2026-01-01T00",
    "day=2027-01-01/hour=00": "in the future: this hour is 2026-11-30T23 (Europe/Berlin)",
    "hour=05": "not named day=YYYY-MM-DD, and no date",
}


@pytest.fixture(params=["folder", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> FolderSource | S3Source:
    """The same files on disk and on S3."""
    if request.param == "folder":
        for name in FILES:
            path = tmp_path / "shop" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        return FolderSource(tmp_path / "shop", ".csv", partitions=BERLIN)
    bucket: S3Path = request.getfixturevalue("bucket")
    server: Server = request.getfixturevalue("s3_server")
    for name in FILES:
        server.client().put_object(Bucket=bucket.bucket, Key=f"raw/shop/{name}", Body=name.encode())
    return S3Source(bucket / "raw" / "shop", BERLIN)


@pytest.fixture
def shop(transactions: UseCase) -> UseCase:
    return transactions.model_copy(update={"start": dt.date(2026, 1, 1), "partitions": BERLIN})


def test_an_hour_is_a_folder_of_its_day_and_an_hour_that_comes_again_has_its_own(
    source: FolderSource | S3Source,
) -> None:
    outside = ["2019-01-01T00", "2027-01-01T00"]
    assert source.days() == [outside[0], *HOURS, outside[1]]
    read = {day: [(one.path, source.read(day, one)) for one in source.list(day)] for day in HOURS}
    assert read["2026-10-25T02"] == [("deep/b.csv", b"day=2026-10-25/hour=02/deep/b.csv")]
    assert read["2026-10-25T02+0100"] == [("a.csv", b"day=2026-10-25/hour=02+0100/a.csv")]
    assert source.delivered("2026-10-25T01")
    assert not source.delivered("2026-10-25T04")
    assert source.place("2026-10-25T02+0100").endswith("/day=2026-10-25/hour=02+0100")


def test_whatever_else_lies_there_is_named_with_its_reason(source: FolderSource | S3Source, shop: UseCase) -> None:
    strays = find_strays(shop, source, dt.date(2026, 11, 30))
    told = {one.name: one.why for one in strays.first}
    assert told.keys() == WHY.keys()
    assert all(told[name].startswith(why) for name, why in WHY.items())


def test_a_day_behind_a_link_out_is_told_and_not_looked_into(tmp_path: Path, shop: UseCase) -> None:
    (tmp_path / "elsewhere" / "hour=05").mkdir(parents=True)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "day=2026-10-24").symlink_to(tmp_path / "elsewhere")
    source = FolderSource(tmp_path / "shop", ".csv", partitions=BERLIN)
    assert source.days() == []
    assert "'day=2026-10-24/.' (1 file, a link out of the folder" in str(find_strays(shop, source))


def test_a_source_of_hours_is_the_same_on_another_machine(tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(FolderSource(tmp_path, ".csv", partitions=BERLIN)))
    assert source.partitions == BERLIN


class Mixed:
    """A source of one's own that tells an hour that is none."""

    def days(self) -> list[str]:
        return ["2026-03-29T01", "2026-03-29T02"]

    def place(self, day: str, name: str = "") -> str:  # noqa: ARG002 - nobody asks
        return day

    delivered = has = read = list = place  # the protocol, which is not asked here


def test_a_class_of_ones_own_that_tells_no_hour_is_named_with_what_is_one() -> None:
    source = OwnSource(f"{__name__}.Mixed", {}, BERLIN)
    with pytest.raises(SourceError, match=r"Mixed.days\(\) failed: ValueError: '2026-03-29T02' is no hour: by the "):
        source.days()


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_names_the_hour_of_its_object() -> None:
    root, key = S3Path("bank", "raw/shop"), "raw/shop/day=2026-10-25/hour=02+0100/a b+c.csv"
    for body in (notification("bank", key), event("bank", key)):
        assert days_named(body, root, BERLIN) == {"2026-10-25T02+0100"}
    with pytest.raises(NotUnderstood):
        days_named(notification("bank", "raw/shop/day=2026-10-25/a.csv"), root, BERLIN)
    with pytest.raises(NotUnderstood):
        days_named(notification("bank", "raw/shop/day=2026-03-29/hour=02/a.csv"), root, BERLIN)


# -- the rows of a query -----------------------------------------------------------------------------------------------

ASKED = "SELECT visitor, minutes, channel FROM visits WHERE seen >= :start AND seen < :end"
SEEN = "('Ann', 1, 'web', '{}Z'), ('Bob', 2, 'web', '{}Z'), ('Cy', 3, 'web', '{}Z'), ('Di', 4, 'web', '{}Z')"


def test_each_row_of_a_database_comes_in_one_hour_also_when_the_clock_is_put_back(
    database: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", database)
    moments = ("2026-10-24 23:59:59", "2026-10-25 00:00:00", "2026-10-25 01:00:00", "2026-10-25 02:00:00")
    query(database, "CREATE TABLE visits (visitor text, minutes numeric, channel text, seen timestamptz)")
    query(database, f"INSERT INTO visits VALUES {SEEN.format(*moments)}")
    visits = load_use_case(place_visits(tmp_path / "use_cases") / "visits")
    origin = Origin(use="sql", parameters={"url_variable": "SHOP_URL", "query": ASKED})
    source = open_source(visits.model_copy(update={"source": origin, "partitions": BERLIN}), settings.raw)
    assert isinstance(source, SqlSource)
    found = {}
    for hour in BERLIN.between("2026-10-25T01", "2026-10-25T03"):
        source.land(hour)
        found[hour] = [entry.path for entry in source.list(hour) if isinstance(entry, Entry)]
    assert found == {
        "2026-10-25T01": ["Ann.csv"],
        "2026-10-25T02": ["Bob.csv"],
        "2026-10-25T02+0100": ["Cy.csv"],
        "2026-10-25T03": ["Di.csv"],
    }


def test_a_query_of_the_whole_day_is_refused_for_its_hours(visits_yaml: Path) -> None:
    with pytest.raises(
        Exception, match=r"defs.yaml:\d+: source: .*with `every: hour` it must name `:start` and `:end`"
    ):
        load_use_case(visits_yaml)


@pytest.fixture
def visits_yaml(tmp_path: Path) -> Path:
    more = (
        "  partitions: {every: hour}\n"
        "  source: {use: sql, parameters: {url_variable: SHOP_URL, query: 'SELECT * FROM v WHERE d = :day'}}\n"
    )
    folder = place_visits(tmp_path / "use_cases") / "visits"
    text = (folder / "defs.yaml").read_text().rstrip("\n")
    (folder / "defs.yaml").write_text(f"{text}\n{more}")
    return folder
