"""Whether a service answers: `python -m deploy.healthy URL` ends with 0 if it does. For images without curl.

A page by `http://HOST:PORT/PATH`, a code server of Dagster by `grpc://HOST:PORT`. Neither needs more than the protocol:
a check that imports half a platform is itself what does not answer on a busy machine.
"""

from __future__ import annotations

import http.client
import sys
import urllib.request

PATIENCE = 5.0
"""Seconds that an answer may take."""

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks what runs here, whatever proxy the environment names."""


def is_healthy(url: str, patience: float = PATIENCE) -> bool:
    """Whether the page answers with 200, or the code server that it serves.

    Parameters
    ----------
    url
        Where it is.
    patience
        Seconds that the answer may take.
    """
    if url.startswith("grpc://"):
        return _serves(url.removeprefix("grpc://"), patience)
    try:
        with DIRECT.open(url, timeout=patience) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _serves(address: str, patience: float) -> bool:
    """Ask as `dagster api grpc-health-check` does."""
    import grpc  # noqa: PLC0415 - pages need none
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(address) as channel:
        try:
            asked = health_pb2.HealthCheckRequest(service="DagsterApi")
            answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=patience)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(not is_healthy(sys.argv[1]))
