"""What an answer costs: the API on raw files, beside servers of models that are handed ready-made vectors.

`python -m benchmarks.serving` trains a champion, starts each server in turn, keeps it busy, and puts a section into
`docs/benchmarks.md`. The peers live in virtual environments of their own, each with its model as its guide says. A peer
is handed what ours computes: the vectors of the rows. It reads no file, checks no row, and computes no features.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import machine
from benchmarks.load import ask, post
from benchmarks.sections import put_section
from benchmarks.servers import USE_CASE, WAYS, NotMeasured, Server
from benchmarks.starts import PAGE, ROOT
from benchmarks.tables import markdown, mib, short

NAME = "serving"
CLIENTS = (1, 16, 64, 128)
FILES, ROWS = 200, 50
"""Different files that are asked for in turns, and rows of each."""
SECONDS = 20.0

ABOUT = """\
`make bench-serving` writes this section. A request of ours is a raw CSV file of {rows} rows, {files} different ones in
turns; the answer has a prediction and a probability for each row. The peers are handed the vectors that ours computes
of these rows, ready-made, and answer from the same estimator (`{candidate}`). Each server is alone on the machine with
its client, which keeps 1 to 128 connections busy for {seconds:.0f} seconds, after a quarter of that to warm up. CPU is
that of all processes of the server, user and system, for each request that was answered 200; 'not 200' counts all
others. MLServer and MLflow answer with the probabilities of all classes, the others with the highest. Ratios say more
than milliseconds where a machine does other work, too; what is said of waiting also holds what the client itself takes
of the same cores. 'Load before' is the machine's load average of the last minute when the server was started, in which
the server before still counts; 'cores busy besides' are those that worked for neither the server nor its client."""


@dataclass(frozen=True)
class Found:
    """What a server does under a load.

    Attributes
    ----------
    way, processes, clients
        Which server, in how many processes, asked by how many.
    good, other
        Requests that were answered 200, and in another way or not at all.
    cpu
        CPU seconds of the server.
    seconds
        How long the load lasted.
    middle, slowest
        Milliseconds within which 50 and 99 of 100 answers came.
    memory
        Bytes of all its processes.
    before
        Load average of the machine's last minute when the server was started.
    besides
        Cores that were busy with other work.
    """

    way: str
    processes: int
    clients: int
    good: int
    other: int
    cpu: float
    seconds: float
    middle: float
    slowest: float
    memory: int
    before: float
    besides: float

    @property
    def each(self) -> float:
        """CPU milliseconds a request that was answered."""
        return self.cpu / self.good * 1000 if self.good else float("nan")


def bodies(way: str, files: Sequence[bytes], vectors: np.ndarray) -> list[bytes]:
    """What a server is asked, as whole requests: `vectors` has the rows of each file behind another."""
    if way == "ours":
        return [post(WAYS[way].path, data, "text/csv") for data in files]
    made = []
    for one in vectors:
        matrix, shape = one.tolist(), [*one.shape]
        tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": one.ravel().tolist()}
        content: dict[str, object] = {
            "mlserver": {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]},
            "mlflow": {"inputs": matrix},
        }.get(way, {"vectors": matrix})
        made.append(post(WAYS[way].path, json.dumps(content).encode(), "application/json"))
    return made


class _Seen:
    """Keeps what the model sees of a file."""

    def __init__(self) -> None:
        self.matrices: list[np.ndarray] = []

    def see(self, _: object, matrix: np.ndarray, *__: object) -> None:
        """Take note of a batch."""
        # a peer's JSON has no NaN
        self.matrices.append(np.nan_to_num(matrix))


def hand_out(home: Path, folder: Path, files: int = FILES) -> dict[str, object]:
    """Write the files that are asked for, their vectors, and the estimator of the champion.

    Parameters
    ----------
    home
        A home whose use case has a champion.
    folder
        Where they are put.
    files
        How many.

    Returns
    -------
    dict
        What the page says of them.
    """
    import joblib

    from mlops_assets.journey.read.readers import open_reader
    from mlops_assets.journey.read.rows import check_rows
    from mlops_assets.journey.score.predict import predict
    from mlops_assets.tools.sampling import write_sample
    from mlops_assets.workspace import Workspace

    os.environ["MLOPS_HOME"] = str(home)
    stores = Workspace.from_environment().find(USE_CASE)
    use_case, champion = stores.use_case, stores.champion()
    if champion is None:
        raise SystemExit(f"{USE_CASE} has no champion there; train one first: mlops-assets demo")
    model = stores.registry.prove(champion).serving()
    day = dt.date(2026, 1, 31)
    # twice the rows and more files than are wanted, so that there are enough with as many rows as are asked for
    list(write_sample(use_case, folder / "raw", day, 2 * files, 2 * ROWS, 0.0, 11, labelled=False))
    lines = [path.read_bytes().splitlines(keepends=True) for path in sorted((folder / "raw").rglob("*.csv"))]
    data = [b"".join(file[: ROWS + 1]) for file in lines if len(file) > ROWS][:files]
    seen = _Seen()
    for one in data:
        pack = open_reader(use_case, lambda *_: b"").read([one], ["file.csv"])
        rows, refused = check_rows(use_case, ["file.csv"], pack)
        assert not refused, refused
        predict([model], rows.combine_chunks(), day.isoformat(), use_case, witnesses=lambda *_: (seen,))
    np.savez(folder / "asked.npz", vectors=np.stack(seen.matrices), files=np.array(data, object))
    joblib.dump(model.estimator, folder / "model.joblib")
    return {"rows": ROWS, "files": len(data), "candidate": champion.about.candidate}


def measure(
    name: str, processes: int, folder: Path, home: Path, clients: Sequence[int] = CLIENTS, seconds: float = SECONDS
) -> Iterator[Found]:
    """What a server does, asked by more and more clients.

    Parameters
    ----------
    name, processes
        Which one of `WAYS`, and in how many processes.
    folder, home
        The work folder with what `hand_out` wrote, and the home of the champion.
    clients
        How many of them, one load each.
    seconds
        For how long each load lasts.

    Raises
    ------
    NotMeasured
        It cannot be installed, does not answer, or ended under its load.
    """
    with np.load(folder / "asked.npz", allow_pickle=True) as asked:
        requests = bodies(name, asked["files"].tolist(), asked["vectors"])
    load_before = os.getloadavg()[0]
    server = Server(name, processes, folder, home)
    try:
        server.wait(requests[0])
        for number in clients:
            ask(server.port, requests, number, seconds / 4)
            before, busy = server.cpu(), _all_but_the_client()
            load = ask(server.port, requests, number, seconds)
            cpu, other = server.cpu() - before, load.statuses.total() - load.good
            besides = max(0.0, _all_but_the_client() - busy - cpu) / load.seconds
            waits = load.percentile(50), load.percentile(99)
            taken = cpu, load.seconds, *waits, server.memory(), load_before, besides
            yield Found(name, processes, number, load.good, other, *taken)
    except (NotMeasured, psutil.NoSuchProcess) as error:
        print(server.said(), file=sys.stderr)
        raise NotMeasured(str(error) if isinstance(error, NotMeasured) else "it ended under its load") from error
    finally:
        server.end()


def _all_but_the_client() -> float:
    """CPU seconds of the whole machine so far, without those of this process, which is the client."""
    all_of_it = psutil.cpu_times()
    return float(all_of_it.user + all_of_it.nice + all_of_it.system - sum(psutil.Process().cpu_times()[:2]))


def section(found: Sequence[Found], about: Mapping[str, object], missing: Mapping[str, str] | None = None) -> str:
    """The section of the page: CPU by clients, everything that was measured, and why something was not."""
    numbers = sorted({one.clients for one in found})
    cells = {(one.way, one.processes, one.clients): one for one in found}
    servers = list(dict.fromkeys((one.way, one.processes) for one in found))
    short_lines = [
        [
            _title(*server),
            *(short(cells[*server, number].each) if (*server, number) in cells else "" for number in numbers),
        ]
        for server in servers
    ]
    head = ("CPU ms a request", *(f"{number} client{'s' * (number > 1)}" for number in numbers))
    measured = ("CPU ms", "requests/s", "50 % within ms", "99 % within ms", "MiB", "not 200")
    all_head = ("server", "clients", *measured, "load before", "cores busy besides")
    all_lines = [
        [
            _title(one.way, one.processes),
            str(one.clients),
            short(one.each),
            f"{one.good / one.seconds:,.0f}",
            f"{one.middle:.1f}",
            f"{one.slowest:.1f}",
            mib(one.memory),
            str(one.other),
            f"{one.before:.1f}",
            f"{one.besides:.2f}",
        ]
        for one in found
    ]
    notes = [f"- {title}: not measured: {why}." for title, why in (missing or {}).items()]
    parts = [ABOUT.format(**about), markdown(head, short_lines), markdown(all_head, all_lines), *notes]
    return "\n\n".join(["## What an answer costs", *parts])


def _title(way: str, processes: int) -> str:
    return WAYS[way].title + (f", {processes} processes" if processes > 1 else "")


def main() -> None:
    """Measure, print, and write the section of the page."""
    from benchmarks.champion import train
    from mlops_assets.settings import OWN_USE_CASES
    from mlops_assets.use_case import find_use_case

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mlops" / "bench", help="Work folder.")
    parser.add_argument("--home", type=Path, help="A home with a champion; one is trained by default.")
    parser.add_argument("--only", default=",".join(WAYS), help="Some of the servers; the page then stays as it is.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="Of each load.")
    given = parser.parse_args()
    folder = given.folder.absolute() / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    home = given.home
    if home is None:
        use_case = find_use_case((OWN_USE_CASES,), USE_CASE)
        home = train(use_case, given.folder.absolute(), dt.date(2026, 1, 31), days=3, files=200).home
    about = {**hand_out(home, folder), "seconds": given.seconds}
    found: list[Found] = []
    missing: dict[str, str] = {}
    for name in given.only.split(","):
        for processes in (1, 2) if name == "ours" else (1,):
            try:
                for one in measure(name, processes, folder, home, seconds=given.seconds):
                    print(f"{json.dumps(asdict(one))} {one.each:.2f} ms", flush=True)
                    found.append(one)
            except NotMeasured as error:
                if name == "ours":  # without it the page would say nothing
                    raise SystemExit(f"{_title(name, processes)}: {error}") from error
                missing[_title(name, processes)] = str(error)
                print(f"{_title(name, processes)}: not measured: {error}", flush=True)
    if given.only == parser.get_default("only"):
        cores = machine.describe([0])["processor"]
        put_section(NAME, f"{section(found, about, missing)}\n\nOn {os.cpu_count()} cores of {cores}.", PAGE)


if __name__ == "__main__":
    main()
