"""What building the package does besides packing it: compiling its few functions that are written in C.

Without a C compiler the package is built all the same, and Python does what they do, at a multiple of their cost.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("mlops_assets/journey/model/scorer/descent.c", "mlops_assets/journey/read/sources/listed.c")
FLAGS = ("-O3", "-ffp-contract=off", "-fPIC", "-shared")
"""No sum and product in one: numpy has none, and both are to say the same bits."""


class CompileSources(BuildHookInterface[Any]):
    """Compiles each source beside itself, where the package looks for it, and packs the library into a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile; say in the wheel's name which machines it is for."""
        for name in SOURCES:
            source = Path(self.root) / name
            made = compile_source(source, source.parent)
            if made is None:
                self.app.display_warning(f"{name} was not compiled: a day costs more CPU. Set CC to a C compiler.")
                continue
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data |= {"pure_python": False, "tag": f"py3-none-{platform}"}
            build_data["artifacts"].append(str(Path(name).with_name(made.name)))


def compile_source(source: Path, folder: Path) -> Path | None:
    """Compile a source.

    Parameters
    ----------
    source
        Where it lies.
    folder
        Where the library is put; those of older sources of its name are removed there.

    Returns
    -------
    Path or None
        The library; None without a compiler, or if it fails, which is said on standard error.
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        return None
    name = f"_{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    unfinished = folder / f"{name}.{os.getpid()}"
    done = subprocess.run([*compiler, *FLAGS, "-o", unfinished, source], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(f"{shlex.join(compiler)} could not compile {source.name}:\n{done.stderr}")
        unfinished.unlink(missing_ok=True)
        return None
    # its own hash, too: who loads the beginning of a library, as a full disk leaves it, is killed by the system
    own = hashlib.sha256(unfinished.read_bytes()).hexdigest()[:12]
    for old in folder.glob(f"_{source.stem}-*.so"):
        old.unlink(missing_ok=True)
    return unfinished.replace(folder / f"{name}-{own}.so")
