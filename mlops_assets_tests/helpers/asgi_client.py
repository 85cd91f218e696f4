"""A client of an ASGI application in this process, which a test asks as it would a server."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import httpx


class Client:
    """Asks an application by HTTP; as a context it starts and ends it as a server does.

    Parameters
    ----------
    app
        The application.
    base
        By what name it is called.
    """

    def __init__(self, app: Any, base: str = "http://localhost") -> None:
        self.app, self._base = app, base
        self._runner: asyncio.Runner | None = None
        self._life: Any = None

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._life = self.app.router.lifespan_context(self.app)
        try:
            self._runner.run(self._life.__aenter__())
        except BaseException:
            self._runner.close()  # else the next test is told of an open loop
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        with self._runner:
            self._runner.run(self._life.__aexit__(kind, error, trace))

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self._base) as client:
                return await client.request(method, path, **more)

        return self._runner.run(ask()) if self._runner else asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)
