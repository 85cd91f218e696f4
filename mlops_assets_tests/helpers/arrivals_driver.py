"""Ticks of a look-out on S3 until a day has settled: `python -m mlops_assets_tests.helpers.arrivals_driver PLACE DAY`.

Prints what each tick said, its seconds, the largest memory of the process so far in MB, and the size of the cursor.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from mlops_assets.journey.read.arrivals import Lookout, Verdict
from mlops_assets.journey.read.looks import State
from mlops_assets.journey.read.sources import S3Source
from mlops_assets.storage.places import S3Path
from mlops_assets.use_case import Sensor


def peak() -> int:
    """Not by `getrusage`, which begins with what the parent process had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10  # type: ignore[index]


def main(place: str, day: str) -> None:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    source, asked = S3Source(S3Path(bucket, key)), Sensor(settle_minutes=0.02)
    cursor, verdict = "", Verdict.UNLISTED
    source.days()  # what a client takes by itself
    before = peak()
    while verdict is not Verdict.CHANGED:
        begun = time.monotonic()
        lookout = Lookout(source, asked, [day], State.read(cursor, place))
        lookout.look({})
        (found,) = lookout.findings({})
        cursor, verdict = lookout.state.model_dump_json(), found.verdict
        seconds = round(time.monotonic() - begun, 2)
        told = {"said": found.said, "seconds": seconds, "grown": peak() - before, "cursor": len(cursor)}
        sys.stdout.write(json.dumps(told) + "\n")
        if verdict is Verdict.SETTLING:
            time.sleep(60 * asked.settle_minutes)


if __name__ == "__main__":
    main(*sys.argv[1:])
