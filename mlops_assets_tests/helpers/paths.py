"""Where things lie that tests look at."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""

REAL_DATA = ROOT.parent / "shared" / "data"
"""Real rows beside the checkout; tests that use them are skipped where they are absent."""
