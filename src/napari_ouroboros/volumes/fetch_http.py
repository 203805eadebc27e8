"""Objects over http(s): kept connections, many at once, a limit to every silence."""

from __future__ import annotations

import os
import random
import ssl
import time
import urllib.request
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    TimeoutError,
)

from napari_ouroboros.errors import SourceError, one_line
from napari_ouroboros.volumes.credentials import http_login
from napari_ouroboros.volumes.deadline import Heartbeat, call
from napari_ouroboros.volumes.fetch import decompress
from napari_ouroboros.volumes.location import Location

_ATTEMPTS = 4
_FIRST_PAUSE = 0.1  # seconds; three times as long before each further attempt
_MAY_PASS = {408, 429, 500, 502, 503, 504}
_CONNECTIONS = 64  # kept open to one host; more are opened when needed, and closed after use


class _Retryable(Exception):
    """A failure that may pass; its text is the reason."""


class HttpFetcher:
    """See `napari_ouroboros.volumes.fetch.Fetcher`."""

    def __init__(self, location: Location, timeout: float) -> None:
        self._location = location
        self._timeout = timeout
        host = urlsplit(location.base).hostname or ""
        headers = {
            "Accept-Encoding": "gzip",
            "User-Agent": "napari-ouroboros",
        }
        login = location.user or http_login(host)
        if login is not None:
            headers.update(urllib3.make_headers(basic_auth=":".join(login)))
        self._pool = _pool_manager(location.base, headers)

    def get(self, name: str, byte_range: tuple[int, int] | None = None) -> bytes | None:
        """See `napari_ouroboros.volumes.fetch.Fetcher.get`."""
        data = self._get(name, byte_range, "")
        if data is None and byte_range is None:
            # A folder written by cloud-volume and served as it is.
            data = self._get(name + ".gz", None, "gzip")
        return data

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def _get(self, name: str, byte_range: tuple[int, int] | None, stored_as: str) -> bytes | None:
        shown = self._location.shown(name)
        # The sockets have their own limit; this one also covers looking up the host's name.
        beat = Heartbeat()
        found = call(lambda: self._attempts(name, byte_range, beat), self._timeout, shown, beat)
        if found is None:
            return None
        data, encoding = found
        return decompress(data, encoding or stored_as, shown)

    def _attempts(
        self, name: str, byte_range: tuple[int, int] | None, beat: Heartbeat
    ) -> tuple[bytes, str] | None:
        shown = self._location.shown(name)
        # All pauses together stay within the limit, so that the true reason is reported.
        pause = min(_FIRST_PAUSE, self._timeout / 20)
        for attempt in range(1, _ATTEMPTS + 1):
            left = beat.last + self._timeout - time.monotonic()
            try:
                return self._once(name, byte_range, max(left, 0.001), beat)
            except TimeoutError:
                break  # the whole limit went by without a byte
            except _Retryable as error:
                reason = str(error)
            if attempt == _ATTEMPTS:
                raise SourceError(f"{shown}: {reason} ({attempt} attempts)")
            time.sleep(pause * random.uniform(0.75, 1.25))
            pause *= 3
        raise SourceError(f"{shown} did not answer within {self._timeout:g} s")

    def _once(
        self, name: str, byte_range: tuple[int, int] | None, left: float, beat: Heartbeat
    ) -> tuple[bytes, str] | None:
        """Make one request; ``None`` for 404, `_Retryable` for what may pass."""
        shown = self._location.shown(name)
        url = f"{self._location.base}/{quote(name, safe='/:@!$&()*+,;=~')}"
        if self._location.query:
            url += "?" + self._location.query
        headers = dict(self._pool.headers)
        if byte_range is not None:
            headers["Range"] = f"bytes={byte_range[0]}-{byte_range[1] - 1}"
            headers["Accept-Encoding"] = "identity"  # a range of what is stored, not of a gzip
        try:
            response = self._pool.request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=left, read=left),
                retries=urllib3.Retry(None, connect=0, read=0, redirect=5, status=0, other=0),
            )
        except HTTPError as error:
            raise self._failure(error, shown) from error
        beat.beat()
        status = response.status
        # A server that does not know ranges sends everything: we stop reading where ours ends.
        cut = byte_range if byte_range is not None and status == 200 else None
        reusable = False
        try:
            body = self._body(response, cut, beat)
            reusable = cut is None
        except HTTPError as error:
            raise self._failure(error, shown) from error
        finally:
            if reusable:
                response.release_conn()
            response.close()
        if status in (200, 206):
            return body, response.headers.get("Content-Encoding", "").strip().lower()
        if status in (404, 410):
            return None
        if status == 416:
            return b"", ""
        reason = f"the server answered {status}{_phrase(status)}"
        if status in _MAY_PASS:
            raise _Retryable(reason)
        if status == 401:
            reason += "; it wants a name and a password"
        if status == 403:
            reason += "; it refuses to show it, or (as buckets answer) there is no such object"
        raise SourceError(f"{shown}: {reason}")

    def _body(
        self, response: urllib3.BaseHTTPResponse, cut: tuple[int, int] | None, beat: Heartbeat
    ) -> bytes:
        """Read the body up to its announced end, or only what `cut` asks of it."""
        enough = None if cut is None else cut[1]
        parts = []
        got = 0
        while enough is None or got < enough:
            part = response.read1(1 << 20, decode_content=False)
            if not part:
                break
            beat.beat()
            parts.append(part)
            got += len(part)
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and got < int(announced) and (enough is None or got < enough):
            raise _Retryable("the answer is cut off")
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return body if cut is None else body[cut[0] : cut[1]]

    def _failure(self, error: HTTPError, shown: str) -> Exception:
        """Return what to raise for an exception of urllib3."""
        reason: object = error
        if isinstance(error, MaxRetryError) and error.reason is not None:
            reason = error.reason
        if isinstance(reason, NameResolutionError):
            host = urlsplit(self._location.base).hostname
            return SourceError(f"{shown}: there is no host called {host}, or no network")
        if isinstance(reason, NewConnectionError):
            return _Retryable("the connection is refused; is the server running?")
        if isinstance(reason, TimeoutError):
            return TimeoutError()
        if isinstance(reason, IncompleteRead):
            return _Retryable("the answer is cut off")
        if isinstance(reason, ProtocolError):
            return _Retryable("the connection broke off")
        return SourceError(f"{shown}: {one_line(reason, 160)}")


def _pool_manager(base: str, headers: dict[str, str]) -> urllib3.PoolManager:
    parts = urlsplit(base)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        # Interpreters that were not built for the system (macOS) come without certificates.
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        if not bundle:
            import certifi

            bundle = certifi.where()
        context.load_verify_locations(bundle)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        if "://" not in proxy:
            proxy = "http://" + proxy
        return urllib3.ProxyManager(
            proxy, headers=headers, maxsize=_CONNECTIONS, ssl_context=context
        )
    return urllib3.PoolManager(headers=headers, maxsize=_CONNECTIONS, ssl_context=context)


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
