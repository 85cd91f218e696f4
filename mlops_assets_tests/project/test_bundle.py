"""The archive for platforms without an image: the same bytes of the same files, and a start that trusts nothing else.

The whole of it, made and run where nothing else is, is a long test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from deploy.bundle import pack
from mlops_assets_tests.helpers import jobs
from mlops_assets_tests.helpers.paths import ROOT
from mlops_assets_tests.helpers.shop import Shop

ENTRY = ROOT / "deploy" / "entry.py"
JOB = """
import os, sys
print("job", *sys.argv[1:], os.environ.get("MLOPS_LAKE"), os.environ.get("DAGSTER_PIPES_CONTEXT"))
print(*os.listdir(os.environ["MLOPS_USE_CASES"]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """What a bundle is made of, in small: an interpreter that is this one, and a module `mlops_assets.job`."""
    folder = tmp_path / "environment"
    modules = folder / "modules" / "mlops_assets"
    modules.mkdir(parents=True)
    (modules / "__init__.py").touch()
    (modules / "job.py").write_text(JOB)
    (folder / "use_cases" / "shop").mkdir(parents=True)
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="$(dirname "$0")/../modules" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


def start(tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a platform starts, as a process of its own."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    told = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path / "tmp"), **variables}
    command = [sys.executable, "-I", str(ENTRY), *words]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False, cwd=tmp_path)


def test_the_same_files_make_the_same_bytes_and_their_hash_is_the_name(environment: Path, tmp_path: Path) -> None:
    first = pack(environment, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(environment, copy)
    os.utime(copy / "bin" / "python", (0, 0))
    (copy / "bin" / "python").chmod(0o700)  # as another umask has it
    content = first.read_bytes()
    first.unlink()
    assert pack(copy, tmp_path) == first
    assert first.read_bytes() == content
    assert first.name == f"mlops-assets-{sha256(content).hexdigest()}.tar.gz"
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_an_archive_tells_nobody_who_made_it_and_when(environment: Path, tmp_path: Path) -> None:
    with tarfile.open(pack(environment, tmp_path)) as archive:
        entries = archive.getmembers()
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in entries} == {(0, 0, "", "", 315_532_800)}
    assert [one.name for one in entries] == sorted(one.name for one in entries)


def test_a_platform_starts_a_job_of_a_bundle(environment: Path, tmp_path: Path) -> None:
    bundle = str(pack(environment, tmp_path))
    words = ["--bundle", bundle, "--variable", "MLOPS_LAKE=s3://a b", "--job", "shop --day 2026-01-01"]
    pipes = ["--dagster-pipes-context", "c0"]
    done = start(tmp_path, "--JOB_NAME", "x", *words, *pipes, "--variables", "A=1 'B=2 3'")
    assert done.stdout == "job shop --day 2026-01-01 s3://a b c0\nshop\n", done.stderr
    assert start(tmp_path, *words).stdout == "job shop --day 2026-01-01 s3://a b None\nshop\n"  # unpacked before
    assert len([*(tmp_path / "tmp").iterdir()]) == 1


def test_a_bundle_that_is_not_what_its_name_says_starts_nothing(environment: Path, tmp_path: Path) -> None:
    bundle = pack(environment, tmp_path)
    bundle.write_bytes(bundle.read_bytes()[:-1])
    done = start(tmp_path, "--bundle", str(bundle), "--job", "shop --day 2026-01-01")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"Error: {bundle.name} has not the content that its name says; fetch it anew, or make it anew.\n"
    )


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="an older Python takes what is in an archive")
def test_an_archive_that_would_write_outside_of_its_folder_is_not_unpacked(environment: Path, tmp_path: Path) -> None:
    (environment / "out").symlink_to("/etc")
    done = start(tmp_path, "--bundle", str(pack(environment, tmp_path)), "--job", "shop --day 2026-01-01")
    assert done.returncode == 2
    assert re.fullmatch(
        r"Error: mlops-assets-\w+\.tar\.gz cannot be unpacked in \S+: 'out' is a link to .*\n", done.stderr
    )
    assert [*(tmp_path / "tmp").iterdir()] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--secret", "A=password"], "the secret of A is named by no ARN of Secrets Manager or of an SSM parameter."),
        (["--variable", "A"], "'A' is no NAME=VALUE."),
        (["--bundle", "nowhere.tar.gz"], "there is no bundle nowhere.tar.gz."),
        (["--bundle", "s3://bank"], "s3://bank is no bundle: its name ends with `.tar.gz`."),
        (["--variables", "A='b"], "No closing quotation"),
        (["--variable", "=b"], "'' is no NAME=VALUE."),
    ],
    ids=["secret", "variable", "bundle", "bucket", "quote", "no name"],
)
def test_a_start_that_fails_says_so_in_a_sentence(words: list[str], told: str, tmp_path: Path) -> None:
    done = start(tmp_path, *words, "--job", "shop --day 2026-01-01")
    assert (done.returncode, done.stderr) == (2, f"Error: {told}\n")


def test_a_secret_is_fetched_by_the_role_of_the_job_and_stands_in_no_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from moto import mock_aws

    from deploy.entry import Failed, fetch_secret

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with mock_aws():
        region = "eu-central-1"
        kept = boto3.client("secretsmanager", region_name=region).create_secret(Name="db", SecretString="tulip")
        boto3.client("ssm", region_name=region).put_parameter(Name="/bank/db", Value="rose", Type="SecureString")
        assert fetch_secret("A", kept["ARN"]) == "tulip"
        assert fetch_secret("A", f"arn:aws:ssm:{region}:123456789012:parameter/bank/db") == "rose"
        with pytest.raises(Failed, match=r"the secret of A cannot be fetched: ParameterNotFound\. Let the role"):
            fetch_secret("A", f"arn:aws:ssm:{region}:123456789012:parameter/bank/none")


LOADER = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
"""All that a system has to bring, beside `/proc`, a few devices and a temporary folder."""


def empty_root(root: Path) -> None:
    """A system with the C library and nothing else."""
    for place in ("proc", "tmp", "dev/shm", "job"):
        (root / place).mkdir(parents=True)
    for name in (*LOADER, "libresolv.so.2", "libutil.so.1"):
        found = next(path for path in (Path("/lib64", name), Path("/lib/x86_64-linux-gnu", name)) if path.exists())
        there = Path(f"{root}{found}")  # where its loader looks: a cache of libraries there is none
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(found, there)
    for name in ("null", "urandom"):
        (root / "dev" / name).touch()


def in_root(root: Path, shop: Shop, words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in that system, which has the folder of a shop under its own name."""
    shared = f"{root}{shop.home.parent}"
    Path(shared).mkdir(parents=True)
    mounts = [
        f"mount --rbind {shop.home.parent} {shared}",
        f"mount -t proc proc {root}/proc",
        *(f"mount --bind /dev/{name} {root}/dev/{name}" for name in ("null", "urandom")),
        f"mount -t tmpfs tmpfs {root}/dev/shm",
        f"exec chroot {root} {words}",
    ]
    told = {**shop.environment, "MLOPS_USER": "somebody", "HOME": "/tmp"}
    return subprocess.run(
        ["/usr/bin/unshare", "--mount", "--pid", "--net", "--fork", "/bin/sh", "-ec", "\n".join(mounts)],
        env={**told, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or os.uname().machine != "x86_64", reason="an empty root is root's, on x86-64")
def test_a_bundle_does_a_day_where_nothing_is_installed_and_is_made_the_same_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dist = tmp_path / "dist"
    make = [sys.executable, "-m", "deploy.bundle", str(dist)]
    told = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with capsys.disabled():
        print(told)  # noqa: T201 - what was measured
    (archive,) = dist.glob("*.tar.gz")
    assert re.match(rf"{archive.name}: \d+ MB, unpacked [\d,]+ MB,\nmade in \d+ s; it runs on x86_64 Linux", told)
    assert archive.with_name(archive.name.replace(".tar.gz", ".py")).read_text() == ENTRY.read_text()
    shop = jobs.make(tmp_path / "made")
    root = tmp_path / "root"
    empty_root(root)
    with tarfile.open(archive) as packed:
        packed.extractall(root / "job", filter="tar")
    done = in_root(root, shop, f"/job/bin/python -m mlops_assets.job visits --day {jobs.SECOND}")
    assert done.returncode == 0, done.stderr
    there = jobs.state(shop, jobs.SECOND)
    assert there["predictions"][1]["rows"] > 0
    # the same code here finds all of it done
    again = jobs.give_job(shop, jobs.SECOND)
    assert "0 of 4 shards done anew" in again.err
    assert jobs.state(shop, jobs.SECOND) == there
    shutil.rmtree(root)
    name = archive.name
    archive.unlink()
    subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [one.name for one in dist.glob("*.tar.gz")] == [name]
