"""The columns of the table `kept_files`."""

from __future__ import annotations

import pyarrow as pa

KEPT = pa.schema(
    [(name, pa.string()) for name in ("path", "etag", "sha256", "pack")]
    + [("size", pa.int64()), ("modified", pa.int64()), ("content", pa.binary())]
)
"""A file that was kept: as it was listed; the hash of its content, if it was read; the part that has it (or empty)."""
