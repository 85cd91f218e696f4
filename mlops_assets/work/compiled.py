"""The few functions that are written in C: compiled where the package is built (`hatch_build.py`), called by ctypes.

Each does what Python does as well, with the same result, at a fraction of the cost. Where there was no C compiler, or
the package was carried to a machine of another kind, Python does it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def library_of(module: str, sha256: str) -> Path:
    """Where the library of a C source lies that has the name of a module, beside it.

    Parameters
    ----------
    module
        The `__file__` of the module.
    sha256
        Of the source. It is part of the library's name, so nothing of an older source is loaded; and as a value of
        the module it makes a change of the source a change of the code that results were made by. The library's own
        hash stands behind it.
    """
    path = Path(module)
    name = f"_{path.stem}-{sha256[:12]}"
    return next(path.parent.glob(f"{name}-*.so"), path.with_name(f"{name}.so"))


def find_function(library: Path, name: str, arguments: Sequence[Any]) -> Any | None:
    """A function of a library; None where it was not compiled for this machine.

    Parameters
    ----------
    library
        What `library_of` says.
    name
        Its name; it returns nothing.
    arguments
        The ctypes of its arguments.
    """
    try:
        # a part of one, as a full disk leaves it, would not fail but end the process
        if not library.stem.endswith(hashlib.sha256(library.read_bytes()).hexdigest()[:12]):
            raise OSError(f"{library} is not as it was compiled")
        function = getattr(ctypes.CDLL(str(library)), name)
    except OSError as error:
        log.info("Python does what %s would do in C at a fraction of the cost: %s", name, error)
        return None
    function.argtypes = list(arguments)
    function.restype = None
    return function
