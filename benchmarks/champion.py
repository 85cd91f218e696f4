"""Trains the one champion that all ways use, our own way, and keeps it in the work folder."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data import SEED
from benchmarks.peers import ours
from mlops_assets.journey.model.registry import Registry
from mlops_assets.journey.model.version import REFERENCE_FILE
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.settings import Settings
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase
from mlops_assets.work.code import code_fingerprint
from mlops_assets.workspace import Workspace

CANDIDATE = "vote"
"""The champion of `transactions` on the real rows."""


@dataclass(frozen=True)
class Champion:
    """The trained home and the model in it.

    Attributes
    ----------
    home
        `MLOPS_HOME` after the training.
    model, sha256
        Folder and hash of the model that makes predictions.
    about
        Its name and the number of rows it learned from, for the page.
    """

    home: Path
    model: Path
    sha256: str
    about: dict[str, str | int]


def train(use_case: UseCase, folder: Path, before: dt.date, days: int, files: int) -> Champion:
    """Train on labelled sample days, unless the folder has a champion of the same configuration already.

    Parameters
    ----------
    use_case
        The use case.
    folder
        The work folder.
    before
        The day to be scored; the labelled days end the day before.
    days, files
        Number of days, and of files on each.
    """
    home, raw = folder / "home", folder / "labelled"
    trained = home / "trained"
    mark = f"{use_case.contract_fingerprint} {use_case.training} {use_case.features_sql} {days} {files}\n"
    mark += code_fingerprint("mlops_assets.journey.train.candidates")
    if not trained.exists() or trained.read_text(encoding="utf-8") != mark:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(raw, ignore_errors=True)
        for ago in range(days, 0, -1):
            day = before - dt.timedelta(days=ago)
            for _ in write_sample(use_case, raw, day, files, 50, 0.0, SEED):
                pass
        environment = ours.environment(str(home), str(raw), 2)
        subprocess.run([ours.command(), "run", use_case.name, "--train"], env=environment, check=True)
        _enthrone(use_case, home)
        trained.write_text(mark, encoding="utf-8")
    return champion_of(use_case, home)


def _enthrone(use_case: UseCase, home: Path) -> None:
    """Make the candidate champion that wins on the real rows; on sample rows a cheaper one may be ahead by chance."""
    stores = workspace_of(home).of(use_case)
    registry, winner, found = stores.registry, stores.champion(), stores.runs.newest(Evaluation)
    if found is None or winner is None or winner.about.candidate == CANDIDATE:
        return
    chosen = next(one for one in found.candidates if one.name == CANDIDATE)
    run = registry.client().create_run(registry.experiment(use_case.name)).info.run_id
    with TemporaryDirectory() as folder:
        for name in ("serving", "judged"):
            shutil.copytree(chosen.folder, Path(folder) / name)
        # of the same rows, so that days are watched; its answers are the winner's
        shutil.copy2(winner.folder / REFERENCE_FILE, folder)
        about = replace(winner.details(), candidate=CANDIDATE)
        version = registry.register(use_case.name, run, Path(folder), about)
    registry.promote(version, "benchmark", "the candidate that wins on the real rows")


def champion_of(use_case: UseCase, home: Path) -> Champion:
    """The champion in a home.

    Parameters
    ----------
    use_case
        The use case.
    home
        The home.
    """
    version = workspace_of(home).of(use_case).champion()
    if version is None:
        raise SystemExit("The gate refused every model: there is nothing to measure with. Use more labelled files.")
    about = {"candidate": version.about.candidate, "rows": version.about.rows}
    return Champion(home, version.folder / "serving", version.serving_sha256, about)


def workspace_of(home: Path) -> Workspace:
    """Where a run works that keeps all its state in a home."""
    mlflow = home / "mlflow"
    uri, artifacts = f"sqlite:///{mlflow / 'mlflow.db'}", mlflow / "artifacts"
    settings = Settings.from_environment()
    return Workspace(replace(settings, home=home, lake=home / "lake", tracking_uri=uri, artifacts=artifacts))


def fresh_home(champion: Champion, place: Path) -> None:
    """Make a home that knows the champion and has no tables; the model itself stays where it is.

    With what the lake keeps of the versions of this store, as a home has it that registered them: who finds none asks
    MLflow, whose import takes two CPU seconds.
    """
    leave_out = shutil.ignore_patterns("artifacts", "lake", "trained")
    shutil.copytree(champion.home, place, ignore=leave_out, dirs_exist_ok=True)
    for history in (champion.home / "lake").glob("*/history"):
        shutil.copytree(history, place / history.relative_to(champion.home), dirs_exist_ok=True)
        kept = workspace_of(champion.home), workspace_of(place)
        before, now = (Registry(one.settings).copies(history.parent.name) for one in kept)
        now.keep(before.here())
