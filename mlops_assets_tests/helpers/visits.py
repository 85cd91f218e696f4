"""The use case `visits`, of YAML and SQL alone, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

VISITS = """\
type: mlops_assets.components.MlUseCase

attributes:
  description: Whether a visitor of the shop comes back.
  start: 2026-01-01
  columns:
    visitor: {type: string, required: true, about: Name of the visitor.}
    minutes: {type: number, min: 0, max: 600, about: How long the visit was.}
    channel: {type: string, allowed: [web, shop], about: Where it was.}
    returned: {type: string, allowed: ["no", "yes"], about: Whether another visit followed.}
  account: visitor
  label: returned
  training:
    split: {by: account, held_out: 0.3}
    folds: 2
    baseline: majority
    candidates:
      majority:
        use: sklearn.dummy.DummyClassifier
        parameters: {strategy: prior}
      linear:
        use: sklearn.linear_model.LogisticRegression
        parameters: {max_iter: 500}
        prepare:
          - {use: sklearn.preprocessing.StandardScaler, columns: numbers}
    gate:
      margin: {accuracy: 0.1}
"""
LINKED = VISITS + "  source: {follow_links: true}\n"
"""For homes that are copied; see `copy_home`."""

VISITS_SQL = "CREATE VIEW model_input AS SELECT file, line, minutes, channel FROM rows;\n"


def place_visits(folder: Path, yaml: str = VISITS, sql: str = VISITS_SQL) -> Path:
    """Write the use case `visits` into a folder of use cases."""
    (folder / "visits").mkdir(parents=True)
    (folder / "visits" / "defs.yaml").write_text(yaml, encoding="utf-8")
    (folder / "visits" / "features.sql").write_text(sql, encoding="utf-8")
    return folder
