"""Connections to web servers that are kept open: the thin layer below `fetch_http`.

Python's own HTTP client and no more: a chunk costs a third of a millisecond less than with
urllib3, which is half of what a request takes.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import urllib.request
import weakref
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from urllib.parse import SplitResult, unquote, urlsplit

from napari_ouroboros.errors import Cancelled, SourceError, UserError
from napari_ouroboros.volumes.stores.deadline import call

_KEPT = 64  # idle connections to one host

_Host = tuple[str, str]  # scheme and netloc


@dataclass(frozen=True)
class Answer:
    """What a server said; the body as it came, up to its end or as far as was wanted."""

    status: int
    headers: Message
    body: bytes | bytearray


class Connections:
    """Requests over kept connections, safe to share between threads: each has one to itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[_Host, list[http.client.HTTPConnection]] = {}
        self._busy: set[socket.socket] = set()
        self._aborted = False
        self._proxies: dict[_Host, SplitResult | None] = {}
        self._tls: ssl.SSLContext | None = None
        # Who forgets `close` must not leave open sockets behind.
        weakref.finalize(self, _close_all, self._idle)
        _everybody.add(self)

    def ask(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        beat: Callable[[], None],
        end: int | None = None,
        post: bytes | None = None,
    ) -> Answer:
        """Send a GET, or a POST of `post`, and read the answer.

        Parameters
        ----------
        url, headers
            As they are sent.
        timeout : float
            Seconds, for connecting and for every wait for a byte.
        beat : callable
            Called whenever bytes arrive.
        end : int, optional
            Where to stop reading the body of an answer 200, whose rest is not wanted.

        Raises
        ------
        http.client.IncompleteRead
            The body ends before it should.
        OSError, http.client.HTTPException
            As Python's HTTP client does.
        Cancelled
            `abort` was called.
        """
        parts = urlsplit(url)
        host = (parts.scheme, parts.netloc)
        connection = self._take(host)
        kept = connection is not None
        while True:
            connection = connection or self._open(parts, timeout)
            used: socket.socket | None = None
            try:
                if connection.sock is None:
                    _connect(connection, timeout)
                used = connection.sock
                self._begin(used)
                response = self._send(connection, parts, headers, timeout, post)
                beat()
                body = _body(response, end if response.status == 200 else None, beat)
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
                self._check_aborted()
                # The server may close a connection that nobody has used for a while.
                if not kept:
                    raise
                connection, kept = None, False
                continue
            except BaseException:
                connection.close()
                self._check_aborted()
                raise
            finally:
                self._busy.discard(used)
            break
        reusable = not response.will_close and (end is None or response.status != 200)
        response.close()
        with self._lock:
            idle = self._idle.setdefault(host, [])
            if reusable and len(idle) < _KEPT and not self._aborted:
                idle.append(connection)
                connection = None
        if connection is not None:
            connection.close()
        return Answer(response.status, response.headers, body)

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle = dict(self._idle)
            self._idle.clear()
        _close_all(idle)

    def abort(self) -> None:
        """End the requests under way with `Cancelled`, and take no more. From any thread."""
        with self._lock:
            self._aborted = True
            busy = list(self._busy)
        for used in busy:
            with suppress(OSError):  # it may have ended by itself
                used.shutdown(socket.SHUT_RDWR)
        self.close()

    def _begin(self, used: socket.socket | None) -> None:
        with self._lock:
            self._check_aborted()
            if used is not None:
                self._busy.add(used)

    def _check_aborted(self) -> None:
        if self._aborted:
            raise Cancelled("nobody waits for the answer any more")

    def start_anew(self) -> None:
        """Forget what a process has from the one it was forked from, which goes on using it."""
        self._lock = threading.Lock()
        self.close()

    def _take(self, host: _Host) -> http.client.HTTPConnection | None:
        with self._lock:
            idle = self._idle.get(host)
            return idle.pop() if idle else None

    def _proxy(self, parts: SplitResult) -> SplitResult | None:
        host = (parts.scheme, parts.netloc)
        if host not in self._proxies:  # the settings do not change while we read a volume
            self._proxies[host] = _proxy_settings(parts)
        return self._proxies[host]

    def _open(self, parts: SplitResult, timeout: float) -> http.client.HTTPConnection:
        target = parts.hostname or "", parts.port
        proxy = self._proxy(parts)
        first = target if proxy is None else (proxy.hostname or "", proxy.port or 80)
        if parts.scheme == "http":
            return http.client.HTTPConnection(*first, timeout=timeout)
        with self._lock:
            self._tls = self._tls or _tls_context()
        secure = http.client.HTTPSConnection(*first, timeout=timeout, context=self._tls)
        if proxy is not None:
            secure.set_tunnel(*target, headers=_proxy_login(proxy))
        return secure

    def _send(
        self,
        connection: http.client.HTTPConnection,
        parts: SplitResult,
        headers: Mapping[str, str],
        timeout: float,
        post: bytes | None,
    ) -> http.client.HTTPResponse:
        target = parts.path or "/"
        if parts.query:
            target += "?" + parts.query
        headers = {"Host": parts.netloc.rpartition("@")[2], **headers}
        proxy = self._proxy(parts)
        if proxy is not None and parts.scheme == "http":
            target = f"http://{parts.netloc}{target}"
            headers.update(_proxy_login(proxy))
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request("GET" if post is None else "POST", target, post, headers)
        return connection.getresponse()


def _connect(connection: http.client.HTTPConnection, timeout: float) -> None:
    """Connect within the time. Looking up the host's name is the one step without a limit."""
    given_up = threading.Event()

    def connect() -> None:
        connection.connect()
        if given_up.is_set():
            connection.close()

    try:
        call(connect, timeout, "")
    except SourceError:
        given_up.set()
        raise TimeoutError from None


_everybody: weakref.WeakSet[Connections] = weakref.WeakSet()


def _after_fork() -> None:
    for connections in list(_everybody):
        connections.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _close_all(idle: dict[_Host, list[http.client.HTTPConnection]]) -> None:
    for connections in idle.values():
        for connection in connections:
            connection.close()


def _body(
    response: http.client.HTTPResponse, end: int | None, beat: Callable[[], None]
) -> bytes | bytearray:
    size = response.length
    if size is None:  # sent in pieces, or until the connection closes
        parts = []
        got = 0
        while end is None or got < end:
            part = response.read1(1 << 16)
            if not part:
                break
            beat()
            parts.append(part)
            got += len(part)
        return b"".join(parts)
    size = size if end is None else min(size, end)
    body = bytearray(size)  # filled in place: joining pieces costs as much as all the rest
    view = memoryview(body)
    got = 0
    while got < size:
        # Not response.readinto, which would wait for all of it without a sign of life.
        n = response.fp.readinto1(view[got:])
        if not n:
            raise http.client.IncompleteRead(bytes(view[:got]), size - got)
        beat()
        got += n
    return body


def _proxy_settings(parts: SplitResult) -> SplitResult | None:
    """The proxy for this URL by the system's settings (``http_proxy``, ``no_proxy``, ...)."""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.netloc):
        return None
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        supported = found.scheme == "http" and found.hostname and found.port != 0
    except ValueError:
        supported = False
    if not supported:
        raise UserError(
            f"the {parts.scheme} proxy in this system's settings is not of the kind "
            "http://host:port, the only one supported"
        )
    return found


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": basic_login(login)}


def basic_login(login: str) -> str:
    """The value of an Authorization header for ``user:password``."""
    return "Basic " + b64encode(login.encode()).decode()


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Interpreters that were not built for the system (macOS) come without certificates.
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        import certifi

        bundle = certifi.where()
    context.load_verify_locations(bundle)
    return context
