"""Starts the job of a day where a platform runs a script: Spark's driver on EMR, a job of Glue.

Written to run by any Python from 3.9 on, with nothing but boto3, and that only where it is used:

    mlops-assets-<SHA-256>.py [--bundle s3://...] [--variable NAME=VALUE] [--secret NAME=ARN] --job "USE_CASE --day D"

With `--bundle` the archive is fetched, compared with the hash in its name and unpacked, once a machine; the job is then
a process of its interpreter. Without, this is that interpreter already: Spark unpacks the archive itself. A secret is
fetched of Secrets Manager or of SSM's parameters, by the role of the job. What a platform adds is passed over.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import runpy
import shlex
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

PIPES = ("--dagster-pipes-context", "--dagster-pipes-messages")
"""What Dagster Pipes gives a job by its arguments, where a platform passes no environment on."""


def main(arguments: list[str]) -> int:
    """Set up what the job needs, and become it.

    Parameters
    ----------
    arguments
        Those of the command line. A platform may add some of its own, which are passed over.
    """
    parser = argparse.ArgumentParser(prog="entry", allow_abbrev=False)
    parser.add_argument("--bundle", default="", help="archive that is fetched and unpacked first")
    parser.add_argument("--variable", action="append", default=[], help="NAME=VALUE of the job's environment")
    parser.add_argument("--secret", action="append", default=[], help="NAME=ARN of one that is fetched")
    parser.add_argument(
        "--variables", default="", help="several, as words of a shell; for Glue, which takes a name once"
    )
    parser.add_argument("--secrets", default="", help="several")
    parser.add_argument(
        "--job", required=True, help="what the job is asked for, such as `transactions --day 2026-01-01`"
    )
    for name in PIPES:
        parser.add_argument(name, default="")
    asked, _ = parser.parse_known_args(arguments)
    try:
        os.environ.update(split(word) for word in [*asked.variable, *shlex.split(asked.variables)])
        for word in [*asked.secret, *shlex.split(asked.secrets)]:
            name, reference = split(word)
            os.environ[name] = fetch_secret(name, reference)
        for name in PIPES:
            value = getattr(asked, name[2:].replace("-", "_"))
            if value:
                os.environ[name[2:].replace("-", "_").upper()] = value
        words = ["-m", "mlops_assets.job", *shlex.split(asked.job)]
        if asked.bundle:
            environment = unpack(fetch(asked.bundle))
            use_cases_of(environment)
            python = environment / "bin" / "python"
            sys.stdout.flush()
            os.execv(python, [str(python), *words])  # noqa: S606 - this process becomes the job
    except (Failed, OSError, ValueError) as error:  # of a system that has no room, of words that are none
        print(f"Error: {error}", file=sys.stderr)
        return 2
    use_cases_of(Path(sys.prefix))
    sys.argv = ["mlops_assets.job", *words[2:]]
    runpy.run_module("mlops_assets.job", run_name="__main__", alter_sys=True)
    return 0


class Failed(Exception):
    """What keeps the job from its beginning, in a sentence for people."""


def split(word: str) -> tuple[str, str]:
    """Name and value of `NAME=VALUE`."""
    name, sign, value = word.partition("=")
    if not sign or not name.isidentifier():
        raise Failed(f"{name!r} is no NAME=VALUE.")
    return name, value


def use_cases_of(environment: Path) -> None:
    """Have the job find the use cases that a bundle brings beside those of the package."""
    if (environment / "use_cases").is_dir():
        os.environ.setdefault("MLOPS_USE_CASES", str(environment / "use_cases"))


def fetch_secret(name: str, arn: str) -> str:
    """The value of a secret, by the role of this machine.

    Parameters
    ----------
    name
        The variable that wants it, for messages.
    arn
        `arn:aws:secretsmanager:...` or `arn:aws:ssm:...:parameter/...`.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parts = arn.split(":", 5)
    try:
        if len(parts) == 6 and parts[2] == "secretsmanager":
            client = boto3.client("secretsmanager", region_name=parts[3])
            return str(client.get_secret_value(SecretId=arn)["SecretString"])
        if len(parts) == 6 and parts[2] == "ssm":
            client = boto3.client("ssm", region_name=parts[3])
            wanted = parts[5].removeprefix("parameter")
            return str(client.get_parameter(Name=wanted, WithDecryption=True)["Parameter"]["Value"])
    except (BotoCoreError, ClientError, KeyError) as error:
        raise Failed(
            f"the secret of {name} cannot be fetched: {reason(error)}. Let the role of the job read it."
        ) from None
    raise Failed(f"the secret of {name} is named by no ARN of Secrets Manager or of an SSM parameter.")


def reason(error: Exception) -> str:
    """What AWS says, in a word: its messages name accounts and roles."""
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def fetch(place: str) -> Path:
    """The archive as a file of this machine.

    Parameters
    ----------
    place
        `s3://bucket/key`, or a path.
    """
    if not place.startswith("s3://"):
        return Path(place)
    bucket, _, key = place[len("s3://") :].partition("/")
    if not key.endswith(".tar.gz"):
        raise Failed(f"{place} is no bundle: its name ends with `.tar.gz`.")
    file = Path(tempfile.gettempdir()) / Path(key).name
    if file.is_file() and is_whole(file):
        return file
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    arriving = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        boto3.client("s3", endpoint_url=os.environ.get("S3_ENDPOINT_URL") or None).download_file(
            bucket, key, str(arriving)
        )
        arriving.replace(file)
    except (BotoCoreError, ClientError) as error:
        raise Failed(f"{place} cannot be fetched: {reason(error)}. Let the role of the job read it.") from None
    finally:
        arriving.unlink() if arriving.exists() else None
    return file


def is_whole(archive: Path) -> bool:
    """Whether an archive has the bytes that its name says."""
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return archive.name == f"mlops-assets-{digest.hexdigest()}.tar.gz"


def unpack(archive: Path) -> Path:
    """The folder that an archive is unpacked to; nothing stands under its name before it is whole."""
    if not archive.is_file():
        raise Failed(f"there is no bundle {archive.name}.")
    if not is_whole(archive):
        raise Failed(f"{archive.name} has not the content that its name says; fetch it anew, or make it anew.")
    folder = Path(tempfile.gettempdir()) / archive.name[: -len(".tar.gz")]
    if folder.exists():
        if folder.stat().st_uid != os.getuid():
            raise Failed(f"{folder.name} in the temporary folder belongs to somebody else.")
        return folder
    arriving = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".bundle-"))
    try:
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):  # Pythons of before 2023 have none
                packed.extraction_filter = tarfile.data_filter
            packed.extractall(arriving)  # noqa: S202 - its content is what its name says
        arriving.chmod(0o755)
        if not folder.exists():  # else another job of this machine was first
            arriving.rename(folder)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise Failed(f"{archive.name} cannot be unpacked in {folder.parent}: {error}.") from None
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
