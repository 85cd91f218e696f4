"""A home works under any name, and one that cannot be used is told in one sentence by every command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.cli.group import COMMANDS
from mlops_assets.errors import UsageError
from mlops_assets.settings import Settings, sqlite_url
from mlops_assets_tests.helpers.homes import state_in
from mlops_assets_tests.helpers.shop import Shop
from mlops_assets_tests.helpers.visits import VISITS, place_visits

DAY = "2026-01-02"
SIGNS = "a%20b 50% what?x=1 c#d [x] {y} o'k ação * & ;"

TARGET = "  label: returned\n  targets:\n    out: {{use: files, parameters: {{place: {place}}}}}\n"

MAKES_FILES = ("demo", "import", "replay", "sample")
ONLY_READ = ("new", "preview", "profile", "status", "upgrade", "verify")
WRITES = ("demo", "dev", "feedback", "import", "run", "sample")

JOURNEY = (
    f"sample visits --day {DAY} --files 2 --rows 60",
    "run visits --train",
    "status visits",
    "history visits",
    "card visits",
    "deliver visits",
    f"predictions visits --day {DAY}",
    f"rejects visits --day {DAY}",
    "preview visits",
    "verify visits",
    f"run visits --from {DAY} --to {DAY}",
)

ARGUMENTS = {
    "audit": f"visits --day {DAY}",
    "card": "visits",
    "deliver": "visits",
    "demo": "",
    "dev": "",
    "diff": f"visits --day {DAY} --candidate 1 --against 1",
    "drift": "visits",
    "export": "visits 1 -o exported",
    "feedback": "visits",
    "history": "visits",
    "import": f"visits table.csv --day {DAY}",
    "kept": "visits",
    "new": "fresh --from table.csv --label returned",
    "predictions": "visits",
    "preview": "visits",
    "profile": "visits",
    "promote": "visits 1 --why x",
    "rebuild": "visits 1",
    "refuse": "visits 1 --why x",
    "register": "visits models:/other/1",
    "rejects": "visits",
    "replay": "visits rejects.csv",
    "restore": f"visits --day {DAY} --as-published-on {DAY}",
    "retro-score": "visits",
    "rollback": "visits --why x",
    "rows": "visits",
    "run": "visits",
    "serve": "visits",
    "sample": f"visits --day {DAY}",
    "status": "",
    "tell": "visits",
    "upgrade": "",
    "verify": "visits",
    "why": f"visits --day {DAY} --file a.csv --line 2",
}


@pytest.fixture(scope="module")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The home of a whole journey, under a name with every sign, of a person whose files are for everybody."""
    folder = tmp_path_factory.mktemp("travelled")
    shop = Shop(folder / SIGNS / "home")
    yaml = VISITS.replace("  label: returned\n", TARGET.format(place=f'"{folder / SIGNS / "out"}"'))
    before = os.umask(0)
    try:
        place_visits(folder / SIGNS / "use_cases", yaml)
        shop.home.mkdir()
        for command in JOURNEY:
            done = shop(*command.split())
            assert done.code == 0, (command, done.err)
        yield shop
    finally:
        os.umask(before)


def test_the_whole_journey_goes_well_under_a_name_with_every_sign(travelled: Shop) -> None:
    shop, place = travelled, travelled.home.parent / "out"
    file = next(path for path in shop.day(DAY).rglob("*") if path.is_file())
    done = shop("why", "visits", "--day", DAY, "--file", str(file.relative_to(shop.day(DAY))), "--line", "2")
    assert done.code == 0, done.err
    assert any(path.is_file() for path in place.rglob("*"))
    for state in ("mlflow/mlflow.db", "dagster/history/runs.db", "lake/visits/rows/_delta_log"):
        assert (shop.home / state).exists()
    # what lies beside it are the links by which libraries find it
    assert [path.name for path in place.parent.parent.iterdir() if not path.is_symlink()] == [SIGNS]


def test_a_whole_journey_leaves_nothing_in_the_home_that_others_can_read(travelled: Shop) -> None:
    every = [travelled.home, *travelled.home.rglob("*")]
    assert [path for path in every if path.lstat().st_mode & 0o077 and not path.is_symlink()] == []
    delivered = travelled.home.parent / "out"
    assert all(path.stat().st_mode & 0o066 == 0o066 for path in delivered.rglob("*"))


def test_what_a_person_asks_for_is_written_with_their_umask(travelled: Shop, tmp_path: Path) -> None:
    asked = {
        "table.csv": f"predictions visits --day {DAY} --format csv -o {tmp_path / 'table.csv'}",
        "card.html": f"card visits -o {tmp_path / 'card.html'}",
        "raw": f"sample visits --day {DAY} --files 1 --raw {tmp_path / 'raw'}",
        "made": f"new fresh --from {tmp_path / 'table.csv'} --label prediction --into {tmp_path / 'made'}",
    }
    for name, command in asked.items():
        done = travelled(*command.split())
        assert done.code == 0, (command, done.err)
        written = [tmp_path / name, *(tmp_path / name).rglob("*")]
        assert [path for path in written if path.stat().st_mode & 0o066 != 0o066] == [], command


@pytest.mark.parametrize("name", ["a b", "50%", "a%20b", "what?", "c#d", "[x]", "o'k", "ação"])
def test_mlflow_and_the_settings_name_the_same_file(tmp_path: Path, name: str) -> None:
    with state_in(tmp_path / name):
        settings = Settings.from_environment()
    assert settings.sqlite_file == tmp_path / name / "mlflow" / "mlflow.db"
    assert settings.tracking_uri == sqlite_url(settings.sqlite_file)


@pytest.mark.parametrize("name", ["a%2Fb", "a\\b", "%E7"])
def test_a_home_that_cannot_work_is_refused_by_the_settings(tmp_path: Path, name: str) -> None:
    with state_in(tmp_path / name), pytest.raises(UsageError, match="^MLOPS_HOME=.*: tables cannot lie under"):
        Settings.from_environment()


def test_every_command_is_tried_in_a_home_that_cannot_be_used() -> None:
    assert ARGUMENTS.keys() | {"init"} == COMMANDS.keys(), "`init` needs no home"


@pytest.mark.parametrize("kind", ["a file", "below a file", "/proc", "read-only"])
@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_home_that_cannot_be_used_is_one_sentence_from_every_command(tmp_path: Path, command: str, kind: str) -> None:
    if kind == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    shop = Shop(tmp_path / "home")
    target = TARGET.format(place=tmp_path / "out")
    place_visits(tmp_path / "use_cases", VISITS.replace("  label: returned\n", target))
    assert shop("sample", "visits", "--day", DAY, "--files", "1", "--rows", "3").code == 0
    (tmp_path / "table.csv").write_text("visitor,minutes,channel,returned\nana,3,web,yes\nbo,4,shop,no\n")
    (tmp_path / "rejects.csv").write_text(f"day,file,line,rule,message,raw\n{DAY},a.csv,1,bounds,x,y\n")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "read-only").mkdir(mode=0o555)
    home = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "home", "/proc": Path("/proc/x")}
    environment = {"MLOPS_HOME": str(home.get(kind, tmp_path / "read-only"))}
    if command not in MAKES_FILES:
        environment["MLOPS_RAW"] = str(shop.home / "raw")
    done = shop(command, *ARGUMENTS[command].split(), **environment)
    # but for progress, and for what is told of each line
    said = [line for line in done.err.splitlines() if not line[:1].isdigit() and not line.startswith("  ")]
    assert done.code in ((0,) if command in ONLY_READ else (1, 2)), said
    assert "not expected" not in done.err
    assert [line.startswith("Error: ") for line in said] == [True] * bool(done.code), said
    assert all(line.endswith((".", ":")) for line in said)
    if command in WRITES:
        assert "cannot be read or written" in done.err or "cannot be written" in done.err


@pytest.mark.parametrize("variable", ["MLOPS_LAKE", "MLOPS_ARTIFACTS"])
def test_a_place_that_a_step_cannot_write_is_one_sentence(tmp_path: Path, variable: str) -> None:
    place_visits(tmp_path / "use_cases")
    shop = Shop(tmp_path / "home")
    shop("sample", "visits", "--day", DAY, "--files", "2", "--rows", "60")
    (tmp_path / "file").write_text("a file")
    done = shop("run", "visits", "--train", **{variable: str(tmp_path / "file" / "below")})
    assert done.code == 1
    assert f"{tmp_path / 'file'}" in done.err
    assert "cannot be read or written: Not a directory. Give access, make room, or name another place." in done.err
    assert "Errno" not in done.err
