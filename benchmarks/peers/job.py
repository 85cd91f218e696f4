"""What every way is given, and what it leaves behind when it is done."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HEADER = (
    "id",
    "safra_abertura",
    "cidade",
    "estado",
    "idade",
    "sexo",
    "limite_total",
    "limite_disp",
    "data",
    "valor",
    "grupo_estabelecimento",
    "cidade_estabelecimento",
    "pais_estabelecimento",
)
"""Columns of the files."""
OUTCOME = "outcome.json"
COLUMNS = ("file", "line", "prediction", "probability")
"""Columns of the predictions that a way writes; the lines of a file rise, from whatever they are counted."""


@dataclass(frozen=True)
class Job:
    """A day to be scored.

    Attributes
    ----------
    raw
        Folder of the day's files.
    day
        The day, `YYYY-MM-DD`.
    model, sha256
        Folder of the champion, and its hash.
    out
        Folder for whatever the way writes; it is there.
    workers
        Processes or threads that may work.
    """

    raw: str
    day: str
    model: str
    sha256: str
    out: str
    workers: int = 2

    def write(self, path: Path) -> Path:
        """Write the job where the process of a way finds it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def from_command_line(cls) -> Job:
        """The job in the file that the first argument names."""
        return cls(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

    def files(self) -> list[str]:
        """Paths of the day's files, sorted."""
        return list_files(self.raw)

    def place(self, name: str) -> str:
        """A path in the folder `out`."""
        return f"{self.out}/{name}"

    def finish(self, files: int, rows: int) -> None:
        """Say how much was done."""
        Path(self.place(OUTCOME)).write_text(json.dumps({"files": files, "rows": rows}), encoding="utf-8")

    def outcome(self) -> dict[str, int]:
        """What `finish` said; empty if the way did not come to its end."""
        path = Path(self.place(OUTCOME))
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def list_files(folder: str) -> list[str]:
    """Paths of all files under a folder, sorted."""
    return sorted(_walk(folder))


def _walk(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path)
            else:
                yield entry.path


def chunks(files: Sequence[str], largest: int, workers: int) -> list[Sequence[str]]:
    """Cut a list of files into lists of at most `largest`, at least one for each worker."""
    size = max(1, min(largest, -(-len(files) // workers)))
    return [files[first : first + size] for first in range(0, len(files), size)]


def name_of(path: str) -> str:
    """Name of a file without its folders."""
    return path.rpartition("/")[2]
