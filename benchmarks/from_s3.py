"""What it costs that the raw files lie on S3: the daily job on the same files, from a folder and from an S3 server.

`python -m benchmarks.from_s3 [--files 100000]` starts Ceph's radosgw on loopback, or asks the server of
`S3_ENDPOINT_URL` and the usual AWS environment, in the bucket that `--bucket` names. Server and client share the
machine, so the CPU seconds of the client are what counts, not the rate. The lake lies in a folder both times.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.peers import ours
from benchmarks.tables import markdown
from deploy.services.s3 import s3_server
from mlops_assets.settings import OWN_USE_CASES, PACKAGE
from mlops_assets.storage.places import Place, parse_place
from mlops_assets.tools.sampling import parse_day, write_sample
from mlops_assets.use_case import find_use_case

DAY, TRAINING_DAY = "2026-01-05", "2026-01-04"
ROWS = 50


def main() -> int:
    """Measure, and print the table; 0 if every run came to its end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.from_s3", description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=100_000, help="files of the day; 100000 by default")
    parser.add_argument("--folder", type=Path, default=PACKAGE.parent / ".mlops" / "bench-s3", help="work folder")
    parser.add_argument("--bucket", default="mlops-bench", help="bucket for the raw files; it is made if need be")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        if not os.environ.get("S3_ENDPOINT_URL"):
            server = stack.enter_context(s3_server(folder / "server"))
            os.environ.update(server.environment)
        _make_bucket(options.bucket)
        places = {"a folder": folder / "raw", "S3": parse_place(f"s3://{options.bucket}/raw")}
        lines = []
        for name, raw in places.items():
            _write(raw, TRAINING_DAY, 400, "the training day")
            if not _run(folder, name, raw, TRAINING_DAY, "--train"):
                return 1
            _write(raw, DAY, options.files, f"the day, in {name}")
            done = _run(folder, name, raw, DAY)
            if not done:
                return 1
            lines.append(_line(name, options.files, done))
    head = ("raw files in", "files", "seconds", "files/s", "client CPU s", "CPU us a file", "peak MiB")
    print(markdown(head, lines))
    print(machine.describe(sorted(os.sched_getaffinity(0))))
    return 0


def _make_bucket(name: str) -> None:
    import boto3

    boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"]).create_bucket(Bucket=name)


def _write(raw: Place, day: str, files: int, what: str) -> None:
    use_case = find_use_case((OWN_USE_CASES,), ours.USE_CASE)
    for done in write_sample(use_case, raw, parse_day(day), files, ROWS, 0, 1, labelled=day != DAY):
        print(f"\r{what}: {done:,} files written", end="", file=sys.stderr)
    print(file=sys.stderr)


def _run(folder: Path, name: str, raw: Place, day: str, *options: str) -> measure.Measured | None:
    """Run a day by the command; None, and the end of what it said, if that failed."""
    cores, log = sorted(os.sched_getaffinity(0)), folder / f"{name} {day}.log"
    environment = ours.environment(str(folder / f"home of {name}"), str(raw), len(cores))
    command = [ours.command(), "run", ours.USE_CASE, "--from", day, "--to", day, *options]
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
