"""The README, and the blocks of it that tests run."""

from __future__ import annotations

import re
import textwrap

from mlops_assets_tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()


def shown(step: str) -> str:
    """A block of the README's walk-through."""
    block = re.search(rf"<!-- test: {re.escape(step)} -->\n\s*```\w+\n(.*?)\n\s*```", README, re.S)
    assert block, f"the README has no block {step}"
    return textwrap.dedent(block.group(1)) + "\n"
