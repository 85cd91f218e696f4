"""Notebooks as they are committed, without what running them left: `python -m scans.notebooks [--check] [FILE...]`.

Outputs hold rows of people, and pictures that no diff can show. The hook of .pre-commit-config.yaml strips what is
about to be committed; `--check`, which `make lint` asks for, changes nothing and names what would be stripped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scans.accepted import ROOT

FOLDER = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""What is said of a notebook: nothing of the machine or the editor that it was last opened with."""


class NoNotebook(Exception):
    """A file is no notebook."""


def strip(text: str) -> str:
    """A notebook without outputs, execution counts and what editors note, in one form.

    Parameters
    ----------
    text
        The file.

    Raises
    ------
    NoNotebook
        If it is none of format 4.
    """
    try:
        book = json.loads(text)
        cells = [_stripped(cell) for cell in book["cells"]]
        form = {"nbformat": int(book["nbformat"]), "nbformat_minor": int(book["nbformat_minor"])}
    except (ValueError, KeyError, TypeError) as error:
        raise NoNotebook(f"it is no notebook: {type(error).__name__} {error}") from None
    if form["nbformat"] != 4:
        raise NoNotebook(f"it has format {form['nbformat']}, and 4 is read: open it in JupyterLab and save it")
    return json.dumps({"cells": cells, "metadata": METADATA, **form}, indent=1, ensure_ascii=False) + "\n"


def _stripped(cell: dict[str, Any]) -> dict[str, Any]:
    kept = {**cell, "metadata": {}}
    source = cell["source"]
    kept["source"] = source.splitlines(keepends=True) if isinstance(source, str) else source
    return {**kept, "execution_count": None, "outputs": []} if cell["cell_type"] == "code" else kept


def main(arguments: list[str]) -> int:
    """Strip notebooks, by default all of ours; 1 if one was not as it is committed."""
    only_check = "--check" in arguments
    named = [Path(one) for one in arguments if one != "--check"]
    found = 0
    for path in named or sorted(FOLDER.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        try:
            text = path.read_text(encoding="utf-8")
            stripped = strip(text)
        except (NoNotebook, OSError, UnicodeDecodeError) as error:
            print(f"{path}: {error}")
            found += 1
            continue
        if stripped != text:
            found += 1
            print(f"{path}: {'has outputs' if only_check else 'stripped of outputs; add it again'}")
            if not only_check:
                path.write_text(stripped, encoding="utf-8")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
