"""A use case that asks for the weather: shops are busy where it is warm, which stands nowhere in their files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.use_case import Enrichment, UseCase, load_use_case
from mlops_assets_tests.helpers.weather_service import degrees

CITIES = ("Rio", "Recife", "Sao Luis", "Belo Horizonte")
FILES, ROWS = 6, 8
SQL = """
CREATE VIEW file_features AS
SELECT file, avg(degrees) AS file_degrees, count(*) AS file_rows FROM rows LEFT JOIN weather USING (city, date) GROUP BY file;

CREATE VIEW model_input AS
SELECT rows.file, line, amount, degrees, rain::INTEGER AS rain, (weather_status = 'fetched')::INTEGER AS fresh, file_degrees
FROM rows JOIN file_features USING (file) LEFT JOIN weather USING (city, date);
"""
ATTRIBUTES: dict[str, Any] = {
    "description": "Whether a shop is busy.",
    "start": dt.date(2026, 1, 1),
    "columns": {
        "shop": {"type": "string", "required": True},
        "city": {"type": "string"},
        "date": {"type": "date", "required": True},
        "amount": {"type": "number"},
        "busy": {"type": "string"},
    },
    "account": "shop",
    "label": "busy",
    "scale": {"files_a_shard": 2},
    "enrichments": {
        "weather": {
            "use": "http",
            "parameters": {"url": "http://127.0.0.1:9/"},
            "keys": ["city", "date"],
            "columns": {"degrees": "number", "rain": "boolean"},
            "batch": 2,
            "pause": 0.001,
            "cool_down": 0.001,
            "give_up_after": 1000,
        }
    },
    "training": {
        "split": {"by": "random"},
        "folds": 2,
        "baseline": "majority",
        "candidates": {
            "majority": {"use": "sklearn.dummy.DummyClassifier"},
            "tree": {"use": "sklearn.tree.DecisionTreeClassifier", "parameters": {"max_depth": 3, "random_state": 0}},
        },
        "gate": {"margin": {"accuracy": 0.01}},
    },
}


def write_use_case(folder: Path) -> UseCase:
    place = folder / "shops"
    place.mkdir(parents=True)
    content = {"type": "mlops_assets.components.ml_use_case.MlUseCase", "attributes": ATTRIBUTES}
    (place / "defs.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (place / "features.sql").write_text(SQL)
    return load_use_case(place)


def asking(use_case: UseCase, **changes: Any) -> UseCase:
    """The use case with another configuration of `weather`."""
    old = use_case.enrichments["weather"].model_dump()
    parameters = {**({} if "use" in changes else old["parameters"]), **changes.pop("parameters", {})}
    new = Enrichment.model_validate({**old, **changes, "parameters": parameters})
    return use_case.model_copy(update={"enrichments": {"weather": new}})


def lines(day: str, number: int, city: str | None = None) -> str:
    """A file of a shop: it is busy where it is warm, which stands nowhere in the file."""
    rows = ["shop,city,date,amount,busy"]
    for row in range(ROWS):
        where = CITIES[(number + row) % len(CITIES)] if city is None else city
        busy = "yes" if degrees({"city": where, "date": day}) > 6 else "no"
        rows.append(f"s{number},{where},{day},{row + 0.5},{busy}")
    return "\n".join([*rows, ""])


def deliver(raw: Path, day: str, files: int = FILES, first: int = 0, city: str | None = None) -> None:
    folder = raw / "shops" / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + files):
        (folder / f"shop{number}.csv").write_text(lines(day, number, city))
