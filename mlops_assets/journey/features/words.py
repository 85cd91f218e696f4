"""In: the text of a `features.sql`. Out: its words: texts of the same words say the same, whatever their comments."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import duckdb


@lru_cache(maxsize=100)
def words_of(sql: str) -> tuple[str, ...]:
    """What a text says: its words and signs, without comments, and without blanks and line ends between them.

    Parameters
    ----------
    sql
        Text of `features.sql`.
    """
    data = sql.encode()  # DuckDB counts bytes
    tokens = duckdb.tokenize(sql)
    ends = [*(at for at, _ in tokens), len(data)]
    each = zip(tokens, pairwise(ends), strict=True)
    return tuple(
        data[at:end].decode().strip() for (_, kind), (at, end) in each if kind is not duckdb.token_type.comment
    )
