"""From documents to a site: pages are staged, Zensical builds them, and what it built is looked through."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from documentation.built import problems
from documentation.staging import ROOT, Staging

HERE = Path(__file__).parent


def build(folder: Path, root: Path = ROOT) -> list[str]:
    """Build the site into a folder.

    Parameters
    ----------
    folder
        Gets `pages`, as they are staged, and `html`, the site.
    root
        The project.

    Returns
    -------
    list of str
        What is wrong with it: links, pictures, whatever Zensical warns of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "html", ignore_errors=True)
    Staging(root, folder / "pages").fill()
    shutil.copytree(HERE / "assets", folder / "pages" / "assets", dirs_exist_ok=True)
    shutil.copyfile(HERE / "zensical.toml", folder / "zensical.toml")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    if done.returncode:
        return [said.partition("Traceback")[0].strip()]
    return problems(folder / "html")
