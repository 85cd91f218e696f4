"""The code of this package is read once a process, however often that of a user is loaded anew."""

from __future__ import annotations

from functools import cache

import pytest

from mlops_assets.work import code
from mlops_assets.work.syntax import PACKAGE, NormalForm, normal_form, top_name

_ours = cache(normal_form.__wrapped__)


def _form(name: str) -> NormalForm:
    return _ours(name) if top_name(name) == PACKAGE else normal_form(name)


_form.cache_clear = normal_form.cache_clear  # type: ignore[attr-defined]


def keep_own_code(patch: pytest.MonkeyPatch) -> None:
    """Let `forget` forget all but the trees of this package, which take more than a second of a core."""
    patch.setattr(code, "normal_form", _form)
