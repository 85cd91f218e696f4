"""One process that answers: uvicorn with an application, on a socket, until it is told to end."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from mlops_assets.serving.entrance.patience import PatientProtocol

IDLE_SECONDS = 30
"""For which a connection is kept between two requests."""


class _Server(uvicorn.Server):
    """Says when it answers, and that it is ending as soon as it is told to."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._app, self._started = app, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.readiness.draining = True
        super().handle_exit(sig, frame)


def serve(app: FastAPI, listening: socket.socket, within: int, started: Callable[[], None]) -> None:
    """Answer until TERM or INT; what is being answered then is answered to its end.

    Parameters
    ----------
    app
        The application.
    listening
        The socket.
    within
        Seconds that answers have to end.
    started
        Is called once it answers.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # the guard believes what it is sent, and no header that says otherwise
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=within,
    )
    # uvicorn raises the signal again that ended it, for whoever had a handler before: this is the end of it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    _Server(config, app, started).run(sockets=[listening])
