"""The asset graph of a use case as Dagster shows it, in a browser: each asset of the reference, and the picture of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.helpers.browser import PATIENCE, chromium, keep_picture, needs_chromium, visit
from mlops_assets_tests.helpers.dagster_ui import webserver
from mlops_assets_tests.helpers.paths import ROOT

pytestmark = [pytest.mark.long, needs_chromium]
GROUP = "/locations/__repository__@mlops_assets/asset-groups/transactions"
AROUND = 2
"""Pixels around the assets in the picture."""
NODES = """() => [...document.querySelectorAll("svg foreignObject")].map((one) => {
    const { x, y, right, bottom } = one.getBoundingClientRect();
    return { x, y, right, bottom, text: one.textContent.trim() };
}).filter((one) => one.text)"""
"""What stands in the graph, and where."""
CLEAR = """() => [...document.querySelectorAll("button, [class*=slider]")].forEach((one) => {
    one.style.visibility = "hidden";
})"""
"""Hides what is not the graph."""


def test_the_graph_of_a_use_case_is_shown_with_the_assets_that_the_reference_explains(tmp_path: Path) -> None:
    home = {"MLOPS_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path)}
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    explained = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "reference" / "assets.md").read_text(), re.M)
    with (
        webserver(tmp_path, "-w", str(ROOT / "workspace.yaml"), **home) as address,
        chromium() as browser,
        visit(browser, address) as visitor,
    ):
        page = visitor.page
        page.set_viewport_size({"width": 1700, "height": 800})
        visitor.go(GROUP)
        page.get_by_role("button", name="Skip").click(timeout=PATIENCE)  # it asks to join a community
        page.get_by_text("raw_files", exact=True).first.wait_for(timeout=PATIENCE)
        page.evaluate(CLEAR)
        shown = page.evaluate(NODES)
        left, top = (min(one[side] for one in shown) - AROUND for side in ("x", "y"))
        right, below = (max(one[side] for one in shown) + AROUND for side in ("right", "bottom"))
        clip: Any = {"x": left, "y": top, "width": right - left, "height": below - top}
        keep_picture(visitor, "graph", tmp_path, clip)
    seen = {one["text"] for one in shown}
    assert {"raw_files", "rows", "rejects", "features", "predictions", "drift", "champion"} <= seen
    assert {name for name in seen if "…" not in name} <= {*explained}  # a long name is cut
