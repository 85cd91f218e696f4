"""How large a picture is, by its first bytes: a small file can unpack to gigabytes, so nothing is unpacked for it."""

from __future__ import annotations

import struct

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
TYPES = {".png": "image/png", ".jpg": "image/jpeg"}
"""Media types, by how the names of such pictures end."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG that begin a frame, which tells the size."""
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers behind which nothing is said."""


def count_pixels(data: bytes) -> int:
    """Pixels of a PNG or JPEG; 0 of what is none or does not tell, which whoever reads it refuses.

    Parameters
    ----------
    data
        The file.
    """
    if data.startswith(PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width * height)
    return _of_jpeg(data) if data.startswith(JPEG) else 0


def ending_of(data: bytes) -> str:
    """How the name of such a picture ends; empty for anything else."""
    return ".png" if data.startswith(PNG) else ".jpg" if data.startswith(JPEG) else ""


def _of_jpeg(data: bytes) -> int:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(width * height)
        at += 2 if marker in ALONE else 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return 0
