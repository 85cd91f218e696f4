"""Secrets by file: `NAME_FILE` names a file with the value of `NAME`, for every secret variable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.errors.secret_files import LARGEST, read_secret_files
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.shop import Shop


@pytest.mark.parametrize(
    "name", ["MLOPS_DATABASE_URL", "MLOPS_API_KEYS", "MLOPS_ALERT_URL", "AWS_SECRET_ACCESS_KEY", "SHOP_TOKEN"]
)
def test_a_variable_takes_its_value_from_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("rosebud 42\n")
    environment = {f"{name}_FILE": str(tmp_path / "secret"), "OTHER": "x"}
    assert read_secret_files(environment) == [name]
    assert environment == {name: "rosebud 42", "OTHER": "x"}
    assert read_secret_files(environment) == []


@pytest.mark.parametrize("name", ["SSL_CERT", "AWS_WEB_IDENTITY_TOKEN", "AWS_SHARED_CREDENTIALS"])
def test_what_libraries_read_themselves_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    assert read_secret_files({f"{name}_FILE": str(tmp_path / "file")}) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "its file cannot be read: No such file or directory."),
        (b"", "its file holds no secret: one line of text, up to 65,536 bytes."),
        (b"x" * (LARGEST + 1), "its file holds no secret"),
        (b"\xff\xfe", "its file is no text."),
    ],
    ids=["absent", "empty", "large", "binary"],
)
def test_a_file_that_holds_none_is_told_by_the_variable(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=f"MLOPS_ALERT_URL_FILE: {said}"):
        read_secret_files({"MLOPS_ALERT_URL_FILE": str(file)})


def test_both_are_too_many(tmp_path: Path) -> None:
    done = Shop(tmp_path / "home")("status", MLOPS_API_KEYS="x", MLOPS_API_KEYS_FILE="/absent")
    assert (done.code, done.err) == (
        2,
        "Error: MLOPS_API_KEYS and MLOPS_API_KEYS_FILE are both set: leave one of them.\n",
    )


def test_programs_of_others_are_started_with_what_the_files_hold(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("rosebud\n")
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI_FILE": str(tmp_path / "secret")}
    command = [sys.executable, "-m", "deploy.with_secrets", "sh", "-c", "echo $MLFLOW_BACKEND_STORE_URI"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "rosebud\n"
