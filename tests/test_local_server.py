"""The server that other tests trust must itself do what it says."""

from __future__ import annotations

import gzip
import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from local_server import LocalServer

Serve = Callable[..., LocalServer]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b c").write_bytes(b"0123456789")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"unpacked"))
    return tmp_path


def get(url: str, **headers: str) -> bytes:
    with urlopen(Request(url, headers=headers), timeout=5) as answer:
        return bytes(answer.read())


def test_serves_and_counts(http_server: Serve, folder: Path) -> None:
    server = http_server(folder)
    for _ in range(2):
        assert get(server.url + "/a/b%20c") == b"0123456789"
    assert server.requests == {"a/b c": 2}
    with pytest.raises(HTTPError) as caught:
        get(server.url + "/nothing")
    assert caught.value.code == 404
    caught.value.close()


@pytest.mark.parametrize(
    ("wanted", "body"),
    [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-3", b"789"), ("bytes=8-99", b"89")],
)
def test_ranges(http_server: Serve, folder: Path, wanted: str, body: bytes) -> None:
    server = http_server(folder)
    assert get(server.url + "/a/b%20c", Range=wanted) == body
    assert server.ranges == [("a/b c", wanted)]


def test_range_beyond_the_end(http_server: Serve, folder: Path) -> None:
    with pytest.raises(HTTPError) as caught:
        get(http_server(folder).url + "/a/b%20c", Range="bytes=10-12")
    assert caught.value.code == 416
    caught.value.close()


def test_no_way_out_of_the_folder(http_server: Serve, folder: Path) -> None:
    with pytest.raises(HTTPError) as caught:
        get(http_server(folder / "a").url + "/..%2Fpacked.gz")
    assert caught.value.code == 404
    caught.value.close()


def test_bucket_serves_gzipped_objects(http_server: Serve, folder: Path) -> None:
    server = http_server(folder, bucket=True)
    with urlopen(server.url + "/packed", timeout=5) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.read()) == b"unpacked"


def test_faults(http_server: Serve, folder: Path) -> None:
    server = http_server(folder)
    url = server.url + "/a/b%20c"
    server.fault("a/*", 503, times=1)
    with pytest.raises(HTTPError) as caught:
        get(url)
    assert caught.value.code == 503
    caught.value.close()
    assert get(url) == b"0123456789"
    server.fault("*", "truncated", times=1)
    with pytest.raises(http.client.IncompleteRead):
        get(url)
    server.fault("*", "dropped")
    with pytest.raises(http.client.RemoteDisconnected):
        get(url)
    server.heal()
    assert get(url) == b"0123456789"


def test_silent_until_closed(folder: Path) -> None:
    with LocalServer(folder) as server:
        server.fault("*", "silent")
        start = time.monotonic()
        with pytest.raises(TimeoutError), urlopen(server.url + "/a/b%20c", timeout=0.2):
            pass
        assert 0.2 <= time.monotonic() - start < 15
        start = time.monotonic()
    assert time.monotonic() - start < 15


def test_latency_is_per_request_not_in_turn(http_server: Serve, folder: Path) -> None:
    server = http_server(folder, latency=0.5)
    start = time.monotonic()
    clients = [threading.Thread(target=get, args=(server.url + "/a/b%20c",)) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert time.monotonic() - start >= 0.5
    # In turn it would be one at a time; a busy machine may start threads late.
    assert server.most_in_flight >= 4
