"""Before its first shard, a process elsewhere takes one's own modules, compares its code, and reads what it must."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.errors import UsageError
from mlops_assets.storage.places import Place, S3Path
from mlops_assets.work.code import code_fingerprint, forget
from mlops_assets.work.engines import contact as contacts
from mlops_assets.work.engines.contact import VARIABLES, Contact
from mlops_assets.work.shards import Needs
from mlops_assets_tests.helpers.paths import ROOT

HOST = socket.gethostname()

WORKER = """
import json, pickle, sys
from pathlib import Path
from mlops_assets.errors import MlopsError
contact, task = pickle.loads(Path(sys.argv[1]).read_bytes())
try:
    contact.settle()
    said = pickle.loads(task)()
except MlopsError as error:
    said = str(error)
print(json.dumps(said))
"""


def ask_worker(folder: Path, contact: Contact, task: object = list, path: Path = ROOT, **told: str) -> object:
    """What a process says that has nothing of this one's environment."""
    (folder / "contact.pickle").write_bytes(pickle.dumps((contact, pickle.dumps(task))))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(path), "MLOPS_HOME": str(folder / "worker"), **told}
    command = [sys.executable, "-c", WORKER, str(folder / "contact.pickle")]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package of one's own, on the path of the driver alone."""
    folder = tmp_path / "own"
    for name, text in {
        "carried_shop/reading.py": "from carried_shop.units import DOZEN\ndef say(): return DOZEN\n",
        "carried_shop/units.py": "DOZEN = 12\n",
        "carried_shop/later.py": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    forget()
    return folder


def test_a_worker_with_the_same_code_that_can_read_the_places_is_settled(tmp_path: Path) -> None:
    assert ask_worker(tmp_path, Contact.of(Needs(("mlops_assets.work.syntax",), (tmp_path,)))) == []


def test_a_worker_with_other_code_is_refused_with_both_fingerprints_and_what_differs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mlops_assets", tmp_path / "older" / "mlops_assets")
    with (tmp_path / "older" / "mlops_assets" / "work" / "syntax.py").open("a") as file:
        file.write("OTHER = 1\n")
    roots = ("mlops_assets.work.syntax",)
    said = str(ask_worker(tmp_path, Contact.of(Needs(roots)), path=tmp_path / "older"))
    assert said.startswith(f"The worker on {HOST} has other code (")
    assert f"than the driver ({code_fingerprint(*roots)}), so it was given no shards" in said
    assert "they differ in mlops_assets.work.syntax. Install the same release of mlops-assets" in said


def test_packages_of_ones_own_go_along_whole_and_are_kept_under_their_hash(tmp_path: Path, own: Path) -> None:
    from carried_shop.reading import say  # type: ignore[import-not-found]

    contact = Contact.of(Needs(("carried_shop.reading",)))
    assert ask_worker(tmp_path, contact, say) == 12
    kept = tmp_path / "worker" / "cache" / "modules" / f"{contact.sha256}.zip"
    assert kept.read_bytes() == contact.modules == Contact.of(Needs(("carried_shop.reading",))).modules

    kept.write_bytes(b"something else")
    assert ask_worker(tmp_path, contact, say) == 12
    assert kept.read_bytes() == contact.modules


def test_too_much_of_ones_own_is_told_to_the_driver(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "carried_shop" / "large.py").write_text("#" * (contacts.LARGEST_MODULES + 1))
    with pytest.raises(UsageError, match=r"^carried_shop: these modules have more than 16 MB, .* install them there"):
        Contact.of(Needs(("carried_shop.reading",)))


def test_installed_packages_are_not_sent() -> None:
    assert Contact.of(Needs(("mlops_assets.journey.features.matrix", "numpy"))).modules == b""


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Path("/nowhere/lake"), "has no folder /nowhere/lake: let MLOPS_RAW and MLOPS_LAKE name places on S3"),
        (S3Path("bucket", "lake"), "cannot read s3://bucket/lake: it is not told of the server; the driver has "),
    ],
    ids=["folder", "s3"],
)
def test_what_a_worker_cannot_read_is_told_with_its_name(
    tmp_path: Path, place: Place, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    found = str(ask_worker(tmp_path, Contact.of(Needs(places=(place,)))))
    assert found.startswith(f"The worker on {HOST} {said}")
    if isinstance(place, S3Path):
        assert "; the driver has S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, which it lacks: set them for Spark's" in found
    assert "somebody" not in found


def test_the_docs_name_every_variable_that_a_worker_needs() -> None:
    text = (ROOT / contacts.PAGE).read_text()
    assert [name for name in VARIABLES if f"`{name}`" not in text] == []
