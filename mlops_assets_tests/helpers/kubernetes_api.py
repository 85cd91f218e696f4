"""As much of the API of Kubernetes as a pod needs: it is created, looked at and deleted, over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

POD = re.compile(r"^/api/v1/namespaces/([a-z0-9-]+)/pods(?:/([a-z0-9-]+))?$")


@dataclass
class Cluster:
    """What was asked of it, and what it does.

    Attributes
    ----------
    pods
        Bodies of the pods that were created, by namespace and name.
    deleted
        Namespaces and names of those that were deleted.
    created
        Is called with the body of a pod, before it is answered.
    exit_code
        With which pods end; None for pods that find no room to begin.
    gone
        Whether pods are removed by somebody else before they are looked at.
    refuse
        A status with which every creation is refused, if it is not 0.
    """

    pods: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    deleted: list[tuple[str, str]] = field(default_factory=list)
    created: Callable[[Mapping[str, Any]], None] = lambda _: None
    exit_code: int | None = 0
    gone: bool = False
    refuse: int = 0
    kubeconfig: str = ""

    def create(self, namespace: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A new pod."""
        if self.refuse:
            return self.refuse, {"kind": "Status", "code": self.refuse, "reason": "Forbidden"}
        self.pods[namespace, body["metadata"]["name"]] = body
        self.created(body)
        return 201, body

    def ended(self, namespace: str) -> dict[str, Any]:
        """The pods of a namespace, all at their end."""
        code = self.exit_code
        begun = code is not None
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "message": "no room"}}
        status = {
            "phase": ("Failed" if code else "Succeeded") if begun else "Pending",
            "containerStatuses": [
                {"name": "job", "state": state, "ready": False, "restartCount": 0, "image": "i", "imageID": "i"}
            ][: int(begun)],
        }
        found = [{**body, "status": status} for (there, _), body in self.pods.items() if there == namespace]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}


@contextmanager
def kubernetes_api(folder: Path) -> Iterator[Cluster]:
    """A cluster, and a kubeconfig in a folder that leads to it."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, body: Mapping[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _place(self) -> tuple[str, str]:
            found = POD.match(urlsplit(self.path).path)
            return (found[1], found[2] or "") if found else ("", "")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*cluster.create(self._place()[0], body))

        def do_GET(self) -> None:
            self._answer(200, cluster.ended(self._place()[0]))

        def do_DELETE(self) -> None:
            cluster.deleted.append(self._place())
            status = 404 if cluster.gone else 200
            self._answer(status, {"kind": "Status", "code": status, "status": "Failure" if cluster.gone else "Success"})

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    cluster.kubeconfig = str(folder / "kubeconfig")
    Path(cluster.kubeconfig).write_text(yaml.safe_dump(config))
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
