"""The secrets of docker-compose.yml, a file each: `python -m deploy.new_secrets [FOLDER]`, or `make secrets`.

The folder is closed to others, its files are not: Docker lays each file into the containers that need it, whose users
are other ones than here.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.images import ROOT

FOLDER = ROOT / ".secrets"
ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]  # what SeaweedFS lets whoever has the keys do


def of_store(access_key: str, secret_key: str) -> dict[str, str]:
    """The keys of the S3 store, and what SeaweedFS is told of who has them.

    Parameters
    ----------
    access_key, secret_key
        The keys.
    """
    user: dict[str, Any] = {"name": "mlops", "actions": ACTIONS}
    user["credentials"] = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"s3_access_key": access_key, "s3_secret_key": secret_key, "s3_users": json.dumps({"identities": [user]})}


def of_database(password: str, address: str = "postgres:5432") -> dict[str, str]:
    """The password of PostgreSQL, and the addresses that hold it.

    Parameters
    ----------
    password
        The password, of letters and digits.
    address
        Host and port.
    """
    url = f"postgresql+psycopg2://mlops:{password}@{address}/mlops"
    # MLflow's tables lie in a schema of their own, for both it and Dagster have a table `runs`
    mlflow = f"{url}?options=-csearch_path%3Dmlflow"
    return {"postgres_password": password, "database_url": url, "mlflow_database_url": mlflow}


def write(folder: Path, values: Mapping[str, str], mode: int = 0o444) -> list[str]:
    """Write secrets that are not there yet; their names.

    Parameters
    ----------
    folder
        Where they lie.
    values
        The secrets by name.
    mode
        Of the files.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # before there is a secret in it
    made = []
    for name, value in values.items():
        path = folder / name
        if path.exists():
            continue
        beside = path.with_name(f".{name}.new")
        beside.write_text(value + "\n", encoding="utf-8")
        beside.chmod(mode)
        beside.rename(path)  # whole, or not there
        made.append(name)
    return made


def main(arguments: list[str]) -> int:
    """Make what is missing, and say so; 2 where it was called wrongly.

    Parameters
    ----------
    arguments
        The folder, or nothing.
    """
    if len(arguments) > 1 or any(one.startswith("-") for one in arguments):
        print("Usage: python -m deploy.new_secrets [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).absolute() if arguments else FOLDER
    groups = (
        of_database(secrets.token_hex(24)),
        of_store(secrets.token_hex(12), secrets.token_hex(24)),
        {"notebook_token": secrets.token_hex(24)},
    )
    for values in groups:  # whole: an address holds a password, and the store's users its keys
        there = [name for name in values if (folder / name).exists()]
        if there and len(there) < len(values):
            missing = ", ".join(name for name in values if name not in there)
            print(
                f"{folder}: {missing} missing beside {', '.join(there)}: bring it back, or remove these",
                file=sys.stderr,
            )
            return 1
        for name in write(folder, values):
            print(f"{folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
