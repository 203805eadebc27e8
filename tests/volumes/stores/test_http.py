"""What a server can do wrong: an error in one line, in time, or the right voxels."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer
from oracles.precomputed import blobs, write_by_hand, write_tensorstore

from napari_ouroboros.errors import SourceError
from napari_ouroboros.volumes import Volume, open_volume

Serve = Callable[..., LocalServer]
CHUNK = "mip0/8-16_0-8_0-8"  # x-y-z, so index (0, 0, 1)


@pytest.fixture
def array() -> np.ndarray[Any, Any]:
    return blobs((1, 16, 16, 24), "uint16")


@pytest.fixture
def folder(tmp_path: Path, array: np.ndarray[Any, Any]) -> Path:
    return write_by_hand(tmp_path / "volume", [array])


@pytest.fixture
def opened(folder: Path, http_server: Serve) -> Iterator[tuple[LocalServer, Volume]]:
    server = http_server(folder)
    volume = open_volume(server.url, timeout=2)
    open_volume(folder).read(0)  # so that nothing is imported within the time limits below
    yield server, volume
    volume.close()


def fails(volume: Volume, within: float = 40) -> str:
    """Return the message of fetching `CHUNK`, which names it and is one line."""
    start = time.monotonic()
    with pytest.raises(SourceError) as caught:
        volume.fetch_chunk(0, (0, 0, 1))
    assert time.monotonic() - start < within
    message = str(caught.value)
    assert CHUNK in message
    assert volume.url.removeprefix("precomputed://") in message
    assert "\n" not in message
    return message


def test_read_many_at_once(folder: Path, array: np.ndarray[Any, Any], http_server: Serve) -> None:
    open_volume(folder).read(0)  # so that nothing is imported while chunks are on their way
    server = http_server(folder, latency=0.4)
    with_one_open = open_volume(server.url)
    np.testing.assert_array_equal(with_one_open.read(0), array[0])
    # There are 12 chunks; on a busy machine the first is answered before the last is asked for.
    assert server.most_in_flight >= 6
    assert max(server.requests.values()) == 1
    with_one_open.close()


@pytest.mark.parametrize("bucket", [True, False])
def test_packed_chunks(
    tmp_path: Path, array: np.ndarray[Any, Any], http_server: Serve, bucket: bool
) -> None:
    """As a bucket serves them (Content-Encoding), and as a plain server of the folder does."""
    write_by_hand(tmp_path / "packed", [array], packed=True)
    volume = open_volume(http_server(tmp_path / "packed", bucket=bucket).url)
    np.testing.assert_array_equal(volume.read(0, missing="error"), array[0])
    volume.close()


def test_a_folder_with_a_space_in_its_name(
    tmp_path: Path, array: np.ndarray[Any, Any], http_server: Serve
) -> None:
    write_by_hand(tmp_path / "my völume", [array])
    for name in ("my völume", "my%20v%C3%B6lume"):
        volume = open_volume(f"{http_server(tmp_path).url}/{name}")
        np.testing.assert_array_equal(volume.read(0, missing="error"), array[0])
        volume.close()


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"scales":' + b"[" * 100_000])
def test_json_without_an_end(tmp_path: Path, http_server: Serve, text: bytes) -> None:
    (tmp_path / "info").write_bytes(text)
    with pytest.raises(SourceError, match="/info is not valid JSON"):
        open_volume(http_server(tmp_path).url)


def test_404_is_missing_and_nothing_else_is(opened: tuple[LocalServer, Volume]) -> None:
    server, volume = opened
    server.fault("mip0/*", 404)
    assert volume.fetch_chunk(0, (0, 0, 1)) is None
    assert server.requests[CHUNK] == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants a name and a password"),
        (403, "refuses to show it, or (as buckets answer) there is no such object"),
        (400, "answered 400 (Bad Request)"),
    ],
)
def test_a_refusal_is_an_error_at_once(
    opened: tuple[LocalServer, Volume], status: int, words: str
) -> None:
    server, volume = opened
    server.fault("mip0/*", status)
    assert words in fails(volume)
    assert server.requests[CHUNK] == 1


@pytest.mark.parametrize("what", [500, 503, 429, "dropped", "truncated"])
def test_what_may_pass_is_tried_again(
    opened: tuple[LocalServer, Volume], array: np.ndarray[Any, Any], what: Any
) -> None:
    server, volume = opened
    server.fault("mip0/*", what, times=2)
    got = volume.fetch_chunk(0, (0, 0, 1))
    assert got is not None
    np.testing.assert_array_equal(got, array[:, :8, :8, 8:16])
    assert server.requests[CHUNK] == 3


@pytest.mark.parametrize("what", [500, "dropped", "truncated"])
def test_what_does_not_pass_is_an_error(opened: tuple[LocalServer, Volume], what: Any) -> None:
    server, volume = opened
    server.fault("mip0/*", what)
    assert "(4 attempts)" in fails(volume)
    assert server.requests[CHUNK] == 4
    server.heal()
    assert volume.fetch_chunk(0, (0, 0, 1)) is not None


def test_a_silent_server(opened: tuple[LocalServer, Volume]) -> None:
    server, volume = opened
    server.fault("mip0/*", "silent")
    assert fails(volume).endswith("did not answer within 2 s")


def test_a_silent_server_at_opening(folder: Path, http_server: Serve) -> None:
    server = http_server(folder)
    server.fault("*", "silent")
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"/info did not answer within 0.3 s"):
        open_volume(server.url, open_timeout=0.3)
    assert time.monotonic() - start < 15


def test_a_server_that_has_gone(opened: tuple[LocalServer, Volume]) -> None:
    server, volume = opened
    server.close()
    assert "refused" in fails(volume)


def test_no_server_and_no_host() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(SourceError, match="the connection is refused"):
            open_volume(f"http://127.0.0.1:{unused.getsockname()[1]}/x", open_timeout=5)
    with pytest.raises(SourceError, match=r"no host called nowhere\.invalid|did not answer"):
        open_volume("http://nowhere.invalid/x", open_timeout=5)


@contextmanager
def scripted(answer: Callable[[socket.socket, str], None]) -> Iterator[str]:
    """Serve connections with `answer(connection, head of the request)`; yields the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        try:
            head = connection.recv(65536).decode()
            if head:
                answer(connection, head)
        except OSError:
            return  # the client has given up

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            connection.close()
        thread.join(20)


def ok(body: bytes, announced: int | None = None) -> bytes:
    size = len(body) if announced is None else announced
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + body


def test_a_server_that_stalls_in_the_body(folder: Path) -> None:
    info = (folder / "info").read_bytes()
    over = threading.Event()

    def answer(connection: socket.socket, head: str) -> None:
        if "/info" in head.split("\r\n")[0]:
            connection.sendall(ok(info))
            connection.close()
        else:
            connection.sendall(ok(bytes(100), announced=1024))
            over.wait(30)

    with scripted(answer) as url:
        volume = open_volume(url, timeout=0.5)
        assert fails(volume, within=20).endswith("did not answer within 0.5 s")
        over.set()
        volume.close()


def test_a_slow_server_is_not_a_silent_one(folder: Path, array: np.ndarray[Any, Any]) -> None:
    """The limit counts from the last byte, so a chunk may take longer than it."""
    over = threading.Event()

    def answer(connection: socket.socket, head: str) -> None:
        path = head.split()[1].lstrip("/")
        body = (folder / path).read_bytes()
        if path == "info":
            connection.sendall(ok(body))
        else:
            connection.sendall(ok(b"", announced=len(body)))
            for i in range(0, len(body), 128):
                over.wait(0.3)
                connection.sendall(body[i : i + 128])
        connection.close()

    with scripted(answer) as url:
        volume = open_volume(url, timeout=2)
        start = time.monotonic()
        got = volume.fetch_chunk(0, (0, 0, 1))
        assert time.monotonic() - start > 2.2
        assert got is not None
        np.testing.assert_array_equal(got, array[:, :8, :8, 8:16])
        volume.close()


def test_a_body_without_a_length_that_ends_early(folder: Path) -> None:
    """HTTP does not tell this from a whole one; the size of the chunk does."""
    info = (folder / "info").read_bytes()

    def answer(connection: socket.socket, head: str) -> None:
        body = info if "/info" in head.split("\r\n")[0] else bytes(1000)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        connection.close()

    with scripted(answer) as url:
        volume = open_volume(url)
        assert "is corrupt: it has 1000 bytes instead of 1024" in fails(volume)
        volume.close()


def test_a_chunked_body_that_ends_early(folder: Path) -> None:
    info = (folder / "info").read_bytes()

    def answer(connection: socket.socket, head: str) -> None:
        if "/info" in head.split("\r\n")[0]:
            connection.sendall(ok(info))
        else:
            start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(start + b"400\r\n" + bytes(500))
        connection.close()

    with scripted(answer) as url:
        volume = open_volume(url, timeout=5)
        assert "(4 attempts)" in fails(volume)
        volume.close()


def test_shards_need_three_reads_and_keep_two(tmp_path: Path, http_server: Serve) -> None:
    array = blobs((1, 32, 32, 32), "uint64")
    sharding = {
        "preshift_bits": 2, "minishard_bits": 1, "shard_bits": 1, "hash": "identity",
        "minishard_index_encoding": "gzip", "data_encoding": "gzip",
    }  # fmt: skip
    write_tensorstore(tmp_path, array, "raw", sharding=sharding)
    server = http_server(tmp_path)
    volume = open_volume(server.url)
    np.testing.assert_array_equal(volume.read(0), array[0])
    # info, 2 shard indices, 4 minishard indices, 64 chunks: indices are read once, not per thread.
    assert server.n_requests == 1 + 2 + 4 + 64
    volume.close()
    server.fault("scale/1.shard", "truncated")
    cold = open_volume(server.url, timeout=5)
    with pytest.raises(SourceError, match=r"scale/1\.shard"):
        cold.read(0)
    cold.close()


def test_shards_from_a_server_that_does_not_know_ranges(tmp_path: Path) -> None:
    array = blobs((1, 16, 16, 16), "uint64")
    sharding = {
        "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 1, "hash": "identity",
        "minishard_index_encoding": "raw", "data_encoding": "raw",
    }  # fmt: skip
    write_tensorstore(tmp_path, array, "raw", sharding=sharding)

    def answer(connection: socket.socket, head: str) -> None:
        connection.sendall(ok((tmp_path / head.split()[1].lstrip("/")).read_bytes()))
        connection.close()

    with scripted(answer) as url:
        volume = open_volume(url, timeout=5)
        np.testing.assert_array_equal(volume.read(0), array[0])
        volume.close()


def test_credentials_go_to_the_server_and_nowhere_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUD_VOLUME_DIR", str(tmp_path))
    info = (folder / "info").read_bytes()
    heads = []

    def answer(connection: socket.socket, head: str) -> None:
        heads.append(head)
        chunk = "/info" not in head.split("\r\n")[0]
        connection.sendall(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n" if chunk else ok(info)
        )
        connection.close()

    with scripted(answer) as url:
        secret = url.replace("//", "//ada:s3cret@") + "?token=t0ken"
        volume = open_volume(secret)
        message = fails(volume)
        for text in (message, volume.url, repr(volume), str(volume.source_info())):
            assert "s3cret" not in text
            assert "t0ken" not in text
        volume.close()
        assert all(" Basic YWRhOnMzY3JldA==" in head for head in heads)
        assert all("?token=t0ken HTTP" in head for head in heads)

        heads.clear()
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "http-secret.json").write_text('{"user": "eve", "password": "pw"}')
        open_volume(url)
        assert " Basic ZXZlOnB3" in heads[0]


@pytest.mark.parametrize("name", ["volume", "a völume"])
def test_redirects_are_followed(tmp_path: Path, array: np.ndarray[Any, Any], name: str) -> None:
    write_by_hand(tmp_path / name, [array])
    with LocalServer(tmp_path) as server:

        def answer(connection: socket.socket, head: str) -> None:
            target = f"{server.url}/{name}{head.split()[1]}"
            connection.sendall(
                f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            connection.close()

        with scripted(answer) as url:
            volume = open_volume(url)
            np.testing.assert_array_equal(volume.read(0), array[0])
            volume.close()
