"""What a change of recipes does, for whoever reviews it: `python -m deploy.review --base origin/main -o comment.md`.

For each use case whose folder differs from that of the base: both recipes learn from the same sample files, each with
the code of its own side and in a home of its own, and are asked about the rows that both held out. Nothing outside of a
scratch folder is written but the comment. It ends with 1 where definitions do not load or a recipe learns nothing.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from deploy.repository import changed_use_cases, find_base, take_out, top_of
from mlops_assets.errors import MlopsError
from mlops_assets.errors.redaction import redacted, without_paths
from mlops_assets.journey.train.evaluation import load_candidate
from mlops_assets.journey.train.folds import ask
from mlops_assets.journey.train.metrics import load_metrics, measure
from mlops_assets.journey.train.recipe import changed, deciding
from mlops_assets.journey.train.records import Evaluation
from mlops_assets.journey.train.training_set import ROW
from mlops_assets.settings import Settings, sqlite_url
from mlops_assets.use_case import UseCase
from mlops_assets.views import markdown
from mlops_assets.work.printable import cut, printable_lines
from mlops_assets.workspace import Stores, Workspace

FOLDER = "mlops_assets/defs"
"""Where the use cases of this repository lie."""

MOST = 60_000
"""Bytes of a comment; GitHub takes 65,536 signs, and a variable of the environment has 131,072 bytes."""

MOST_KEYS = 40
"""Keys that are named; a changed contract may have hundreds."""

LINES, LONGEST = 16, 400
"""Lines of what a command said that are shown, and signs of a line."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What Dagster colours its lines by."""

OURS = ("MLOPS_", "MLFLOW_", "DAGSTER_", "PYTHONPATH")
"""Variables that a side does not have from outside."""


@dataclass(frozen=True)
class Sample:
    """How much is drawn for each use case."""

    days: int
    files: int
    rows: int


@dataclass(frozen=True)
class Side:
    """The files of a commit, and a home in which its recipes learn.

    Attributes
    ----------
    name
        For people.
    root
        Its files.
    folder
        The use cases within them.
    home
        Its state.
    raw
        The raw files, which both sides have in common.
    """

    name: str
    root: Path
    folder: str
    home: Path
    raw: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a module of Python with the code of this side."""
        given = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        given |= {"MLOPS_HOME": str(self.home), "MLOPS_RAW": str(self.raw)}
        if (self.root / "mlops_assets").is_dir():
            given["PYTHONPATH"] = str(self.root)
        if self.folder != FOLDER:
            given["MLOPS_USE_CASES"] = str(self.root / self.folder)
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=self.root, env=given, capture_output=True, text=True, check=False
        )

    def find(self, name: str) -> Stores | None:
        """What there is of a use case; None where this side has none.

        Raises
        ------
        MlopsError
            If its folder cannot be read.
        """
        folder = self.root / self.folder
        if not (folder / name / "defs.yaml").is_file():
            return None
        mlflow = self.home / "mlflow"
        settings = replace(
            Settings.from_environment(),
            home=self.home,
            raw=self.raw,
            lake=self.home / "lake",
            tracking_uri=sqlite_url(mlflow / "mlflow.db"),
            artifacts=mlflow / "artifacts",
            use_cases=(folder,),
        )
        return Workspace(settings).find(name)


@dataclass(frozen=True)
class Compared:
    """Two recipes on the rows that both held out."""

    rows: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    changed: float


def review(before: Side, after: Side, names: Sequence[str], sample: Sample) -> tuple[str, bool]:
    """The comment, and whether all went well.

    Parameters
    ----------
    before, after
        The base, and what is proposed.
    names
        The use cases.
    sample
        What both learn from.
    """
    problem = _check(after)
    parts = [f"**Definitions**: {problem or 'all of them load.'}"]
    well = not problem
    for name in names:
        try:
            parts += _of_one(before, after, name, sample)  # what was said before an error stays
        except MlopsError as error:
            well = False
            parts.append(_quoted(str(error)))
    if not names:
        parts.append("No folder of a use case differs from the base.")
    elif well:
        parts.append(
            f"Learned from {sample.days} x {sample.files} sample files: enough to see that a recipe works, not how "
            "good it is. Merging trains on the real rows where `retraining.recipe` is set, and the gate decides there."
        )
    return joined(parts), well


def joined(parts: Sequence[str]) -> str:
    """Parts as one text; of too many the last are left out, each as a whole: half of one could end no fence.

    Parameters
    ----------
    parts
        Paragraphs, tables, blocks.
    """
    left = "\n\n".join(parts)
    while len(left.encode()) > MOST:
        parts = parts[:-1]
        left = "\n\n".join([*parts, "Cut here: there is more than a comment may hold."])
    return f"{left}\n"


def _check(side: Side) -> str:
    """What is wrong with the definitions; empty where all of them load."""
    command = "dagster_dg_cli.cli.entrypoint check defs --use-active-venv"
    if side.folder != FOLDER:  # in no project of dg's; it is what `dg` calls there
        command = "dagster definitions validate -m mlops_assets.definitions"
    done = side.run(*command.split(), "--log-level", "error")
    return "" if done.returncode == 0 else f"they do not load.\n\n{_quoted(done.stderr + done.stdout)}"


def _of_one(before: Side, after: Side, name: str, sample: Sample) -> Iterator[str]:
    """What is said of one use case.

    Raises
    ------
    MlopsError
        If it cannot be read, or its recipe learns nothing.
    """
    yield f"### {markdown.value(name)}"
    new = after.find(name)
    if new is None:
        yield "It has no `defs.yaml` any more: no use case, and nothing is trained."
        return
    try:
        old = before.find(name)
    except MlopsError as error:
        old = None
        yield f"The base cannot be compared with: {markdown.value(_shown(str(error)))}"
    keys = changed(deciding(old.use_case), deciding(new.use_case)) if old else []
    if old and not keys:
        yield "Nothing changed that decides a model: no training follows."
        return
    named = ", ".join(markdown.value(key) for key in keys[:MOST_KEYS])
    more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    yield f"Changed: {named}{more}." if old else "There is no such use case to compare with."
    _draw(after, name, sample)
    learned = _learn(after, name, new)
    yield f"**The gate says**: {markdown.text(learned.verdict.reason)}"
    if old is None:
        yield markdown.table(_metrics(learned))
        return
    try:
        compared = _compare(new, learned, old, _learn(before, name, old))
    except (MlopsError, OSError, ValueError, LookupError) as error:
        yield f"Not compared on equal rows: {markdown.value(_shown(str(error)))}\n\n{markdown.table(_metrics(learned))}"
        return
    lines = [
        {"metric": one, before.name: value, after.name: compared.after[one], "difference": compared.after[one] - value}
        for one, value in compared.before.items()
        if one in compared.after
    ]
    yield f"On {compared.rows:,} rows that both held out; {compared.changed:.1%} of the answers differ."
    yield markdown.table(lines)


def _draw(side: Side, name: str, sample: Sample) -> None:
    first = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=sample.days)
    amount = ("--days", str(sample.days), "--files", str(sample.files), "--rows", str(sample.rows))
    done = side.run("mlops_assets.cli", "sample", name, "--day", str(first), *amount)
    if done.returncode:
        raise MlopsError(f"No sample can be drawn of {side.name}:\n{done.stderr}")


def _learn(side: Side, name: str, stores: Stores) -> Evaluation:
    """What a training of the sample found; that the gate refuses it, and nothing is predicted, is no failure."""
    done = side.run("mlops_assets.cli", "run", name, "--train")
    found = stores.runs.newest(Evaluation)
    if found is None or found.best is None:
        raise MlopsError(f"The recipe of {side.name} learned nothing:\n{done.stderr}")
    return found


def _metrics(found: Evaluation) -> list[dict[str, object]]:
    return [{"candidate": score.name, **score.metrics} for score in found.scores]


def _compare(new: Stores, learned: Evaluation, old: Stores, before: Evaluation) -> Compared:
    """Both on the rows that both held out."""
    sides = [(stores, found, found.training_set.load()) for stores, found in ((old, before), (new, learned))]
    held_out = [rows.filter(rows["_held_out"]) for _, _, rows in sides]
    common = (
        held_out[0]
        .select([*ROW, "_label"])
        .join(held_out[1].select([*ROW, "_label"]), [*ROW, "_label"], join_type="inner")
    )
    if not len(common):
        raise MlopsError("no row is held out by both, with the same label.")
    order = [(column, "ascending") for column in ROW]
    answers = []
    for (stores, found, _), rows in zip(sides, held_out, strict=True):
        equal = rows.join(common.select(ROW), ROW, join_type="left semi").sort_by(order)
        answers.append(_ask(stores.use_case, found, equal))
    (first, said), (second, says) = answers
    differ = sum(a != b for a, b in zip(said, says, strict=True))
    return Compared(len(common), first, second, differ / len(common))


def _ask(use_case: UseCase, found: Evaluation, rows: pa.Table) -> tuple[Mapping[str, float], list[str]]:
    """Metrics of the best candidate on some rows, and what it says of each."""
    name = found.best or ""
    fitted = next(one for one in found.candidates if one.name == name)
    labels, truth, probabilities, predicted = ask(load_candidate(use_case, fitted, found.score(name)), rows)
    metrics = measure(truth, probabilities, predicted, labels, load_metrics(use_case.training))
    return metrics, [labels[number] for number in predicted]


def _shown(said: str) -> str:
    return redacted(without_paths(said))


def _quoted(said: str) -> str:
    """The last lines of what a command said, as they may be shown to anybody."""
    lines = [line for line in COLOUR.sub("", _shown(said)).splitlines() if line.strip()]
    return markdown.code(printable_lines("\n".join(cut(line, LONGEST) for line in lines[-LINES:])))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.review", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="origin/main", help="commit to compare with")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    parser.add_argument("--use-cases", default=FOLDER, help="folder of the use cases within it")
    parser.add_argument("--days", type=int, default=3, help="sample days")
    parser.add_argument("--files", type=int, default=60, help="sample files a day")
    parser.add_argument("--rows", type=int, default=30, help="rows a sample file")
    parser.add_argument("-o", "--output", type=Path, default=Path("comment.md"), help="the comment, in Markdown")
    given = parser.parse_args(arguments)
    try:
        root = top_of(given.root)
        folder = (given.root / given.use_cases).resolve()
        if not folder.is_relative_to(root):
            raise MlopsError(f"--use-cases: {folder} is not in the repository {root}.")
        given.use_cases = folder.relative_to(root).as_posix()
        base = find_base(root, given.base)
        names = changed_use_cases(root, base, given.use_cases)
    except MlopsError as error:
        print(f"review: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        work = Path(scratch)
        take_out(root, base, work / "files")
        before = Side("base", work / "files", given.use_cases, work / "before", work / "raw")
        after = Side("proposed", root, given.use_cases, work / "after", work / "raw")
        text, well = review(before, after, names, Sample(given.days, given.files, given.rows))
    given.output.write_text(text, encoding="utf-8")
    hand_over(text)
    return 0 if well else 1


def hand_over(text: str) -> None:
    """Give the comment to the workflow that this is a step of, if it is one: as a page of its own, and as an output."""
    end = uuid.uuid4().hex  # which no line of the text can be
    for variable, said in (("GITHUB_STEP_SUMMARY", text), ("GITHUB_OUTPUT", f"comment<<{end}\n{text}\n{end}\n")):
        if path := os.environ.get(variable):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(said)


if __name__ == "__main__":
    sys.exit(main())
