"""What it costs that the raw files lie on S3: the daily job on the same files, from a folder and from an S3 server.

`python -m benchmarks.from_s3 [--files 100000] [--use-case compound_rings]` starts Ceph's radosgw on loopback, or asks
the server of `S3_ENDPOINT_URL` and the usual AWS environment, in the bucket of `--bucket`. Server and client share
the machine, so the CPU seconds of the client are what counts, not the rate. The lake lies in a folder both times. Of
`transactions` the champion of the other benchmarks scores; of a use case that refers to pictures no model is there, so
that its days end with features: what is measured is the reading, and a picture counts as a file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.champion import fresh_home, train
from benchmarks.data import make_day
from benchmarks.growth import DAY, KNOWN
from benchmarks.peers import ours
from benchmarks.tables import markdown
from deploy.services.s3 import s3_server
from mlops_assets.settings import OWN_USE_CASES, PACKAGE
from mlops_assets.storage.places import Place, parse_place, side_by_side
from mlops_assets.tools.sampling import write_sample
from mlops_assets.use_case import UseCase, find_use_case

ROWS = 50
PICTURES = 3
"""Records of a file where each has a picture, on average."""


def main() -> int:
    """Measure, and print the table; 0 if every run came to its end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.from_s3", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=100_000, help="files of the day; 100000 by default")
    parser.add_argument("--use-case", default=ours.USE_CASE, help=f"the use case; {ours.USE_CASE} by default")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; 1 by default")
    parser.add_argument("--folder", type=Path, default=PACKAGE.parent / ".mlops" / "bench", help="work folder")
    parser.add_argument("--bucket", default="mlops-bench", help="bucket for the raw files; it is made if need be")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    use_case, work = find_use_case((OWN_USE_CASES,), options.use_case), folder / "from-s3"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        champion = train(use_case, folder, DAY, days=3, files=KNOWN) if options.use_case == ours.USE_CASE else None
        if not os.environ.get("S3_ENDPOINT_URL"):
            server = stack.enter_context(s3_server(work / "server"))
            os.environ.update(server.environment)
        _make_bucket(options.bucket)
        places = {"a folder": work / "raw", "S3": parse_place(f"s3://{options.bucket}/raw")}
        _make(use_case, work / "raw", options.files)
        files = _copy(work / "raw", places["S3"])
        lines = []
        for name, raw in [pair for _ in range(options.repeat) for pair in places.items()]:
            home = work / "home"
            shutil.rmtree(home, ignore_errors=True)
            if champion is not None:
                fresh_home(champion, home)
            done = _run(work, home, use_case, raw)
            if not done:
                return 1
            lines.append(_line(name, files, done))
    head = ("raw files in", "files", "seconds", "files/s", "client CPU s", "CPU us a file", "peak MiB")
    print(markdown(head, sorted(lines)))
    print(machine.describe(sorted(os.sched_getaffinity(0))))
    return 0


def _make_bucket(name: str) -> None:
    import boto3

    boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"]).create_bucket(Bucket=name)


def _make(use_case: UseCase, raw: Path, files: int) -> None:
    """Write the day into a folder."""
    if use_case.name == ours.USE_CASE:
        made: Iterator[int] = make_day(use_case, raw, DAY, files, ROWS, KNOWN)
    else:
        rows = PICTURES if use_case.files.attachments else ROWS
        made = write_sample(use_case, raw, DAY, files, rows, 0, 1, labelled=False)
    for _ in made:
        pass


def _copy(raw: Path, bucket: Place) -> int:
    """Copy the day; the number of its files."""

    def put(path: Path) -> None:
        place = bucket
        for part in path.relative_to(raw).parts:
            place = place / part
        place.write_bytes(path.read_bytes())

    return sum(1 for _ in side_by_side(bucket, put, (path for path in raw.rglob("*") if path.is_file())))


def _run(work: Path, home: Path, use_case: UseCase, raw: Place) -> measure.Measured | None:
    """Run the day by the command; None, and the end of what it said, if that failed."""
    cores, log = sorted(os.sched_getaffinity(0)), work / "run.log"
    environment = ours.environment(str(home), str(raw), len(cores))
    command = [ours.command(), "run", use_case.name, "--from", str(DAY), "--to", str(DAY)]
    done = measure.run(command, environment, cores, log)
    if done.code:
        print(log.read_text(errors="replace")[-2000:], file=sys.stderr)
        return None
    return done


def _line(name: str, files: int, done: measure.Measured) -> list[str]:
    rate, each = files / done.seconds, 1e6 * done.cpu / files
    return [
        name,
        f"{files:,}",
        f"{done.seconds:,.1f}",
        f"{rate:,.0f}",
        f"{done.cpu:,.1f}",
        f"{each:,.0f}",
        f"{done.peak / 2**20:,.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
