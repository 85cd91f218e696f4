"""The API in this process: an application on a home, asked as a server would ask it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from mlops_assets.serving.answering.champions import Champions
from mlops_assets.serving.app import make_app
from mlops_assets.serving.service import Service
from mlops_assets.use_case import UseCase
from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.asgi import HOST, Answer, ask


@dataclass(frozen=True)
class Api:
    """An application and how it is asked."""

    app: Any

    @classmethod
    def of(cls, workspace: Workspace, *use_cases: UseCase) -> Api:
        named = {use_case.name: use_case for use_case in use_cases}
        return cls(make_app(Service(workspace, named, Champions(workspace))))

    def get(self, path: str, accept: str = "", **query: Any) -> Answer:
        headers = [HOST, ("Accept", accept)] if accept else [HOST]
        return ask(self.app, "GET", f"{path}?{urlencode(query)}", headers)

    def read(self, path: str, **query: Any) -> Any:
        """What a page answers that is there."""
        answer = self.get(path, **query)
        assert answer.status == 200, answer.text
        return json.loads(answer.text)

    def pages(self, path: str, **query: Any) -> Iterable[Any]:
        """Every page of a list."""
        page = self.read(path, **query)
        yield page
        while page["next"]:
            page = self.read(path, **query, cursor=page["next"])
            yield page

    def post(self, path: str, content: Any = None, kind: str = "application/json", **headers: str) -> Answer:
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return ask(self.app, "POST", path, [HOST, ("Content-Type", kind), *named], [body])


def problem(answer: Answer, status: int) -> Mapping[str, Any]:
    """The problem that is answered."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    found: Mapping[str, Any] = json.loads(answer.text)
    return found
