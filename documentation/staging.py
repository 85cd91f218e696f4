"""The pages as the site has them: those of `docs`, what is made of the code, and files of the project they link to."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from documentation.commands import reference

ROOT = Path(__file__).parent.parent
MADE = {"<!-- made: commands -->": reference}
"""What stands in a page where the code has more to say, and what says it."""
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sql": "sql"}


class Staging:
    """A folder that becomes the site.

    Parameters
    ----------
    root
        The project.
    into
        The folder; what is there is replaced.
    """

    def __init__(self, root: Path, into: Path) -> None:
        self.root, self.into = root.resolve(), into
        self.done: set[Path] = set()

    def fill(self) -> None:
        """Copy the documents, and whatever of the project they link to."""
        shutil.rmtree(self.into, ignore_errors=True)
        for path in sorted((self.root / "docs").rglob("*")):
            if path.is_file():
                self._take(path)
        for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"):
            self._take(self.root / name)

    def place(self, source: Path) -> Path:
        """Where a file of the project stands in the site, from its beginning.

        Parameters
        ----------
        source
            The file. What is no document becomes a page that shows it; the README is for who has no site yet.
        """
        inside = source.relative_to(self.root)
        if inside == Path("README.md"):
            return Path("index.md")
        if inside.parts[0] == "docs":
            return inside.relative_to("docs")
        return Path("project") / (inside if inside.suffix == ".md" else inside.with_name(f"{inside.name}.md"))

    def _take(self, source: Path) -> None:
        if source in self.done:
            return
        self.done.add(source)
        place = self.into / self.place(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            place.write_text(self._linked(source, self._made(source)), encoding="utf-8")
        elif source.is_relative_to(self.root / "docs"):
            shutil.copyfile(source, place)
        else:
            place.write_text(_page(source, source.relative_to(self.root)), encoding="utf-8")

    def _made(self, source: Path) -> str:
        text = source.read_text(encoding="utf-8")
        for mark, make in MADE.items():
            if mark in text:
                text = text.replace(mark, make())
        return text

    def _linked(self, source: Path, text: str) -> str:
        """A document whose links lead to where things are in the site."""
        here = self.place(source).parent

        def moved(found: re.Match[str]) -> str:
            target = (source.parent / found["target"]).resolve()
            if not (target.is_file() and target.is_relative_to(self.root)):
                return found[0]  # the build tells of it
            if target.name != "README.md":
                self._take(target)
            return Path(os.path.relpath(self.place(target), here)).as_posix() + (found["anchor"] or "")

        return LINK.sub(moved, text)


def _page(source: Path, name: Path) -> str:
    """A file of the project as a page of its own."""
    text = source.read_text(encoding="utf-8")
    if source.suffix != ".ipynb":
        return f"# {name}\n\n````{LANGUAGES.get(source.suffix, 'text')}\n{text.rstrip()}\n````\n"
    cells = [f"# {name}\n"]
    for cell in json.loads(text)["cells"]:
        said = "".join(cell["source"])
        words = cell["cell_type"] == "markdown"
        cells.append(re.sub("^#", "##", said, flags=re.M) if words else f"````python\n{said}\n````")
    return "\n\n".join(cells) + "\n"
