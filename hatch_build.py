"""What building the package does besides packing it: compiling the one step of the scorer that is written in C.

Without a C compiler the package is built all the same, and numpy does that step at three times its cost.
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

SOURCE = Path("mlops_assets/journey/model/scorer/descent.c")
FLAGS = ("-O3", "-ffp-contract=off", "-fPIC", "-shared")
"""No sum and product in one: numpy has none, and both are to say the same bits."""


class CompileDescent(BuildHookInterface[Any]):
    """Compiles `descent.c` beside its source, where the package looks for it, and packs it into a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile; say in the wheel's name which machines it is for."""
        source = Path(self.root) / SOURCE
        made = compile_descent(source, source.parent)
        if made is None:
            self.app.display_warning("No C compiler: scoring with trees is about three times as dear. Set CC to one.")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data |= {"pure_python": False, "tag": f"py3-none-{platform}"}
        build_data["artifacts"].append(str(SOURCE.parent / made.name))


def compile_descent(source: Path, folder: Path) -> Path | None:
    """Compile `descent.c`.

    Parameters
    ----------
    source
        Where it lies.
    folder
        Where the library is put; others of other sources are removed there.

    Returns
    -------
    Path or None
        The library; None without a compiler, or if it fails, which is said on standard error.
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        return None
    of_source = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    unfinished = folder / f"_descent-{of_source}.{os.getpid()}"
    done = subprocess.run([*compiler, *FLAGS, "-o", unfinished, source], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(f"{shlex.join(compiler)} could not compile {source.name}:\n{done.stderr}")
        unfinished.unlink(missing_ok=True)
        return None
    # its own hash, too: who loads the beginning of a library, as a full disk leaves it, is killed by the system
    own = hashlib.sha256(unfinished.read_bytes()).hexdigest()[:12]
    for old in folder.glob("_descent-*.so"):
        old.unlink(missing_ok=True)
    return unfinished.replace(folder / f"_descent-{of_source}-{own}.so")
