"""Build the site: `python -m documentation [FOLDER]`, by default `site`; `site/html/index.html` needs no server."""

from __future__ import annotations

import sys
from pathlib import Path

from documentation.build import build

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    wrong = build(folder)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(
        f"{len(wrong)} problems" if wrong else f"The site is in {folder / 'html' / 'index.html'}; it needs no server."
    )
    sys.exit(bool(wrong))
