"""In: the parts of the profiles of a day. Out: their sum, and the accounts that they tell of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.journey.score.profile.bins import whole
from mlops_assets.journey.score.profile.counts import MOST_NEW, add_up
from mlops_assets.journey.score.profile.shard import ACCOUNTS, REFERENCE
from mlops_assets.storage.catalog import PROFILES, Lake
from mlops_assets.storage.files import read_part

PARTS_AT_ONCE = 50
"""Parts whose entries are in memory at a time."""

MOST_NEW_OF_A_DAY = 5 * MOST_NEW
"""Values that training never saw of which a day tells how often they come, a column."""


def read_entries(lake: Lake, parts: Iterable[str]) -> tuple[pa.Table, np.ndarray]:
    """The entries of some shards added up, and the hashes of their accounts, each once and rising."""
    total, some, accounts = PROFILES.empty_table(), list[pa.Table](), list[np.ndarray]()
    for number, part in enumerate(parts, 1):
        entries, hashes = _read(lake, part)
        some.append(entries)
        accounts.append(hashes)
        if number % PARTS_AT_ONCE == 0:
            total, some = add_up(pa.concat_tables([total, *some])), []
    total = add_up(pa.concat_tables([total, *some]))
    return _without_rare(total), _distinct(accounts)


def read_accounts(lake: Lake, parts: Iterable[str]) -> np.ndarray:
    """The hashes of the accounts of some shards, each once and rising."""
    return _distinct([_read(lake, part)[1] for part in parts])


def _distinct(hashes: Sequence[np.ndarray]) -> np.ndarray:
    # sorted in place: numpy's own `unique` puts them into a hash table, ten times as dear in time and in memory
    every = np.concatenate([np.zeros(0, np.int64), *hashes])
    every.sort()
    is_first = np.ones(len(every), bool)
    np.not_equal(every[1:], every[:-1], out=is_first[1:])
    return every[is_first]


def _read(lake: Lake, part: str) -> tuple[pa.Table, np.ndarray]:
    """The entries of one shard, and the hashes of its accounts."""
    # texts as codes: to part two kinds of entries by them is seven times as cheap
    table = read_part(lake.profiles.folder / part, texts_as_codes=True)
    source = whole(table["source"])
    code = pc.index(source.dictionary, ACCOUNTS).as_py()
    is_account = pa.array(source.indices.to_numpy() == code)
    return table.filter(pc.invert(is_account)).cast(PROFILES), table["number"].filter(is_account).to_numpy()


def _without_rare(entries: pa.Table) -> pa.Table:
    """The entries of a day with the most frequent of all new values alone: each shard tells others."""
    new = pc.equal(entries["what"], "new")
    told = entries.filter(new).sort_by([("number", "descending"), ("key", "ascending")])
    kept: dict[tuple[str, str], int] = {}
    mask = []
    for column in zip(told["source"].to_pylist(), told["column"].to_pylist(), strict=True):
        kept[column] = kept.get(column, 0) + 1
        mask.append(kept[column] <= MOST_NEW_OF_A_DAY)
    return pa.concat_tables([entries.filter(pc.invert(new)), told.filter(pa.array(mask, pa.bool_()))])


def reference_of(entries: pa.Table) -> str:
    """SHA-256 of the reference by whose bins entries were counted."""
    told = entries.filter(pc.equal(entries["source"], REFERENCE))["key"].to_pylist()
    return str(told[0]) if told else ""
