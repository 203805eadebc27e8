"""A web server for a local folder that can be slow, count, and misbehave on demand.

Used by tests, and by benchmarks for latency that is the same on every machine.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import unquote, urlsplit

Misbehaviour = int | Literal["silent", "truncated", "dropped"]


@dataclass
class Fault:
    """What happens instead of an answer: a status code, or one of `Misbehaviour`."""

    pattern: str
    what: Misbehaviour
    times: float  # requests still to be spoiled


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed, as some tests do; all else is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@dataclass
class LocalServer:
    """Serve `folder` on 127.0.0.1; use as a context manager, or `start()` and `close()`.

    Parameters
    ----------
    folder : Path
        Paths of requests are relative to it.
    latency : float
        Seconds every request waits before its answer, each in a thread of its own.
    bucket : bool
        Like a bucket that holds gzipped objects: where only ``<name>.gz`` exists, a request
        for ``<name>`` gets it with ``Content-Encoding: gzip``.

    Attributes
    ----------
    requests : Counter
        Requests per path (without the leading "/"), HEAD included.
    ranges : list of (path, range header)
    most_in_flight : int
        The largest number of requests that were being answered at one time.
    """

    folder: Path
    latency: float = 0.0
    bucket: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._in_flight = 0
        self._closing = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> LocalServer:
        owner = self

        class Handler(_Handler):
            local = owner

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        # Connections that a client keeps open must not hold up the end of a test.
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="local-server", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop listening and release every silent request. Harmless when called twice."""
        self._closing.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)
            self._server = None

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, without a slash at the end."""
        assert self._server is not None, "the server is not running"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault(self, pattern: str, what: Misbehaviour, times: float = float("inf")) -> None:
        """Spoil the next `times` requests whose path matches `pattern` (as in fnmatch).

        `what`: a status code; "silent" (no byte until `close`), "truncated" (half the body
        under the full Content-Length), "dropped" (the connection closes without an answer).
        """
        with self._lock:
            self._faults.append(Fault(pattern, what, times))

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    @property
    def n_requests(self) -> int:
        return sum(self.requests.values())

    def _arrive(self, path: str, byte_range: str | None) -> Misbehaviour | None:
        with self._lock:
            self.requests[path] += 1
            if byte_range:
                self.ranges.append((path, byte_range))
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            for fault in self._faults:
                if fault.times > 0 and fnmatch(path, fault.pattern):
                    fault.times -= 1
                    return fault.what
        return None

    def _leave(self) -> None:
        with self._lock:
            self._in_flight -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    local: LocalServer

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        what = self.local._arrive(path, self.headers.get("Range"))
        try:
            if self.local.latency:
                time.sleep(self.local.latency)
            self._answer(path, what)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has gone, as a cancelled one does
        finally:
            self.local._leave()

    do_HEAD = do_GET

    def _answer(self, path: str, what: Misbehaviour | None) -> None:
        if what == "silent":
            self.local._closing.wait()
        if what in ("silent", "dropped"):
            self.close_connection = True
            return
        if isinstance(what, int):
            self._send(what, f"spoiled with {what}\n".encode(), {})
            return
        file, headers = self._find(path)
        if file is None:
            self._send(404, b"no such file\n", {})
            return
        body = file.read_bytes()
        status = 200
        wanted = self.headers.get("Range")
        if wanted is not None:
            start, stop = _range(wanted, len(body))
            if start >= stop:
                self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
            body, status = body[start:stop], 206
        self._send(status, body, headers, truncated=what == "truncated")

    def _find(self, path: str) -> tuple[Path | None, dict[str, str]]:
        root = self.local.folder.resolve()
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            return None, {}
        if file.is_file():
            return file, {}
        packed = file.with_name(file.name + ".gz")
        if self.local.bucket and packed.is_file():
            return packed, {"Content-Encoding": "gzip"}
        return None, {}

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], truncated: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if truncated else body)
        if truncated:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean; `LocalServer.requests` has the log."""


def _range(header: str, size: int) -> tuple[int, int]:
    """First and one past the last byte that a Range header of one range asks for."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if match is None or match[0] == "bytes=-":
        return 0, size
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1 if last else size, size)
