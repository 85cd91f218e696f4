"""The floor: every file is opened, read and closed, and nothing else; no way that looks at all bytes can be faster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing import Pool

from benchmarks.peers.job import Job, chunks

LONGEST = 1 << 16


def main(job: Job) -> None:
    """Read all files in as many processes as there are workers."""
    files = job.files()
    with Pool(job.workers) as pool:
        pool.map(read, chunks(files, 5_000, job.workers), chunksize=1)
    job.finish(len(files), 0)


def read(files: Sequence[str]) -> int:
    """Read files; the number of their bytes."""
    total = 0
    for path in files:
        file = os.open(path, os.O_RDONLY)
        while data := os.read(file, LONGEST):
            total += len(data)
        os.close(file)
    return total


if __name__ == "__main__":
    main(Job.from_command_line())
