"""In: the manifest of a day. Out: its `rows`, typed and checked, and its `rejects`; together they are every line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa

from mlops_assets.errors import ShardFailed
from mlops_assets.journey.read.attachments import Attachments, named_in
from mlops_assets.journey.read.contract import check_column, rows_schema
from mlops_assets.journey.read.fetching import Fetched, fetch, fetch_one
from mlops_assets.journey.read.kept import files_to_keep, keep_shard, publish_kept
from mlops_assets.journey.read.listing import ATTACHMENT, Manifest, attachments_mark, shard_of
from mlops_assets.journey.read.noticing import note_shard, notice_day
from mlops_assets.journey.read.readers import open_reader
from mlops_assets.journey.read.readers.pack import Pack, Refusal
from mlops_assets.journey.read.refusals import refusals_of, refuse_overfull
from mlops_assets.journey.read.sources import Entry, Source, lies_at
from mlops_assets.journey.read.sources.kept import Packs, packs_before, with_kept
from mlops_assets.journey.read.whole_files import find_wrong_files, notice_one_account
from mlops_assets.plugins import plugin_modules
from mlops_assets.storage.accounting import NOTICED, ReadingAccounting
from mlops_assets.storage.catalog import REJECTS, Lake
from mlops_assets.storage.places import Place
from mlops_assets.use_case import UseCase
from mlops_assets.work.code import Code, code_of
from mlops_assets.work.shards import (
    DayDone,
    DayTask,
    Engine,
    Made,
    Needs,
    Report,
    Watch,
    add_up,
    fingerprint,
    fingerprint_table,
    finish,
    keep_code,
    parts_of,
    run_shards,
)


@dataclass(frozen=True)
class ReadTask(DayTask):
    """One shard of a day to be read; see `read_shard`."""

    step = Lake.rows.name
    use_case: UseCase
    source: Source
    lake: Place
    manifest: Place
    day: str
    shard: int
    attachments: str
    shards: int = 1
    kept: Packs | None = None

    @property
    def needs(self) -> Needs:
        """What a machine needs for it."""
        raw = [lies_at(self.source)]
        return Needs(rows_roots(self.use_case), (self.lake / self.use_case.name, *(place for place in raw if place)))

    def known_by(self) -> tuple[int, str]:
        """Its number, and the fingerprint of what its rows depend on."""
        return self.shard, rows_mark(shard_of(self.manifest, self.shard), self.use_case, self.attachments)


def read_day(
    use_case: UseCase, source: Source, lake: Lake, manifest: Manifest, engine: Engine, watch: Watch
) -> DayDone[ReadingAccounting]:
    """Read the files of a day, check every row, and publish `rows` and `rejects`.

    Parameters
    ----------
    use_case
        The use case.
    source
        Where its raw files lie.
    lake
        The tables of the use case.
    manifest
        The day's files.
    engine
        Runs the shards.
    watch
        Is told of every finished shard.

    Returns
    -------
    DayDone
        The accounting, and how many shards were done before.

    Raises
    ------
    ShardFailed
        If the numbers do not add up; nothing is published then.
    SourceError
        If a file vanished or changed while it was read.
    """
    rows, rejects = lake.rows, lake.rejects
    # looked at before the work begins: if another run publishes the day meanwhile, this one must not win
    replaces = rows.parts(manifest.day), rejects.parts(manifest.day)
    # once for the day, not in each of hundreds of workers
    mark = attachments_mark(shard_of(manifest.path, ATTACHMENT))
    # of files that were kept: which are there by now; None where none shall be
    kept = packs_before(lake, manifest.day) if use_case.keeps else None
    held = lake.kept_files.parts(manifest.day) if use_case.keeps else set()
    source = with_kept(use_case, source, lake)
    tasks = [
        ReadTask(
            *(use_case, source, lake.root, manifest.path, manifest.day, shard, mark),
            manifest.shards,
            None if kept is None else kept.get(shard, ()),
        )
        # attachments alone make no shard
        for shard in range(manifest.shards if manifest.files else 0)
    ]
    reports = run_shards(engine, read_shard, tasks, watch)
    counts, rules = add_up(reports)
    noticed = notice_day(counts, reports, manifest, rows)
    accounting = ReadingAccounting.from_json({**counts, **noticed, "rules": rules, "manifest": manifest.fingerprint})
    _check(accounting, manifest)
    keep_code(lake, rows_code(use_case))
    # rows come last: they are what later steps look at, so a run that is killed in between leaves no rows unexplained
    if use_case.keeps:
        listed: dict[str, int | str] = {
            "files": manifest.files + manifest.attachments,
            "bytes": manifest.size,
            "manifest": manifest.fingerprint,
        }
        publish_kept(lake, manifest.day, reports, listed, held)
    rejects.publish(manifest.day, parts_of(reports, rejects), REJECTS, accounting, replaces[1])
    rows.publish(manifest.day, parts_of(reports, rows), rows_schema(use_case), accounting, replaces[0])
    return DayDone.of(accounting, reports)


def _check(accounting: ReadingAccounting, manifest: Manifest) -> None:
    if accounting.files != manifest.files or not accounting.files_add_up:
        message = f"{manifest.files} files listed, but the shards account for {accounting.to_json()}"
        raise ShardFailed(f"{manifest.day}: {message}.")
    if not accounting.lines_add_up:
        raise ShardFailed(f"{manifest.day}: lines are not rows and rejected lines: {accounting.to_json()}.")


def read_shard(task: ReadTask) -> Report:
    """Read the files of one shard, unless that was done before."""
    entries = shard_of(task.manifest, task.shard)
    mark = rows_mark(entries, task.use_case, task.attachments)
    lake = Lake(task.lake, task.use_case.name)
    rows, rejects = lake.rows, lake.rejects
    # once, for both those who keep the files and those who read them
    fetched = cache(lambda: fetch(entries, task.source, task.day, task.use_case.files.largest))

    def make() -> Made:
        paths = entries["path"].to_pylist()
        contents, refused = fetched()
        files = task.use_case.files
        named = named_in(contents, paths, files.attachments)
        attached = Attachments(task.source, task.day, task.manifest, files.largest, named)
        pack = open_reader(task.use_case, attached).read(contents, paths)
        table, refusals = check_rows(task.use_case, paths, pack)
        refusals = [*refused, *pack.refusals, *refusals]
        counts = account(pack, table, refusals, len(paths))
        # bytes as well, of refused files too: of a day that was not read yet, a forecast knows no more than its sizes
        counts["bytes"] = sum(entries["size"].to_pylist())
        rules = Counter(refusal.rule for refusal in refusals)
        label = table[task.use_case.label].combine_chunks()
        counts["labelled"] = len(label) - label.null_count
        whole = {refusal.file for refusal in refusals if refusal.line is None}
        read = (None if number in whole else data for number, data in enumerate(contents))
        notes = note_shard(read, label, pack.examples)
        return Made({rows: table, rejects: rejects_table(paths, refusals)}, counts, dict(rules), notes)

    # first: where the rows are, nobody reads the files again
    kept = _keep(task, lake, entries, fetched) if task.kept is not None else ()
    report = finish(rows, task.day, task.shard, mark, make, task.code())
    return replace(report, parts=(*report.parts, *kept))


def _keep(task: ReadTask, lake: Lake, entries: pa.Table, fetched: Callable[[], Fetched]) -> Packs:
    """Keep the files of a shard."""
    attachments = shard_of(task.manifest, ATTACHMENT)
    numbers = {path: number for number, path in enumerate(entries["path"].to_pylist())}

    def bring(entry: Entry) -> bytes | None:
        if entry.path in numbers:
            return fetched()[0][numbers[entry.path]]
        result = fetch_one(task.source, task.day, 0, entry, task.use_case.files.largest)
        return None if isinstance(result, Refusal) else result

    wanted = files_to_keep(entries, attachments, task.shard, task.shards)
    return keep_shard(lake, task.day, task.shard, wanted, task.kept or (), bring)


def rows_code(use_case: UseCase) -> Code:
    """The code that decides what becomes of a file: of this step, and of the reader and the source of one's own."""
    return code_of(*rows_roots(use_case))


def rows_roots(use_case: UseCase) -> tuple[str, ...]:
    """The modules that `rows_code` begins with."""
    source = use_case.source.own if use_case.source else None
    own = [path for path in (use_case.files.reader, source) if path]
    return __name__, *(module for path in own for module in plugin_modules(path))


def rows_mark(entries: pa.Table, use_case: UseCase, attachments: str) -> str:
    """Fingerprint of all that the rows of a shard depend on.

    Parameters
    ----------
    entries
        Its files as they were listed.
    use_case
        Its contract, and the classes of its own.
    attachments
        What `attachments_mark` says of the day.
    """
    files = fingerprint_table(entries), attachments
    return fingerprint(*files, use_case.contract_fingerprint, rows_code(use_case).fingerprint)


def check_rows(use_case: UseCase, paths: Sequence[str], pack: Pack) -> tuple[pa.Table, list[Refusal]]:
    """Type the text of a pack and part good rows from rejected ones.

    Parameters
    ----------
    use_case
        The use case.
    paths
        Path of every file of the pack.
    pack
        The text; its `lines` is set to 0 for files that are refused here.

    Returns
    -------
    tuple
        The rows in the schema of `rows_schema`, and the refusals.
    """
    files = use_case.files
    checked = {name: check_column(pack.columns[name], column, files) for name, column in use_case.columns.items()}
    blank = _blank(pack)
    # a blank line is one reject, not one for every required column
    bad = blank.copy()
    for result in checked.values():
        if result.broken is not None:
            bad |= result.broken > 0
    overfull = refuse_overfull(use_case, pack, checked, bad, blank)
    spared = bad & ~np.isin(pack.file, list(overfull)) if overfull else bad
    refusals = refusals_of(use_case, pack, checked, spared, blank)
    wrong = find_wrong_files(use_case, pack, checked, ~bad)
    good = ~bad & ~np.isin(pack.file, [*wrong, *overfull])
    if wrong:
        refusals = _refuse_whole(pack, refusals, {file: why for file, why in wrong.items() if file not in overfull})
    refusals += overfull.values()
    notice_one_account(use_case, pack, checked, good)
    file = pa.DictionaryArray.from_arrays(pa.array(pack.file), pa.array(paths, pa.string()))
    columns = [file, pa.array(pack.line), *(result.values for result in checked.values())]
    table = pa.table(columns, schema=rows_schema(use_case))
    return (table if good.all() else table.filter(pa.array(good))), refusals


def _refuse_whole(pack: Pack, refusals: list[Refusal], whole: dict[int, tuple[str, str]]) -> list[Refusal]:
    """Refuse whole files: what was said of their lines goes, for a file is counted once, by its lines or as a whole."""
    pack.refuse(whole)
    others = [refusal for refusal in refusals if refusal.file not in whole]
    return others + [Refusal(file, None, rule, message) for file, (rule, message) in sorted(whole.items())]


def account(pack: Pack, rows: pa.Table, refusals: Sequence[Refusal], files: int) -> dict[str, int]:
    """Count what became of files and lines, and see that it adds up in every single file.

    Raises
    ------
    ShardFailed
        If a file's lines are not its rows and its rejected lines.
    """
    # lines were counted from the bytes: a parser that loses one in silence cannot hide it
    good = np.bincount(rows["file"].combine_chunks().indices.to_numpy(), minlength=files)
    rejected = np.bincount([r.file for r in refusals if r.line is not None], minlength=files)
    refused = len({refusal.file for refusal in refusals if refusal.line is None})
    # a file at a time: two errors in a shard could cancel each other out
    wrong = np.flatnonzero(good + rejected + pack.swallowed != pack.lines)
    if len(wrong):
        file = int(wrong[0])
        raise ShardFailed(
            f"file {file} of the shard: {pack.lines[file]} lines, but {good[file]} rows and {rejected[file]} rejects"
        )
    noticed = pack.noticed + Counter(swallowed_lines=int(pack.swallowed.sum()))
    return {
        "files": files,
        "files_read": files - refused,
        "files_refused": refused,
        "lines": int(pack.lines.sum()),
        "rows": rows.num_rows,
        "rejected": int(rejected.sum()),
        **{NOTICED + name: number for name, number in noticed.items()},
    }


def rejects_table(paths: Sequence[str], refusals: Sequence[Refusal]) -> pa.Table:
    """The refusals as rows of `rejects`, by file and line."""
    ordered = sorted(refusals, key=lambda refusal: (refusal.file, refusal.line or 0))
    columns = [
        [paths[refusal.file] for refusal in ordered],
        [refusal.line for refusal in ordered],
        [refusal.rule for refusal in ordered],
        [refusal.message for refusal in ordered],
        [refusal.raw for refusal in ordered],
    ]
    return pa.table(columns, schema=REJECTS)


def _blank(pack: Pack) -> np.ndarray:
    """Which rows hold no text in any column."""
    blank = np.ones(len(pack.file), bool)
    for text in pack.columns.values():
        empty = np.array([not value.strip() for value in text.dictionary.to_pylist()], bool)
        blank &= empty.take(text.indices.to_numpy()) if empty.any() else False
        if not blank.any():
            break
    return blank
