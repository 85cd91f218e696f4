"""Virtual environments of the peers, made on demand under the work folder, and never in that of the project."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def python_with(packages: Sequence[str], place: Path) -> Path:
    """The Python of an environment that has some packages; ours, if there are none.

    Parameters
    ----------
    packages
        What to install, with versions.
    place
        Folder of the environment; made anew when other packages are asked for.
    """
    if not packages:
        return Path(sys.executable)
    mark = place / "made"
    if not mark.exists() or mark.read_text() != " ".join(packages):
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, place], check=True)
        python = place / "bin" / "python"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
        mark.write_text(" ".join(packages))
    return place / "bin" / "python"
