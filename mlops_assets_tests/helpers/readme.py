"""The README, and the blocks of the use case by hand, which tests run."""

from __future__ import annotations

import re
import textwrap

from mlops_assets_tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
BY_HAND = (ROOT / "docs" / "howto" / "use_case.md").read_text()


def shown(step: str) -> str:
    """A block of the use case by hand."""
    block = re.search(rf"<!-- test: {re.escape(step)} -->\n\s*```\w+\n(.*?)\n\s*```", BY_HAND, re.S)
    assert block, f"docs/howto/use_case.md has no block {step}"
    return textwrap.dedent(block.group(1)) + "\n"
