"""What a host that deploys is told: `.env` as people write it, of which one line is set and no other is touched."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.settings import NotSet, Settings, read_env, set_in_env
from mlops_assets_tests.helpers.paths import ROOT

SAID = {"DEPLOY_IMAGE": "ghcr.io/owner/name", "DEPLOY_SIGNER": "^https://github.com/owner/name/"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"DEPLOY_IMAGE": ""}, "DEPLOY_IMAGE: set it in .env"),
        ({"DEPLOY_SIGNER": ""}, "DEPLOY_SIGNER: set it in .env"),
        ({"DEPLOY_IMAGE": "ghcr.io/owner/name:main"}, "without a tag"),
        ({"DEPLOY_PATIENCE_MINUTES": "long"}, "DEPLOY_PATIENCE_MINUTES must be a whole number"),
    ],
    ids=["no image", "no signer", "a tag", "no number"],
)
def test_a_setting_that_is_missing_or_of_no_use_is_told_by_its_name(
    more: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(NotSet, match=said):
        Settings.of_host(tmp_path / ".env", SAID | more)


def test_the_environment_wins_over_the_file_and_a_weak_key_is_refused(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("DEPLOY_IMAGE=ghcr.io/other/name\nSTACK_WEBSERVER_PORT=3001\nDEPLOY_KEY=short\n")
    found = Settings.of_host(env, SAID)
    assert (found.image, found.webserver, found.patience) == ("ghcr.io/owner/name", "http://127.0.0.1:3001", 1800.0)
    with pytest.raises(NotSet, match="DEPLOY_KEY in .env: a secret has at least 24 bytes"):
        found.checked_key()
    assert "short" not in repr(found)


# -- `.env` as people write it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("STACK_IMAGE=x", "x"),
        ("STACK_IMAGE=", ""),
        ("STACK_IMAGE='x'", "x"),
        ('STACK_IMAGE="x y"', "x y"),
        ("STACK_IMAGE=x # the one before", "x"),
        ("STACK_IMAGE='x' # the one before", "x"),
        ("STACK_IMAGE=x#y", "x#y"),
        ("  export STACK_IMAGE = x  ", "x"),
        ("STACK_IMAGE=x\r", "x"),
        ("STACK_IMAGE='x", "'x"),
        ("STACK_IMAGE=a=b", "a=b"),
        ("\ufeffSTACK_IMAGE=x", "x"),
        ("STACK_IMAGE=old\nSTACK_IMAGE=x", "x"),
    ],
)
def test_a_line_is_read_as_docker_compose_reads_it(tmp_path: Path, line: str, value: str) -> None:
    env = tmp_path / ".env"
    env.write_bytes(f"A=1\n{line}\nB=2".encode() if line[0] != "\ufeff" else f"{line}\nA=1\nB=2".encode())
    assert read_env(env) == {"A": "1", "STACK_IMAGE": value, "B": "2"}


LINES = st.lists(
    st.one_of(
        st.binary(max_size=12).filter(lambda text: b"\n" not in text and b"\r" not in text),
        st.sampled_from(
            [b"A=1", b"# STACK_IMAGE=x", b"MY_STACK_IMAGE='a", b"export STACK_IMAGE = old", b"STACK_IMAGE="]
        ),
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(lines=LINES, end=st.sampled_from([b"\n", b"\r\n"]), is_ended=st.booleans())
def test_every_other_line_stays_to_the_byte(
    lines: list[bytes], end: bytes, is_ended: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    env = tmp_path_factory.getbasetemp() / "any.env"
    env.write_bytes(end.join(lines) + (end if is_ended and lines else b""))
    set_in_env(env, "STACK_IMAGE", r"name@\1")
    assert read_env(env)["STACK_IMAGE"] == r"name@\1"

    def others(text: list[bytes]) -> list[bytes]:
        return [line for line in text if not re.match(rb"[ \t]*(export[ \t]+)?STACK_IMAGE[ \t]*=", line)]

    found = re.split(rb"\r?\n", env.read_bytes())
    assert [line for line in others(found) if line] == [line for line in others(lines) if line]
    before = env.read_bytes()
    set_in_env(env, "STACK_IMAGE", r"name@\1")
    assert env.read_bytes() == before


def test_a_variable_is_added_where_the_file_does_not_have_it(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    for before, after in ((b"A=1", b"A=1\nSTACK_IMAGE=x\n"), (b"A=1\r\n", b"A=1\r\nSTACK_IMAGE=x\r\n")):
        env.write_bytes(before)
        set_in_env(env, "STACK_IMAGE", "x")
        assert env.read_bytes() == after
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a file to somebody else")
def test_the_file_stays_its_owners_alone_where_a_link_leads(tmp_path: Path) -> None:
    real, env = tmp_path / "real", tmp_path / ".env"
    real.write_text("STACK_IMAGE=y\n")
    real.chmod(0o600)
    os.chown(real, 1234, 1235)
    (tmp_path / "real.new").write_text("left by one that was killed")
    (tmp_path / "real.new").chmod(0o666)
    env.symlink_to(real)
    set_in_env(env, "STACK_IMAGE", "x")
    assert env.is_symlink()
    found = real.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1235, 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "real"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotSet, match="cannot be read: Is a directory"):
        Settings.of_host(tmp_path, {})


def test_the_example_names_what_a_host_is_told() -> None:
    example = (ROOT / ".env.example").read_text()
    text = (ROOT / "deploy" / "settings.py").read_text()
    assert set(re.findall(r"^(DEPLOY_\w+)=", example, re.M)) == set(re.findall(r'"(DEPLOY_\w+)"', text))
