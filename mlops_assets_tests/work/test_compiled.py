"""What is written in C: compiled where the package is built, loaded by the hash of its source, missed by nobody."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import pytest

from hatch_build import SOURCES, compile_source
from mlops_assets.journey.model.scorer import descent
from mlops_assets.journey.read.sources import listed
from mlops_assets_tests.helpers.compiling import source_of
from mlops_assets_tests.helpers.paths import ROOT

MODULES = pytest.mark.parametrize("module", [descent, listed], ids=lambda module: module.__name__.rpartition(".")[2])


def test_every_source_is_compiled_by_the_build() -> None:
    assert {ROOT / name for name in SOURCES} == {*(ROOT / "mlops_assets").rglob("*.c")}
    assert {ROOT / name for name in SOURCES} == {source_of(descent), source_of(listed)}


@MODULES
def test_the_name_of_what_is_loaded_is_that_of_the_source(module: ModuleType) -> None:
    # changed by hand with the source: so a day knows that it was made by other code
    assert hashlib.sha256(source_of(module).read_bytes()).hexdigest() == module.SHA256


@MODULES
def test_what_a_setup_compiled_is_used(module: ModuleType) -> None:
    assert module.LIBRARY.exists(), "`make setup` compiles it; after a change of the source, once more"


def _is_loaded(module: ModuleType, library: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(module, "LIBRARY", library)
    module.compiled.cache_clear()
    try:
        return module.compiled() is not None
    finally:
        module.compiled.cache_clear()


@MODULES
def test_what_was_compiled_elsewhere_or_lost_its_end_is_left_alone(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\x7fELF for another machine"
    foreign = tmp_path / f"foreign-{hashlib.sha256(content).hexdigest()[:12]}.so"
    foreign.write_bytes(content)
    assert not _is_loaded(module, foreign, monkeypatch)
    made = compile_source(source_of(module), tmp_path)
    if made is None:
        pytest.skip("no C compiler")
    assert _is_loaded(module, made, monkeypatch)
    # in place it would end those who have it mapped: as a full disk leaves it, which is a file of its own
    half = tmp_path / "half" / made.name
    half.parent.mkdir()
    half.write_bytes(made.read_bytes()[:5000])
    assert not _is_loaded(module, half, monkeypatch)


def test_without_a_compiler_the_package_is_built_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compile_source(ROOT / SOURCES[0], tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_fails_is_told_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("this is no C\n")
    assert compile_source(broken, tmp_path) is None
    assert "could not compile broken.c" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == [broken]
