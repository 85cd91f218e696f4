"""An object of S3 as a file that Arrow reads by ranges; all of it is of one version of the object."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from mlops_assets.storage import s3

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]


class S3File(io.RawIOBase):
    """An object as a file for reading.

    Parameters
    ----------
    bucket
        Its bucket.
    key
        Its key.
    ahead
        How much of its end comes with the first request; the rest comes by ranges as it is asked for.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """

    def __init__(self, bucket: str, key: str, ahead: int) -> None:
        self._bucket, self._key = bucket, key
        self._at = 0
        # one request: the end is Parquet's footer, or all of a small file
        self._end, self._size, self._version = s3.get_end(bucket, key, ahead)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go somewhere."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read as many bytes as there is room for, or as there are."""
        first, last = self._at, min(self._size, self._at + len(buffer))
        if first >= last:
            return 0
        kept = self._size - len(self._end)
        if first >= kept:
            data: Buffer = self._end[first - kept : last - kept]
        else:
            # of the version that the end was read from, or an error: never parts of two
            data = s3.get_range(self._bucket, self._key, first, last, self._version)
        buffer[: last - first] = data
        self._at = last
        return last - first
