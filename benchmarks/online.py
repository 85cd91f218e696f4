"""CPU time of an answer of the API, from the bytes of the files, without HTTP: `python -m benchmarks.online`.

The champion is that of the home that `MLOPS_HOME` names; the files are drawn anew, and none comes twice.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from mlops_assets.journey.score.online import Loaded, Sent, answer_files
from mlops_assets.settings import OWN_USE_CASES
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, find_use_case
from mlops_assets.workspace import Workspace

DAY = dt.date(2026, 3, 1)
SIZES = (1, 4, 16, 64, 128)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a line a size."""
    options = _parse(arguments)
    use_case = find_use_case((OWN_USE_CASES,), options.use_case)
    loaded = load_champion(use_case)
    most = max(options.sizes) * options.repeats
    files = list(draw(use_case, min(most, options.files), options.rows))
    answer_files(loaded, files[:2], DAY.isoformat())  # what is done once a process
    for size in options.sizes:
        spent = sorted(measure(loaded, files, size, options.repeats))
        print(
            json.dumps(
                {
                    "files_a_call": size,
                    "cpu_ms_a_file": round(1000 * median(spent) / size, 3),
                    "least": round(1000 * spent[0] / size, 3),
                    "ninth_of_ten": round(1000 * spent[len(spent) * 9 // 10] / size, 3),
                }
            )
        )
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))
    return 0


def measure(loaded: Loaded, files: Sequence[Sent], size: int, repeats: int) -> Iterator[float]:
    """CPU seconds of each of some calls with so many files."""
    for call in range(repeats):
        some = [files[(call * size + number) % len(files)] for number in range(size)]
        begin = time.process_time()
        answer_files(loaded, some, DAY.isoformat())
        yield time.process_time() - begin


def load_champion(use_case: UseCase) -> Loaded:
    """The champion of the home."""
    registry = Workspace.from_environment().registry
    version = registry.champion(use_case.name)
    if version is None:
        raise SystemExit(f"{use_case.name} has no champion: name a home that has one, MLOPS_HOME=...")
    proven = registry.prove(version, use_case.training.trusted)
    return Loaded(use_case, proven.version, proven.serving(use_case.training.trusted))


def draw(use_case: UseCase, files: int, rows: int) -> Iterator[Sent]:
    """Sample files of a day."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_sample(use_case, Path(folder), DAY, files, rows, 0, 1, labelled=False):
            pass
        root = Path(folder, use_case.name, f"day={DAY}")
        attached = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.name.endswith(use_case.files.attachments)
        }
        for path in sorted(root.rglob(f"*{use_case.files.suffix}")):
            yield Sent(path.relative_to(root).as_posix(), path.read_bytes(), attached)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.online", description=__doc__)
    parser.add_argument("--use-case", default="transactions")
    parser.add_argument("--rows", type=int, default=50, help="rows a file")
    parser.add_argument("--files", type=int, default=2_000, help="most files that are drawn")
    parser.add_argument("--repeats", type=int, default=60, help="calls of each size")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="files a call")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
