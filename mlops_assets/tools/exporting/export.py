"""In: a registered version. Out: a folder that serves it: its model, its use case, the code, and how to start it."""

from __future__ import annotations

import compileall
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from py_compile import PycInvalidationMode

from mlops_assets import __version__
from mlops_assets.errors import UsageError
from mlops_assets.journey.enrich.answers import needed
from mlops_assets.journey.model.fetching import copy_place
from mlops_assets.journey.model.history import History
from mlops_assets.journey.model.registered import Registered, RegisteredVersions
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.version import ABOUT_FILE, Version
from mlops_assets.settings import PACKAGE, Settings
from mlops_assets.storage.catalog import Lake
from mlops_assets.storage.exported import CODE, FORM, MANIFEST, REQUIREMENTS, STORE, USE_CASES, files_of, hash_file
from mlops_assets.storage.files import write_json
from mlops_assets.storage.form import mark_form
from mlops_assets.tools.exporting.modules import own_modules, pins
from mlops_assets.use_case import UseCase, variables
from mlops_assets.workspace import Stores

NO_PART = ("__pycache__", "*.pyc", ".*")
"""What of a folder of code is no code."""

DOCKERFILE = """\
# Serves version {version} of {use_case} and nothing else: docker build -t {use_case}-{version} .
FROM python:{python}-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin mlops
COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps -r /tmp/requirements.txt
COPY . /version
USER 10001
EXPOSE 8000
# a name and a key of your own: docker run --env-file settings.env, with MLOPS_API_KEYS filled in
CMD ["/version/start", "--host", "0.0.0.0"]
"""

START = """\
#!/bin/sh
# Serves this folder; further arguments are those of `mlops-assets serve`. The folder may be read-only.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
export MLOPS_HOME="$here" PYTHONPATH="$here/code${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1
exec "${PYTHON:-python3}" -m mlops_assets.cli serve "$@"
"""

SETTINGS = """\
# What version {version} of {use_case} needs of the environment; docker run --env-file settings.env
# A key for each caller, made by `mlops-assets serve --new-key NAME`; needed wherever others reach the port.
MLOPS_API_KEYS=
# Names under which it is called, such as models.example.org
MLOPS_ALLOWED_HOSTS=localhost,127.0.0.1
"""


@dataclass(frozen=True)
class Export:
    """What came of an export.

    Attributes
    ----------
    folder
        The folder.
    files, size
        How many files it has, and their bytes.
    notes
        What is other than on the platform, each a sentence.
    """

    folder: Path
    files: int
    size: int
    notes: tuple[str, ...]


def export(stores: Stores, number: int, folder: Path) -> Export:
    """Write a version by itself into a folder that is not there yet; killed, nothing is there.

    Parameters
    ----------
    stores
        Of the use case.
    number
        The version.
    folder
        Where to.

    Raises
    ------
    UsageError
        If the folder is there, or the version cannot work alone.
    ModelRefused
        If it is not the one that was registered, or fails its trial.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already, and nothing is overwritten: name another folder.")
    version, use_case = stores.registry.version(stores.use_case.name, number), stores.use_case
    notes = tuple(see_alone(use_case, version.sql()))
    folder.parent.mkdir(parents=True, exist_ok=True)
    # beside its place, so that a rename makes it whole at once; what a killed export left is taken away
    made = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        files = _write(made, stores, version)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    size = sum((folder / name).stat().st_size for name in files)
    return Export(folder, len(files), size, notes)


def _write(made: Path, stores: Stores, version: Version) -> dict[str, str]:
    """Write all of it; the SHA-256 of each file."""
    use_case, number = stores.use_case, version.version
    _write_version(made, stores, version)
    _write_use_case(made, use_case)
    _write_code(made, use_case)
    _write_start(made, use_case, version)
    # tried here, so that the first answer need not wait for it
    copy = replace(version, folder=copy_place(_hashes(version), made))
    Registry(_settings(made, stores.settings)).prove(copy, use_case.training.trusted)
    files = {name: hash_file(made / name) for name in files_of(made)}
    facts = {"form": FORM, "use_case": use_case.name, "version": number, "mlops-assets": __version__}
    write_json(made / MANIFEST, {**facts, "python": platform.python_version(), "files": files})
    for path in [made, *made.rglob("*")]:  # in an image, another user reads it
        path.chmod(0o755 if path.is_dir() or path.name == "start" else 0o644)
    return files


def see_alone(use_case: UseCase, sql: str) -> Iterator[str]:
    """What of a use case is other without the platform.

    Raises
    ------
    UsageError
        If something that the version needs cannot be had without it.
    """
    for name in needed(use_case, sql):
        enrichment = use_case.enrichments[name]
        what = f"The enrichment {name}"
        if enrichment.use == "sql":
            raise UsageError(
                f"{what} asks a database, and a version by itself has none: serve it by `mlops-assets serve`, "
                "or ask by `http`."
            )
        if enrichment.use == "table" and not _lies_beside(use_case, str(enrichment.parameters["file"])):
            raise UsageError(f"{what} reads a file that does not lie beside defs.yaml: put it there, and export again.")
        if enrichment.use == "http":
            yield f"{what} asks a service, which must be reached from there; without an answer its columns are empty."
        if enrichment.missing == "last_known":
            yield f"{what} has no earlier answers here: `last_known` counts as missing."
    if use_case.serving.store:
        yield "Requests are not kept: there is nowhere to keep them."


def _lies_beside(use_case: UseCase, file: str) -> bool:
    folder = use_case.folder
    return "://" not in file and folder is not None and (folder / file).resolve().is_relative_to(folder.resolve())


def _hashes(version: Version) -> list[str]:
    return [*asdict(version.hashes).values()]


def _settings(home: Path, settings: Settings) -> Settings:
    return replace(settings, home=home, lake=home / "lake", tracking_uri=STORE, artifacts=None)


def _write_version(home: Path, stores: Stores, version: Version) -> None:
    """Its model and card under their hashes, and the three documents that say which version it is."""
    place = copy_place(_hashes(version), home)
    assert isinstance(version.folder, Path), "it was fetched to this machine"  # noqa: S101
    shutil.copytree(version.folder / "serving", place / "serving")
    shutil.copy(version.folder / ABOUT_FILE, place / ABOUT_FILE)
    name, number = version.use_case, version.version
    lake = home / "lake"
    tags = {**asdict(version.hashes), "about": version.about.to_json()}
    RegisteredVersions(Lake(lake, name), STORE).keep([Registered(number, STORE, tags)])
    history = History(lake, name)
    history.pin(number, version.hashes)
    why = f"version {number} was exported by itself"
    history.append("promote", number, stores.settings.user, why, version.about.reason, hashes=version.hashes, seen=0)
    mark_form(lake)


def _folder(use_case: UseCase) -> Path:
    if use_case.folder is None:
        raise UsageError(f"{use_case.name} lies in no folder, so there is nothing to write of it.")
    return use_case.folder


def _write_use_case(home: Path, use_case: UseCase) -> None:
    target, ignored = home / USE_CASES / use_case.name, shutil.ignore_patterns(*NO_PART)
    shutil.copytree(_folder(use_case), target, ignore=ignored, ignore_dangling_symlinks=True)


def _write_code(home: Path, use_case: UseCase) -> None:
    """The package without its other use cases, and modules of the use case's own."""
    code, ignored = home / CODE, shutil.ignore_patterns(*NO_PART)
    shutil.copytree(PACKAGE, code / PACKAGE.name, ignore=shutil.ignore_patterns(*NO_PART, "defs"))
    defs = code / PACKAGE.name / "defs"
    defs.mkdir()
    shutil.copy(PACKAGE / "defs" / "__init__.py", defs)
    if use_case.folder == PACKAGE / "defs" / use_case.name:
        shutil.copytree(_folder(use_case), defs / use_case.name, ignore=ignored, ignore_dangling_symlinks=True)
    for name, place in own_modules(use_case.written).items():
        if place.is_dir():
            shutil.copytree(place, code / name, ignore=ignored, ignore_dangling_symlinks=True)
        else:
            shutil.copy(place, code / place.name)
    # in the manifest like all else: a start from a read-only folder would compile all of it anew
    compileall.compile_dir(code, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def _write_start(home: Path, use_case: UseCase, version: Version) -> None:
    about = {"use_case": use_case.name, "version": version.version, "python": platform.python_version()}
    needs = "".join(f"{name}=\n" for name in sorted(variables(use_case.written)))
    texts = {
        "Dockerfile": DOCKERFILE.format(**about),
        "start": START,
        "settings.env": SETTINGS.format(**about) + needs,
        REQUIREMENTS: "\n".join([*pins(use_case.written, version.libraries()), ""]),
    }
    for name, text in texts.items():
        (home / name).write_text(text, encoding="utf-8")
