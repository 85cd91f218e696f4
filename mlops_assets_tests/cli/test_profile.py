"""`profile`: of a published day, of a use case before its first day, and of a file before `new`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mlops_assets.use_case import load_use_case
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAY, LATER = "2026-01-01", "2026-01-02"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A trained and predicted day with some rejects, and a later one."""
    folder = tmp_path_factory.mktemp("profile")
    place_visits(folder / "use_cases", VISITS.replace("about: How long", "unit: minutes, about: How long"))
    shop = Shop(folder / "home")
    for day, channel in ((DAY, "web"), (LATER, "shop")):
        for number in range(4):
            path = shop.day(day) / f"{number}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [f"Ana {n % 60},{n * 7 % 90},{channel},{'yes' if n * 7 % 90 > 45 else 'no'}" for n in range(60)]
            path.write_text("\n".join(["visitor,minutes,channel,returned", *rows, "Bo,9999,web,no"]) + "\n")
    done = shop("run", "visits", "--train", "--from", DAY, "--to", LATER)
    assert done.code == 0, done.err
    return shop


def test_the_newest_day_is_shown_with_its_accounting_and_rejects(shop: Shop) -> None:
    done = shop("profile", "visits")
    assert done.code == 0, done.err
    assert done.out.startswith(f"visits, {LATER}\nAll 240 rows were looked at.\n4 files: 4 read, 0 refused\n")
    came = "4 files with rows of 60 accounts, 0 of which the watched day before had not; 0 that it had did not come."
    assert f"244 lines: 240 rows, 4 rejected\npredicted: {came}\nrejected: range 4" in done.out
    assert "number in minutes" in done.out
    assert "minutes alone tells returned right in 9" in done.out


def test_json_has_the_shares_of_what_the_champion_learned_beside(shop: Shop) -> None:
    found = json.loads(shop("profile", "visits", "--day", LATER, "--format", "json").out)
    columns = {column["column"]: column for column in found["columns"]}
    assert columns["minutes"]["unit"] == "minutes"
    assert columns["minutes"]["seen"]["missing_in_training"] == 0
    [shop_rows] = columns["channel"]["seen"]["bins"]
    assert (shop_rows["value"], shop_rows["rows"]) == ("shop", 240)
    assert 0.3 < shop_rows["training"] < 0.7
    assert columns["visitor"]["seen"]["masked"]
    assert found["rejects"] == {"range": 4}
    arrivals = {"files": 4, "late_files": 0, "accounts": 60, "accounts_new": 0, "accounts_vanished": 0}
    assert found["arrivals"] == arrivals


def test_a_page_names_no_account(shop: Shop, tmp_path: Path) -> None:
    done = shop("profile", "visits", "-o", str(tmp_path / "page.html"))
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text()
    assert "Aaa 9" in page
    assert "Ana " not in page
    assert "In training" in page
    assert 'class="line"' in page


def test_before_the_first_day_there_is_the_dictionary(shop: Shop) -> None:
    done = shop("profile", "loan_approval")
    assert (done.code, done.out.splitlines()[1]) == (0, "No day is published yet: `mlops-assets run loan_approval`.")
    assert "credit_score" in done.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("visits", "--day", "2025-01-01"), 1, "The rows of 2025-01-01 are not published: 2026-01-01 to 2026-01-02"),
        (("nothing",), 2, "There is no use case 'nothing'"),
        (("visits", "--label", "returned"), 2, "--label, --account and --header are for a file, and visits is none"),
        (("nothing.csv",), 2, "nothing.csv: cannot be read: No such file or directory"),
        (("table.csv", "--day", DAY), 2, "--day is for a use case"),
        (("visits", "--format", "html"), 2, "A page is not for a terminal"),
    ],
)
def test_what_cannot_be_shown_is_told(words: tuple[str, ...], code: int, message: str, shop: Shop) -> None:
    (shop.home.parent / "table.csv").write_text("a,b\n1,2\n")
    done = shop("profile", *words)
    assert done.code == code
    assert message in done.err


HEAD = "a,b,label\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEAD.encode(),
        b"a\n1\n2\n3\n",
        (HEAD + "1,x,\n" * 50).encode(),
        (HEAD + "1,x,yes\n" * 50).encode(),
        (HEAD + "1,x,yes\n").encode(),
        bytes(range(256)) * 9,
        (HEAD + "1,x,yes\n").encode("utf-16"),
    ],
    ids=["empty", "header", "one column", "no label", "constant label", "one row", "binary", "utf-16"],
)
def test_a_file_that_new_refuses_is_refused_in_the_same_words(content: bytes, shop: Shop) -> None:
    path = shop.home.parent / "wrong.csv"
    path.write_bytes(content)
    looked = shop("profile", str(path), "--label", "label")
    made = shop("new", "wrong", "--from", str(path), "--label", "label", "--into", str(shop.home.parent / "new"))
    assert (looked.code, made.code) == (2, 2)
    assert looked.err == made.err


def test_what_profile_says_of_a_file_is_what_new_does(shop: Shop, tmp_path: Path) -> None:
    rows = [
        f'0{n % 30},"R$ {n},50",{1 + n % 28}.03.2026,1.234,{n % 9},{random.Random(n).choice("ab")}' for n in range(90)
    ]
    table = tmp_path / "a b.csv"
    table.write_text("\n".join(["customer,Price,when,big,n,label", *rows]) + "\n", encoding="utf-8")
    found = json.loads(shop("profile", str(table), "--label", "label", "--format", "json").out)
    told = shop("profile", str(table), "--label", "label").out
    command = told.splitlines()[-1].split("mlops-assets new ")[1]
    assert command == f"NAME --from '{table}' --label label"
    made = shop("new", "looked", "--from", str(table), "--label", "label", "--into", str(tmp_path / "cases"))
    assert made.code == 0, made.err
    written = load_use_case(tmp_path / "cases" / "looked")
    for column in found["columns"]:
        name = column["column"]
        assert column["type"] == written.columns[name].type
        assert column["from"] == written.columns[name].header(name)
        assert (column["format"], column["required"]) == (written.columns[name].format, written.columns[name].required)
        assert column["allowed"] == list(written.columns[name].allowed)
        assert (column["used_as"] == "account") == (written.account == name)
    assert "This contract takes 90 of 90 lines" in made.out
    assert "takes 90 of 90 lines" in told


def test_without_a_label_columns_are_shown_all_the_same(shop: Shop, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,b\n" + "".join(f"{n},{'x' * 100_000 if n == 3 else 'y'}\n" for n in range(50)))
    done = shop("profile", str(table))
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith(f"mlops-assets new NAME --from {table} --label COLUMN")
    assert max(map(len, done.out.splitlines())) < 300
