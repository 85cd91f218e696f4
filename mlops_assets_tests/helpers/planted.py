"""Secrets that look like nothing else, and the search for them in whatever a home, a database or an output holds."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq


def forms(secret: str) -> Iterator[bytes]:
    """How a secret may be written: as it is, or in base64, wherever in it it begins.

    A secret of letters, digits and hyphens is the same in addresses and in JSON.
    """
    assert re.fullmatch(r"[\w-]+", secret), "else it would have further forms"
    yield secret.encode()
    yield secret.encode("utf-16-le")
    for before in range(3):
        whole = base64.b64encode(b"x" * before + secret.encode() + b"xx")
        # without the signs that neighbours have a part in
        yield whole[4 if before else 0 : -4]


def found(content: bytes, secrets: Iterable[str]) -> list[str]:
    """Those of some secrets that stand in a content."""
    return [secret for secret in secrets if any(form in content for form in forms(secret))]


def leaks(folder: Path, secrets: Iterable[str]) -> list[tuple[str, str]]:
    """The files below a folder in which a secret stands, also where it is packed, each with the secret."""
    wanted = [*secrets]
    return [
        (str(path.relative_to(folder)), secret)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
        for content in contents(path)
        for secret in found(content, wanted)
    ]


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file and its name, and what they unfold to."""
    data = path.read_bytes()
    yield str(path).encode() + b"\n" + data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)
    elif data.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(data), partitioning=None)
        yield json.dumps([table.to_pylist(), str(table.schema.metadata)], default=str).encode()
    elif data.startswith(b"SQLite format 3"):
        # by its tables as well: a long value lies in pieces
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
                yield repr(rows).encode()
