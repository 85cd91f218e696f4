"""In: a table that is no use case yet. Out: what its columns look like, read as the contract of `new` would read it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

from mlops_assets.monitoring.overview import look
from mlops_assets.tools.drafting.dialect import Asked
from mlops_assets.tools.drafting.reading import contract_of, read_table, take_rows
from mlops_assets.tools.tables.samples import take_sample
from mlops_assets.use_case import FileFormat
from mlops_assets.views.profiles import Profiled
from mlops_assets.work.printable import printable


def profile_table(path: Path, label: str | None, account: str | None, header: Asked, next_steps: list[str]) -> Profiled:
    """Look at a table.

    Parameters
    ----------
    path
        A table of any format that `new` reads, or a folder of them.
    label, account, header
        As in `read_table`.
    next_steps
        Lines that say what to do next.

    Raises
    ------
    UsageError
        If `new` would not make a use case of it, as `new` says it.
    """
    read = read_table(take_sample([path]), label, account, header)
    use_case = contract_of(read)
    rows, rejects = take_rows(use_case, read)
    target = read.table.label or None
    size = sum(map(len, read.sample.contents))
    looked = f"{path}, whole" if read.sample.whole else f"{path}, its first {size:,} bytes"
    lines = len(rows) + sum(rejects.values())
    how = f"The contract that `new` would write takes {len(rows):,} of {lines:,} lines of {looked}."
    uses: dict[str, str] = {name: guess.role for name, guess in read.table.columns.items()}
    uses |= {read.account: "account", **({target: "label"} if target else {})}
    day = dt.datetime.now(dt.UTC).date().isoformat()
    overview = look(use_case, rows, day, target) if len(rows) else None
    if overview is not None:  # of amounts with a currency sign most may be different, and yet they are numbers
        kept = [each for each in overview.suspicions if (each.kind, uses[each.column]) != ("identifier", "amount")]
        overview = replace(overview, suspicions=tuple(kept))
    facts = [read.decided, describe(use_case.files), *read.sample.remarks]
    return Profiled(path.name, use_case, target, overview, len(rows), how, facts, rejects, uses, next_steps)


def describe(files: FileFormat) -> str:
    """How a table is written, in words."""
    if files.format != "csv":
        packed = [] if files.compression == "none" else [f"packed by {files.compression}"]
        record = [f"each <{files.record}> a record"] if files.record else []
        return ", ".join([files.format, *packed, *record])
    first = {"names": "the first line names the columns", "none": "no header", "ignored": "first line passed over"}
    sign = {"\t": "tab"}.get(files.delimiter, printable(files.delimiter))
    form = [
        f"encoding {files.encoding}",
        f"fields parted by {sign}",
        first[files.header],
        f"decimal sign {files.decimal}",
        *([f"thousands parted by {files.thousands!r}"] if files.thousands else []),
        *([f"negative numbers also with {' and '.join(files.negative)}"] if files.negative else []),
        *([] if files.quotes else ["quotes are letters as others"]),
        *([] if files.compression == "none" else [f"packed by {files.compression}"]),
    ]
    return ", ".join(form)
