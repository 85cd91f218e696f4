"""Functions in C as their sources are now, whatever lies in the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from hatch_build import compile_source


def source_of(module: ModuleType) -> Path:
    """The C source of a module that calls it."""
    return Path(str(module.__file__)).with_suffix(".c")


@contextmanager
def compiled_now(module: ModuleType, folder: Path) -> Iterator[None]:
    """A module calls what its source is compiled to; the test is skipped where there is no compiler."""
    made = compile_source(source_of(module), folder)
    if made is None:
        pytest.skip("no C compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LIBRARY", made)
        module.compiled.cache_clear()
        assert module.compiled() is not None
        yield
    module.compiled.cache_clear()
