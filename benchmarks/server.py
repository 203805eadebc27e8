"""A web server in a process of its own that answers every request 40 ms late, and counts.

It hands out bytes that lie ready, so that what it costs is hardly more than the socket's copy:
on two processors a server that packs or reads files would be measured with its clients.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.scene import MIPS, Scene, chunk_index, packed

_CONTROL = "/control/"


class _Site:
    """What there is to fetch, and what was asked for."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.requests: Counter[str] = Counter()
        packed((0, 0, 0))  # makes every texture

    def body(self, path: str) -> tuple[bytes, bool] | None:
        """The bytes of a path and whether they are gzipped; ``None`` if there are none."""
        name, _, rest = path.lstrip("/").partition("/")
        if not name.startswith("em-") or not name[3:].isdigit():
            return None
        scene = Scene(int(name[3:]))
        if rest == "info":
            return json.dumps(scene.info).encode(), False
        key, _, chunk = rest.partition("/")
        if key not in {f"{8 << mip}_{8 << mip}_{8 << mip}" for mip in range(MIPS)}:
            return None
        try:
            return packed(chunk_index(chunk)), True
        except ValueError:
            return None

    def control(self, target: str) -> bytes:
        parts = urlsplit(target)
        if parts.path == _CONTROL + "reset":
            self.requests.clear()
            self.latency = float(parts.query) / 1000
        return json.dumps(self.requests).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, site: _Site) -> None:
        self._site = site
        self._waiting = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            if target.startswith(_CONTROL):
                self._answer(method, (self._site.control(target), False))
                continue
            path = urlsplit(target).path
            self._site.requests[path] += 1
            self._loop.call_later(self._site.latency, self._answer, method, self._site.body(path))

    def _answer(self, method: str, found: tuple[bytes, bool] | None) -> None:
        if self._transport.is_closing():
            return
        status, (body, zipped) = ("200 OK", found) if found else ("404 Not Found", (b"", False))
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
        if zipped:
            head += "Content-Encoding: gzip\r\n"
        self._transport.write(head.encode() + b"\r\n")
        if method != "HEAD":
            self._transport.write(body)


async def _serve() -> None:
    site = _Site()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(site), "127.0.0.1", 0, backlog=256
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Server:
    """The running server, seen from the benchmark."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def url(self, scene: Scene) -> str:
        return f"{self._base}/{scene.name}"

    def reset(self, latency_ms: float) -> None:
        """Forget what was counted, and answer so late from now on."""
        with urlopen(f"{self._base}{_CONTROL}reset?{latency_ms}", timeout=10) as answer:
            answer.read()

    def chunk_requests(self) -> Counter[str]:
        """Requests per chunk since `reset`."""
        with urlopen(f"{self._base}{_CONTROL}counts", timeout=10) as answer:
            counts: dict[str, int] = json.load(answer)
        return Counter({path: n for path, n in counts.items() if not path.endswith("/info")})


@contextmanager
def running_server() -> Iterator[Server]:
    """A server in another process for the length of a with-block."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"],
        cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve())
