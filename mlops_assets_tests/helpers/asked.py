"""The API of one use case whose champion stands, asked in process; no home is made for it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.errors import UsageError
from mlops_assets.journey.model.model import Model
from mlops_assets.journey.score.online import Loaded
from mlops_assets.serving.answering.bell import Bell
from mlops_assets.serving.answering.champions import NoChampion
from mlops_assets.serving.app import make_app
from mlops_assets.serving.service import Service
from mlops_assets.settings import Settings
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import Answer, ask
from mlops_assets_tests.helpers.toy import toy

HOST = ("Host", "127.0.0.1:8000")
BOUNDARY = "-----parts"
NOTHING: Mapping[str, Any] = {}
CLASSES = ("FOOD", "FUEL", "HOME", "RENT")
SQL = "CREATE VIEW model_input AS SELECT file, line, {} FROM rows"
RING_COLUMNS = ("rings", "bond", "lines")


class Standing:
    """Version 7, champion from 2026-01-10 on."""

    def __init__(self, loaded: Loaded, home: Path) -> None:
        self._loaded = loaded
        self.bell = Bell(home)

    def choose(self, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
        if version not in (None, self._loaded.version):
            raise UsageError(f"There is no version {version} of {use_case.name}; there are: {self._loaded.version}.")
        if as_of is not None and as_of < "2026-01-10":
            raise NoChampion(f"{use_case.name} has no champion on {as_of}: the gate refused: no model is good enough")
        return self._loaded

    async def find(self, use_case: UseCase, version: int | None = None, as_of: str | None = None) -> Loaded:
        return self.choose(use_case, version, as_of)

    def troubles(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Api:
    """The API of a use case."""

    use_case: UseCase
    app: Any
    loaded: Loaded

    @property
    def path(self) -> str:
        return f"/v1/use-cases/{self.use_case.name}/predictions"

    def post(
        self, *headers: tuple[str, str], body: bytes | Sequence[bytes] = b"", query: str = "", path: str = ""
    ) -> Answer:
        pieces = [body] if isinstance(body, bytes) else body
        target = (path or self.path) + (f"?{query}" if query else "")
        return ask(self.app, "POST", target, (HOST, *headers), pieces)

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        return ask(self.app, "GET", path, (HOST, *headers))


def api_of(use_case: UseCase, model: Model, settings: Settings, **parts: Any) -> Api:
    """The API with a model that answers as version 7, and with some parts of a service."""
    loaded = Loaded(use_case, 7, model)
    champions = Standing(loaded, settings.home)
    service = Service(Workspace(settings), {use_case.name: use_case}, champions, **parts)  # type: ignore[arg-type]
    return Api(use_case, make_app(service), loaded)


def limited(use_case: UseCase, **limits: Any) -> UseCase:
    """The use case with some limits of requests."""
    found = use_case.serving.limits.model_copy(update=limits)
    return use_case.model_copy(update={"serving": use_case.serving.model_copy(update={"limits": found})})


def toy_api(settings: Settings, parts: Mapping[str, Any] = NOTHING, **limits: Any) -> Api:
    """Purchases of four kinds, told apart by their amount; `parts` are of the service."""
    matrix = np.random.default_rng(0).uniform(0, 8, (400, 2))
    estimator = DecisionTreeClassifier(max_depth=4, random_state=0).fit(matrix, (matrix[:, 0] / 2).astype(int))
    model = Model(estimator, {"amount": None, "size": None}, CLASSES, SQL.format("amount, length(city) AS size"))
    return api_of(limited(toy(), **limits), model, settings, **parts)


def ring_api(compound_rings: UseCase, settings: Settings, **limits: Any) -> Api:
    """Pictures of compounds, told apart by a few measures."""
    matrix = np.random.default_rng(0).uniform(0, 5, (200, len(RING_COLUMNS)))
    estimator = DecisionTreeClassifier(max_depth=3, random_state=0).fit(matrix, matrix[:, 0].astype(int))
    sql = SQL.format(", ".join(RING_COLUMNS))
    model = Model(estimator, dict.fromkeys(RING_COLUMNS), ("1", "2", "3", "4", "5"), sql)
    return api_of(limited(compound_rings, **limits), model, settings)


def form(*files: tuple[str | bytes, bytes], field: str = "file") -> tuple[tuple[str, str], bytes]:
    """The header and the body of `multipart/form-data` with some files."""
    body = b"".join(part(name, data, field) for name, data in files)
    return ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"), body + f"--{BOUNDARY}--\r\n".encode()


def part(name: str | bytes, data: bytes, field: str = "file") -> bytes:
    """A part of such a body."""
    named = name if isinstance(name, bytes) else name.encode()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="'.encode()
    return head + named + b'"\r\n\r\n' + data + b"\r\n"


def zipped(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, data in files:
            packed.writestr(name, data)
    return buffer.getvalue()


def told(answer: Answer) -> Any:
    """What an answer says."""
    return json.loads(answer.text)


def wrong(answer: Answer) -> dict[str, str]:
    """What is wrong with a request, by where."""
    return {each["where"]: each["message"] for each in told(answer)["errors"]}
