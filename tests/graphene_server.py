"""A small server that plays a PyChunkedGraph: supervoxels, and their segments at any time.

The tests let cloud-volume's own client read from it as well.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np


class GrapheneServer:
    """Use as a context manager.

    Parameters
    ----------
    info : dict
        What ``/segmentation/table/cells/info`` says.
    merges : list of (Unix seconds, {supervoxel: segment})
        From then on these supervoxels belong to these segments; before, each to none.
    token : str
        Has to come with every request.

    Attributes
    ----------
    asked : list of (timestamp, supervoxels)
        What segments have been asked for.
    fault : int or str
        A status to answer instead, or "short" for half of the segments.
    """

    def __init__(
        self, info: dict[str, Any], merges: list[tuple[int, dict[int, int]]], token: str
    ) -> None:
        self.info = info
        self.merges = sorted(merges, key=lambda merge: merge[0])
        self.token = token
        self.asked: list[tuple[int, list[int]]] = []
        self.fault: int | str = ""

    def __enter__(self) -> GrapheneServer:
        owner = self

        class Handler(_Handler):
            graphene = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/segmentation/table/cells"

    def segment(self, supervoxel: int, timestamp: int) -> int:
        found = supervoxel
        for moment, segments in self.merges:
            if moment <= timestamp:
                found = segments.get(supervoxel, found)
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    graphene: GrapheneServer

    def do_GET(self) -> None:
        if self._stranger():
            return
        if urlsplit(self.path).path != "/segmentation/table/cells/info":
            self._send(404, b"")
            return
        self._send(200, json.dumps(self.graphene.info).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._stranger():
            return
        server = self.graphene
        parts = urlsplit(self.path)
        if parts.path != "/segmentation/api/v1/table/cells/roots_binary":
            self._send(404, b"")
            return
        timestamp = int(parse_qs(parts.query)["timestamp"][0])
        supervoxels = np.frombuffer(body, "<u8").tolist()
        server.asked.append((timestamp, supervoxels))
        if isinstance(server.fault, int):
            self._send(server.fault, b"spoiled")
            return
        answer = np.array([server.segment(s, timestamp) for s in supervoxels], "<u8").tobytes()
        self._send(200, answer[: len(answer) // 2] if server.fault == "short" else answer)

    def _stranger(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.graphene.token}":
            return False
        self._send(401, b"who are you?")
        return True

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""
