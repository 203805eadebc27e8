"""Kept connections, proxies and certificates."""

from __future__ import annotations

import datetime as dt
import gc
import http.client
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from local_server import LocalServer

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.volumes.stores.connections import Connections
from napari_ouroboros.volumes.stores.fetch import make_fetcher
from napari_ouroboros.volumes.stores.location import parse_location

Serve = Callable[..., LocalServer]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def nothing() -> None:
    """Take a sign of life."""


class _Web(BaseHTTPRequestHandler):
    """Answers "hello"; `close` closes every connection after one answer, unannounced."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.heads.append((self.requestline, self.headers))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
        if self.server.closes:  # type: ignore[attr-defined]
            self.close_connection = True

    def do_CONNECT(self) -> None:
        self.server.heads.append((self.requestline, self.headers))  # type: ignore[attr-defined]
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as target:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            there = threading.Thread(target=_pump, args=(self.connection, target), daemon=True)
            there.start()
            _pump(target, self.connection)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        return  # one of the two has hung up


class Web(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, closes: bool = False, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Web)
        self.heads: list[tuple[str, http.client.HTTPMessage]] = []
        self.accepted = 0
        self.closes = closes
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def get_request(self) -> tuple[socket.socket, object]:
        self.accepted += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refuses our certificate hangs up; that is what it is here for."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def web(closes: bool = False, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    server = Web(closes, tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_one_connection_serves_many_requests() -> None:
    with web() as server:
        connections = Connections()
        for _ in range(5):
            answer = connections.ask(f"http://{server.host}/x", {}, 5, nothing)
            assert (answer.status, answer.body) == (200, b"hello")
        connections.close()
        assert server.accepted == 1
        assert [line for line, _ in server.heads] == ["GET /x HTTP/1.1"] * 5
        assert server.heads[0][1]["Host"] == server.host


def test_a_connection_that_was_closed_while_idle_is_opened_anew() -> None:
    with web(closes=True) as server:
        connections = Connections()
        for n in range(1, 4):
            assert connections.ask(f"http://{server.host}/x", {}, 5, nothing).body == b"hello"
            assert server.accepted == n
        connections.close()


def test_an_answer_that_is_not_read_to_its_end_is_not_followed_by_another() -> None:
    with web() as server:
        connections = Connections()
        for _ in range(2):
            answer = connections.ask(f"http://{server.host}/x", {}, 5, nothing, end=2)
            assert answer.body == b"he"
        connections.close()
        assert server.accepted == 2


def test_who_forgets_to_close_leaves_no_socket(recwarn: pytest.WarningsRecorder) -> None:
    with web() as server, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        connections = Connections()
        connections.ask(f"http://{server.host}/x", {}, 5, nothing)
        del connections
        gc.collect()
        assert not [w for w in caught if w.category is ResourceWarning]


_IN_A_CHILD = """
import os, sys
from napari_ouroboros.volumes.stores.connections import Connections

connections = Connections()
def ask():
    assert connections.ask(sys.argv[1], {}, 5, lambda: None).body == b"hello"

ask()
if not hasattr(os, "fork"):
    connections.start_anew()
    ask()
elif os.fork():
    assert os.wait()[1] == 0
    ask()
else:
    ask()
    os._exit(0)
"""


def test_a_forked_process_opens_connections_of_its_own() -> None:
    """Two processes on one connection would read each other's answers."""
    with web() as server:
        url = f"http://{server.host}/x"
        subprocess.run([sys.executable, "-c", _IN_A_CHILD, url], check=True, timeout=60)
        assert server.accepted == 2
        assert len(server.heads) == (3 if hasattr(os, "fork") else 2)


def test_connecting_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: over.wait(20) and [])
    with pytest.raises(TimeoutError):
        Connections().ask("http://h.org/x", {}, 0.2, nothing)
    over.set()


@pytest.mark.parametrize("spelling", ["http://ada:p%40w@{}", "{}"])
def test_a_proxy(monkeypatch: pytest.MonkeyPatch, spelling: str) -> None:
    with web() as proxy:
        monkeypatch.setenv("http_proxy", spelling.format(proxy.host))
        fetcher = make_fetcher(parse_location("http://somewhere.invalid/em"), 5)
        assert fetcher.get("info") == b"hello"
        fetcher.close()
        line, headers = proxy.heads[0]
        assert line == "GET http://somewhere.invalid/em/info HTTP/1.1"
        assert headers["Host"] == "somewhere.invalid"
        login = "Basic YWRhOnBAdw==" if "ada" in spelling else None
        assert headers["Proxy-Authorization"] == login


def test_hosts_that_need_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with web() as server, web() as proxy:
        monkeypatch.setenv("http_proxy", proxy.host)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        fetcher = make_fetcher(parse_location(f"http://{server.host}/em"), 5)
        assert fetcher.get("info") == b"hello"
        fetcher.close()
        assert not proxy.heads


@pytest.mark.parametrize("proxy", ["socks5://ada:pw@127.0.0.1:1080", "http://ada:pw@h:port"])
def test_a_proxy_of_another_kind(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(UserError, match=r"http proxy .* is not of the kind") as caught:
        make_fetcher(parse_location("http://somewhere.invalid/em"), 5).get("info")
    assert "pw" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed but itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.mark.parametrize("through_proxy", [False, True])
def test_certificates(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, through_proxy: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with web(tls=context) as server, web() as proxy:
        if through_proxy:
            monkeypatch.setenv("https_proxy", f"http://ada:pw@{proxy.host}")
        place = parse_location(f"https://{server.host}/em")
        with pytest.raises(SourceError, match=r"^https://127.*CERTIFICATE_VERIFY_FAILED") as caught:
            make_fetcher(place, 5).get("info")
        assert "\n" not in str(caught.value)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        fetcher = make_fetcher(place, 5)
        assert fetcher.get("info") == b"hello"
        assert fetcher.get("info") == b"hello"
        fetcher.close()
        if through_proxy:
            line, headers = proxy.heads[-1]
            assert line.startswith(f"CONNECT {server.host} ")
            assert headers["Proxy-Authorization"] == "Basic YWRhOnB3"
            assert "Proxy-Authorization" not in server.heads[0][1]
