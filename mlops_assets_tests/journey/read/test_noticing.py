"""What is noticed while a day is read: it refuses nothing, and is counted and told where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.journey.read.listing import list_day
from mlops_assets.journey.read.noticing import MOST_LABELS
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.readers.csv import CsvReader
from mlops_assets.journey.read.rows import read_day
from mlops_assets.journey.read.sources import open_source
from mlops_assets.settings import Settings
from mlops_assets.storage.accounting import ReadingAccounting
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.use_case import Checks, UseCase, load_use_case
from mlops_assets.work.engines.local import LocalEngine
from mlops_assets_tests.helpers.account_files import HEADER, ROW, account_file, changed
from mlops_assets_tests.helpers.days import DAY, ignore, in_shards_of
from mlops_assets_tests.helpers.visits import VISITS, place_visits

NEXT = "2026-01-02"
READER = "mlops_assets_tests.journey.read.test_record_readers.Scripted"


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.long)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where raw files and lake lie."""
    if request.param == "disk":
        return tmp_path
    bucket: S3Path = request.getfixturevalue("bucket")
    return bucket


def deliver(root: Place, use_case: UseCase, day: str, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        place = root / "raw" / use_case.name / f"day={day}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def read_again(root: Place, use_case: UseCase, day: str) -> tuple[ReadingAccounting, int]:
    """What is told of a day, and how many shards had been done before."""
    lake, source = Lake(root / "lake", use_case.name), open_source(use_case, root / "raw")
    manifest = list_day(use_case, source, lake.raw_files, day)
    done = read_day(use_case, source, lake, manifest, LocalEngine(1), ignore)
    assert lake.rows.days()[day].accounting == done.accounting
    return done.accounting, done.reused


def told(root: Place, use_case: UseCase, files: dict[str, bytes], day: str = DAY) -> ReadingAccounting:
    deliver(root, use_case, day, files)
    return read_again(root, use_case, day)[0]


def labels(*names: str) -> bytes:
    return account_file([changed(grupo_estabelecimento=name) for name in names])


# -- columns that may be absent ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found", ["Grupo_Estabelecimento", "grupo estabelecimento", "grúpo_estabelecimento", "GRUPO-ESTABELECIMENTO"]
)
def test_an_absent_label_is_told_and_what_its_column_seems_to_be_called(transactions: UseCase, found: str) -> None:
    renamed = account_file(header=HEADER.replace("grupo_estabelecimento", found))
    pack = CsvReader(transactions).read([account_file(), renamed], ["good.csv", "renamed.csv"])
    assert pack.noticed == {"absent_category": 1, "misnamed_column": 1}
    assert pack.examples == {
        "absent_category": ["renamed.csv"],
        "misnamed_column": [f"renamed.csv has {found!r}, expected 'grupo_estabelecimento'"],
    }


def test_a_further_column_of_another_name_is_no_misnamed_one(transactions: UseCase) -> None:
    cut = account_file([ROW.replace("SERVIÇO", "x")], HEADER.replace("grupo_estabelecimento", "remarks"))
    pack = CsvReader(transactions).read([cut, account_file(header=HEADER)], ["a.csv", "b.csv"])
    assert pack.noticed == {"absent_category": 1}


def test_an_absent_label_is_told_of_files_with_quotes_as_well(transactions: UseCase) -> None:
    quoted = account_file(
        [ROW.replace("SP ", '"S""P"')], HEADER.replace("grupo_estabelecimento", "Grupo_Estabelecimento")
    )
    assert CsvReader(transactions).read([quoted], ["q.csv"]).noticed == {"absent_category": 1, "misnamed_column": 1}


def test_a_column_that_no_record_of_a_file_has_is_absent(tmp_path: Path) -> None:
    yaml = VISITS.replace("  columns:", f"  files: {{suffix: .json, reader: {READER}}}\n  columns:")
    place_visits(tmp_path, yaml)
    case = load_use_case(tmp_path / "visits")
    (label,) = case.optional_columns
    files = [b'[{"visitor": "a"}]', f'[{{"visitor": "a"}}, {{"visitor": "b", "{label}": "x"}}]'.encode()]
    pack = open_reader(case, lambda _, __: b"").read(files, ["a.json", "b.json"])
    assert (pack.noticed[f"absent_{label}"], pack.examples[f"absent_{label}"]) == (1, ["a.json"])


def test_a_limit_for_an_absent_column_names_one_that_may_be_absent(transactions: UseCase) -> None:
    def limited(name: str) -> UseCase:
        checks = Checks(noticed={name: 0.1}).model_dump()
        return UseCase.model_validate({**transactions.model_dump(by_alias=True), "checks": checks})

    assert limited("absent_category").checks.noticed == {"absent_category": 0.1}
    with pytest.raises(ValueError, match="'age' is no column that a file may lack; known: absent_category"):
        limited("absent_age")


# -- the day as a whole, on disk and on S3 -----------------------------------------------------------------------------


def test_files_of_the_same_content_are_counted_across_shards_and_named(root: Place, transactions: UseCase) -> None:
    one_a_shard = in_shards_of(1, transactions)
    same, empty = account_file(), b""
    files = {
        "a.csv": same,
        "a (1).csv": same,
        "a - Copy.csv": same,
        "b.csv": labels("VAREJO"),
        "c.csv": empty,
        "d.csv": empty,
    }
    deliver(root, transactions, DAY, files)
    first, reused = read_again(root, one_a_shard, DAY)
    assert (first.noticed, reused) == ({"same_content": 2}, 0)
    assert first.examples == {"same_content": ("a (1).csv = a.csv", "a - Copy.csv = a.csv")}
    # shards that were done before tell it again, and a day that is read again has not changed
    again, reused = read_again(root, one_a_shard, DAY)
    assert reused > 1
    assert again == first
    # also with what came late
    late = told(root, one_a_shard, {"late.csv": labels("VAREJO")})
    assert late.noticed == {"same_content": 3}
    assert "late.csv = b.csv" in late.examples["same_content"]


@pytest.mark.parametrize("root", ["disk", "s3"], indirect=True)
def test_files_of_the_day_before_that_come_again_are_told(root: Place, transactions: UseCase) -> None:
    assert told(root, transactions, {"a.csv": account_file(), "b.csv": labels("VAREJO")}).noticed == {}
    second = told(root, transactions, {"x.csv": account_file(), "y.csv": account_file([ROW, ROW])}, NEXT)
    assert second.noticed == {"same_as_day_before": 1}
    assert second.examples == {"same_as_day_before": (f"x.csv lay in {DAY}",)}
    # a day is compared with days before it alone: that another one came meanwhile changes nothing
    assert read_again(root, transactions, DAY)[0].noticed == {}


def test_labels_that_no_earlier_day_has_are_counted_in_rows_and_named(tmp_path: Path, transactions: UseCase) -> None:
    first = told(tmp_path, transactions, {"a.csv": labels("SERVICO", "VAREJO", "")})
    assert (first.labelled, first.rows, first.labels, first.noticed) == (2, 3, ("SERVICO", "VAREJO"), {})
    second = told(tmp_path, transactions, {"a.csv": labels("VAREJO", "Varejo", "Varejo", "NOVO")}, NEXT)
    assert second.noticed == {"new_label": 3}
    assert second.examples == {"new_label": ("'NOVO' in 1 rows", "'Varejo' in 2 rows")}
    assert read_again(tmp_path, transactions, NEXT)[0] == second
    assert read_again(tmp_path, transactions, DAY)[0] == first


def test_a_day_without_labels_has_none_that_are_new(tmp_path: Path, transactions: UseCase) -> None:
    told(tmp_path, transactions, {"a.csv": labels("SERVICO")})
    unlabelled = told(tmp_path, transactions, {"a.csv": labels("", "")}, NEXT)
    assert (unlabelled.labelled, unlabelled.labels, unlabelled.noticed) == (0, (), {})


def test_where_nearly_every_row_has_a_label_of_its_own_none_is_new(tmp_path: Path, transactions: UseCase) -> None:
    told(tmp_path, transactions, {"a.csv": labels("SERVICO")})
    many = told(tmp_path, transactions, {"a.csv": labels(*(f"L{number}" for number in range(MOST_LABELS + 1)))}, NEXT)
    assert (many.labelled, many.labels, many.noticed) == (MOST_LABELS + 1, (), {})


def test_examples_of_all_shards_are_the_first_ones_by_name(settings: Settings, transactions: UseCase) -> None:
    unlabelled = [account_file([changed(id=str(number))], HEADER.replace("grupo_", "")) for number in range(9)]
    files = {f"{number}.csv": data for number, data in enumerate(unlabelled)}
    accounting = told(settings.home, in_shards_of(2, transactions), files)
    assert accounting.noticed == {"absent_category": 9}
    assert accounting.examples == {"absent_category": ("0.csv", "1.csv", "2.csv", "3.csv", "4.csv")}
