"""Where things are: settings come from the environment, each with a default in the repository that is worked in."""

from __future__ import annotations

import getpass
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import unquote, urlsplit

from mlops_assets.errors import UsageError
from mlops_assets.storage.database import MLFLOW_SCHEMA, with_driver
from mlops_assets.storage.exported import STORE, USE_CASES, is_alone
from mlops_assets.storage.last_dev import pages_of_dev
from mlops_assets.storage.places import Place, parse_place, quoted
from mlops_assets.storage.project import Project, find_project
from mlops_assets.storage.spellings import check_spelling

PACKAGE = Path(__file__).parent
"""The folder of the installed package."""

ENGINES = ("auto", "local", "spark", "runs", "pipes")
"""What runs the shards of a day, by name: `work.engines` knows what each is."""

CODE_LOCATION = "mlops_assets"
"""What Dagster calls our code location; `workspace.yaml`, `pyproject.toml` and the stack say the same."""

SQLITE = "sqlite:///"

OWN_USE_CASES = PACKAGE / "defs"
"""The use cases that come with the package."""

OWN_HOME = "~/.mlops"
"""Where state lies if the package is installed, and no repository of use cases is worked in."""


def _checkout() -> Path | None:
    """The folder above the package, if it is our repository; where packages are installed, it is any folder."""
    file = PACKAGE.parent / "pyproject.toml"
    is_ours = file.is_file() and 'name = "mlops-assets"' in file.read_text(encoding="utf-8", errors="replace")
    return PACKAGE.parent if is_ours else None


CHECKOUT = _checkout()
"""The repository of the package; None where it is installed without one."""


@dataclass(frozen=True)
class Settings:
    """The places and limits one process works with.

    Attributes
    ----------
    home
        Folder of all state: lake, MLflow's and Dagster's storage (`MLOPS_HOME`).
    raw
        Folder or `s3://bucket/prefix` of the raw files (`MLOPS_RAW`), by default `raw` in `home`.
    lake
        Folder or `s3://bucket/prefix` of the tables (`MLOPS_LAKE`), by default `lake` in `home`.
    tracking_uri
        Address of MLflow's store (`MLFLOW_TRACKING_URI`), by default a SQLite file in `home`.
    artifacts
        Folder or `s3://bucket/prefix` of MLflow's artifacts (`MLOPS_ARTIFACTS`), by default in `home`; None where an
        MLflow server decides on it.
    database
        URL of the PostgreSQL that holds Dagster's storage and MLflow's tables (`MLOPS_DATABASE_URL`); empty by default,
        which is SQLite in `home`.
    use_cases
        Folders that hold one folder per use case: the package's own, and the one that `MLOPS_USE_CASES` names. In a
        repository of use cases, its own, and those of the package only if it asks for them.
    workers
        Processes that work on shards (`MLOPS_WORKERS`), by default the number of cores.
    engine
        One of `ENGINES` (`MLOPS_ENGINE`): overrules `scale.engine` of the use cases; empty by default.
    user
        Who changes the champion or a published day (`MLOPS_USER`), by default the user of the system.
    prices
        A table of prices of one's own (`MLOPS_PRICES`); by default that of the package.
    spark_master
        Spark's cluster (`MLOPS_SPARK_MASTER`), such as `spark://host:7077`; by default `local[WORKERS]`.
    alert_url
        The webhook that is told of failed runs and red checks (`MLOPS_ALERT_URL`); a secret, empty by default.
    heartbeat_url
        The address that is asked every minute, so that a dead daemon is noticed outside (`MLOPS_HEARTBEAT_URL`); a
        secret, empty by default.
    refresh_secret
        What signs the calls that make the API look for another champion (`MLOPS_REFRESH_SECRET`); a secret, empty by
        default: then none is taken.
    dagster_url
        Where Dagster's webserver answers, of which the API asks for runs (`MLOPS_DAGSTER_URL`), by default that of the
        last `mlops-assets dev` of the home, or `http://127.0.0.1:3000`.
    dagster_pages
        Where people open Dagster's pages, for links (`MLOPS_DAGSTER_PAGES`); empty by default, which is `dagster_url`.
    project
        The repository of use cases that is worked in (`MLOPS_PROJECT`), by default the one of the current folder; None
        if there is none.
    api_pages
        Where people open the API and its pages, for links from Dagster's (`MLOPS_API_PAGES`), by default those of the
        last `mlops-assets dev` of the home, or `http://127.0.0.1:8000`.
    """

    home: Path
    raw: Place
    lake: Place
    tracking_uri: str = field(repr=False)
    artifacts: Place | None
    use_cases: tuple[Path, ...]
    workers: int
    engine: str = ""
    prices: Path | None = None
    spark_master: str = "local[1]"
    user: str = "somebody"
    alert_url: str = field(default="", repr=False)
    heartbeat_url: str = field(default="", repr=False)
    refresh_secret: str = field(default="", repr=False)
    database: str = field(default="", repr=False)
    dagster_url: str = "http://127.0.0.1:3000"
    dagster_pages: str = ""
    api_pages: str = "http://127.0.0.1:8000"
    project: Project | None = None

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the settings.

        Raises
        ------
        UsageError
            If a setting is not what it must be.
        """
        workers = _workers()
        database = _database()
        project = find_project(_variable("MLOPS_PROJECT"))
        home = _folder("MLOPS_HOME", project.home if project else CHECKOUT / ".mlops" if CHECKOUT else OWN_HOME)
        if is_alone(home):
            return cls._alone(home, workers)
        lake = _place("MLOPS_LAKE", home / "lake")
        for variable, place in (("MLOPS_HOME", home), ("MLOPS_LAKE", lake)):
            check_spelling(variable, place)
        own = _mlflow_in(database) if database else sqlite_url(home / "mlflow" / "mlflow.db")
        tracking_uri = _variable("MLFLOW_TRACKING_URI", own)
        # a server of MLflow says itself where artifacts lie
        served = tracking_uri.startswith("http") and not _variable("MLOPS_ARTIFACTS")
        dev = pages_of_dev(_dagster_home(home))
        return cls(
            home=home,
            raw=_place("MLOPS_RAW", home / "raw"),
            lake=lake,
            tracking_uri=tracking_uri,
            artifacts=None if served else _place("MLOPS_ARTIFACTS", home / "mlflow" / "artifacts"),
            use_cases=_use_cases(project),
            workers=workers,
            engine=_engine(),
            prices=_folder("MLOPS_PRICES", home) if _variable("MLOPS_PRICES") else None,
            user=_variable("MLOPS_USER") or getpass.getuser(),
            spark_master=_variable("MLOPS_SPARK_MASTER", f"local[{workers}]"),
            alert_url=_variable("MLOPS_ALERT_URL"),
            heartbeat_url=_variable("MLOPS_HEARTBEAT_URL"),
            refresh_secret=_variable("MLOPS_REFRESH_SECRET"),
            database=database,
            dagster_url=_address("MLOPS_DAGSTER_URL", dev.get("dagster", cls.dagster_url)),
            api_pages=_address("MLOPS_API_PAGES", dev.get("api", cls.api_pages)),
            dagster_pages=_address("MLOPS_DAGSTER_PAGES", cls.dagster_url) if _variable("MLOPS_DAGSTER_PAGES") else "",
            project=project,
        )

    @classmethod
    def _alone(cls, home: Path, workers: int) -> Settings:
        """Those of a version by itself: what it has lies in the home, and other places do not count."""
        user = _variable("MLOPS_USER") or "somebody"  # a container may have no name for its user
        return cls(
            home=home,
            raw=home / "raw",
            lake=home / "lake",
            tracking_uri=STORE,
            artifacts=None,
            use_cases=(home / USE_CASES,),
            workers=workers,
            user=user,
        )

    @property
    def alone(self) -> bool:
        """Whether the home is a version by itself, which has no tables, no MLflow and no Dagster."""
        return self.tracking_uri == STORE

    @property
    def has_registry(self) -> bool:
        """Whether MLflow's store may hold anything; asking an absent SQLite file would make one."""
        return not self.alone and (self.sqlite_file is None or self.sqlite_file.exists())

    @property
    def sqlite_file(self) -> Path | None:
        """The file of MLflow's store, if it is one of SQLite."""
        if not self.tracking_uri.startswith(SQLITE):
            return None
        return Path(unquote(self.tracking_uri.removeprefix(SQLITE).partition("?")[0]))

    @property
    def tracks_in_database(self) -> bool:
        """Whether MLflow's tables lie in the PostgreSQL of `database`."""
        return bool(self.database) and self.tracking_uri == _mlflow_in(self.database)

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's storage and of its `dagster.yaml` (`DAGSTER_HOME`)."""
        return _dagster_home(self.home)

    @property
    def dagster_yaml(self) -> Path:
        """What Dagster's home is made with: that of the repository of use cases, if it has one, or of the package."""
        own = self.project.folder / "dagster.yaml" if self.project else PACKAGE
        return own if own.is_file() else PACKAGE / "dagster.yaml"

    @property
    def wanted_reload(self) -> Path:
        """File that is there while the code location is to be loaded again: days lie before those that are drawn."""
        return self.dagster_home / "reload"


def cache_folder(kind: str) -> Path:
    """Where a worker keeps copies of what the driver has: below `MLOPS_HOME`, else among its temporary files.

    Parameters
    ----------
    kind
        Name of the folder in it.

    Raises
    ------
    UsageError
        If it belongs to somebody else, who could put other files there.
    """
    home = _variable("MLOPS_HOME")
    folder = _folder("MLOPS_HOME", "") / "cache" if home else Path(gettempdir()) / f"mlops_assets-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UsageError(f"{folder}: others may write there; set MLOPS_HOME to a folder of this account.")
    return folder / kind


def _dagster_home(home: Path) -> Path:
    return _folder("DAGSTER_HOME", home / "dagster")


def sqlite_url(file: Path) -> str:
    """The URL of a file of SQLite."""
    return SQLITE + quoted(str(file))


def _variable(name: str, default: str | Path = "") -> str:
    """What the environment says; empty counts as unset, as `docker compose` passes on what nobody has set."""
    return os.environ.get(name) or str(default)


def _place(variable: str, default: Path) -> Place:
    try:
        return parse_place(_variable(variable, default))
    except UsageError as error:
        raise UsageError(f"{variable}={error}") from None


def _folder(variable: str, default: str | Path) -> Path:
    value = _variable(variable, default)
    if "://" in value:
        raise UsageError(f"{variable}={value}: name a folder of this machine.")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:  # an account without a folder
        raise UsageError(f"{variable}: this account has no home folder; name one of your own.") from None


def _use_cases(project: Project | None) -> tuple[Path, ...]:
    own = [OWN_USE_CASES] if project is None or project.examples else []
    if _variable("MLOPS_USE_CASES"):
        return (*own, _folder("MLOPS_USE_CASES", ""))
    return (*own, *([project.use_cases] if project else []))


def _address(variable: str, default: str) -> str:
    """The address of a server, without a `/` at its end."""
    address = _variable(variable, default)
    found = urlsplit(address)
    if found.scheme not in ("http", "https") or not found.hostname or "@" in found.netloc or found.query:
        raise UsageError(f"{variable}: give the address of a server without a password, such as {default}.")
    return address.rstrip("/")


def _workers() -> int:
    text = _variable("MLOPS_WORKERS", str(os.cpu_count() or 1))
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"MLOPS_WORKERS={text}: give a whole number of at least 1, such as 2.")
    return int(text)


def _engine() -> str:
    name = _variable("MLOPS_ENGINE")
    if name not in ("", *ENGINES):
        raise UsageError(f"MLOPS_ENGINE={name}: give {', '.join(ENGINES[:-1])} or {ENGINES[-1]}.")
    return name


def _database() -> str:
    url = with_driver(_variable("MLOPS_DATABASE_URL"))
    if url and not url.startswith("postgresql+psycopg2://"):
        raise UsageError("MLOPS_DATABASE_URL must look like postgresql://user:password@host/database.")
    return url


def _mlflow_in(database: str) -> str:
    """The same database with MLflow's schema as the default one."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(database)
    except (ArgumentError, ValueError):
        raise UsageError("MLOPS_DATABASE_URL must look like postgresql://user:password@host/database.") from None
    options = f"{url.query.get('options', '')} -csearch_path={MLFLOW_SCHEMA}".strip()
    return url.update_query_dict({"options": options}).render_as_string(hide_password=False)
