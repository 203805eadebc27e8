"""Objects over http(s), of web servers and of buckets: many at once, a limit to every silence."""

from __future__ import annotations

import http.client
import random
import socket
import ssl
import string
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import quote, urljoin, urlsplit

from napari_ouroboros.errors import SourceError, UserError, one_line
from napari_ouroboros.volumes.stores.buckets import Access, CannotLogIn, make_access
from napari_ouroboros.volumes.stores.connections import Answer, Connections
from napari_ouroboros.volumes.stores.deadline import Heartbeat, call
from napari_ouroboros.volumes.stores.fetch import decompress
from napari_ouroboros.volumes.stores.location import Location

_ATTEMPTS = 4
_FIRST_PAUSE = 0.1  # seconds; three times as long before each further attempt
_MAY_PASS = {408, 429, 500, 502, 503, 504}
_REDIRECTS = 5
_HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "napari-ouroboros"}
# A refusal; S3 answers 400 to keys that have run out.
_REFUSALS = {400, 401, 403}
_ANSWERED = {200, 206, 404, 410, 416}

Range = tuple[int, int]


class _Retryable(Exception):
    """A failure that may pass; its text is the reason."""


@dataclass(frozen=True)
class _Wanted:
    name: str
    range: Range | None = None
    post: bytes | None = None


class HttpFetcher:
    """See `napari_ouroboros.volumes.stores.fetch.Fetcher`.

    Credentials are sent where there are any. If the first answer to them is a refusal, the same
    is asked without: keys for one bucket, or stale ones, must not keep anybody from another,
    public one.
    """

    def __init__(self, location: Location, timeout: float) -> None:
        self._location = location
        self._timeout = timeout
        self._access = make_access(location)
        self._proven = False  # whether a request with this access has succeeded
        self._connections = Connections()

    def get(self, name: str, byte_range: Range | None = None) -> bytes | None:
        """See `napari_ouroboros.volumes.stores.fetch.Fetcher.get`."""
        data = self._get(_Wanted(name, byte_range))
        if data is None and byte_range is None and self._location.format == "precomputed":
            # A folder written by cloud-volume and served as it is.
            data = self._get(_Wanted(name + ".gz"), "gzip")
        return data

    def post(self, name: str, body: bytes) -> bytes | None:
        """Send `body` to `name`, a question that changes nothing there; return the answer.

        Raises
        ------
        SourceError
            As `get`.
        """
        return self._get(_Wanted(name, post=body))

    def close(self) -> None:
        """Close the kept connections."""
        self._connections.close()

    def abort(self) -> None:
        """See `napari_ouroboros.volumes.stores.fetch.AbortableFetcher.abort`."""
        self._connections.abort()

    def _get(self, wanted: _Wanted, stored_as: str = "") -> bytes | None:
        shown = self._location.shown(wanted.name)
        beat = Heartbeat()
        if self._proven:
            # Connections have their own limits, and a thread for each request costs as much again.
            found = self._attempts(wanted, beat)
        else:
            # A login may have to be fetched first, by libraries with limits of their own.
            found = call(lambda: self._attempts(wanted, beat), self._timeout, shown, beat)
        if found is None:
            return None
        data, encoding = found
        return decompress(data, encoding or stored_as, shown)

    def _attempts(self, wanted: _Wanted, beat: Heartbeat) -> tuple[bytes | bytearray, str] | None:
        shown = self._location.shown(wanted.name)
        # All pauses together stay within the limit, so that the true reason is reported.
        pause = min(_FIRST_PAUSE, self._timeout / 20)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(wanted, beat)
            except TimeoutError:
                break  # the whole limit went by without a byte
            except _Retryable as error:
                reason = str(error)
            except UserError:
                raise
            except ValueError:  # of Python's HTTP client; its text may hold the login
                raise SourceError(
                    f"{shown}: its address or its login holds characters that no request can hold"
                ) from None
            if attempt == _ATTEMPTS:
                raise SourceError(f"{shown}: {reason} ({attempt} attempts)")
            time.sleep(pause * random.uniform(0.75, 1.25))
            pause *= 3
        raise SourceError(f"{shown} did not answer within {self._timeout:g} s")

    def _once(self, wanted: _Wanted, beat: Heartbeat) -> tuple[bytes | bytearray, str] | None:
        """Ask once, by every way there is; ``None`` for 404, `_Retryable` for what may pass."""
        access = self._access
        refused = ""
        answer = None
        try:
            answer = self._ask(access, wanted, beat)
        except CannotLogIn as error:
            refused = f"; {error}"
        if answer is None or answer.status in _REFUSALS:
            if access.optional and not self._proven:
                anonymous = make_access(self._location, anonymous=True)
                second = self._ask(anonymous, wanted, beat)
                if second.status in _ANSWERED:
                    self._access = access = anonymous
                    answer = second
            if answer is None:
                raise SourceError(f"{self._location.shown(wanted.name)}{refused}")
        return self._judged(answer, access, wanted.name)

    def _judged(
        self, answer: Answer, access: Access, name: str
    ) -> tuple[bytes | bytearray, str] | None:
        """Return the body and its compression, or raise what the status means."""
        status = answer.status
        if status in (200, 206):
            self._proven = True
            return answer.body, (answer.headers.get("Content-Encoding") or "").strip().lower()
        if status in (404, 410):
            return None
        if status == 416:
            return b"", ""
        reason = f"the server answered {status}{_phrase(status)}"
        if status in _MAY_PASS:
            raise _Retryable(reason)
        if status in (401, 403):
            reason += access.advice(status)
        raise SourceError(f"{self._location.shown(name)}: {reason}")

    def _ask(self, access: Access, wanted: _Wanted, beat: Heartbeat) -> Answer:
        """Make one request and those it is redirected to."""
        headers = dict(_HEADERS)
        if wanted.range is not None:
            first_byte, end = wanted.range
            last = "" if first_byte < 0 else f"-{end - 1}"
            headers["Range"] = f"bytes={first_byte}{last}"
            headers["Accept-Encoding"] = "identity"  # a range of what is stored, not of a gzip
        url = first = access.url(wanted.name)
        for _ in range(_REDIRECTS + 1):
            # A login is for who was asked, not for whom they point to.
            login = access.login(url) if _same_server(url, first) else {}
            answer = self._request(url, {**headers, **login}, wanted, beat)
            if access.moved(answer.status, answer.headers):
                url = first = access.url(wanted.name)
                continue
            target = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return answer
            # The client decodes what it got as Latin-1, whatever it was.
            url = urljoin(url, quote(target, safe=string.punctuation, encoding="latin-1"))
            if urlsplit(url).scheme not in ("http", "https"):
                break
        raise SourceError(
            f"{self._location.shown(wanted.name)}: the server only sends us elsewhere"
        )

    def _request(
        self, url: str, headers: dict[str, str], wanted: _Wanted, beat: Heartbeat
    ) -> Answer:
        left = max(beat.last + self._timeout - time.monotonic(), 0.001)
        start, end = wanted.range or (0, None)
        end = end or None
        try:
            answer = self._connections.ask(url, headers, left, beat.beat, end, wanted.post)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error, url) from error
        if wanted.range is not None and answer.status == 200:  # from a server without ranges
            return replace(answer, body=answer.body[start:end])
        return answer

    def _failure(self, error: Exception, url: str) -> Exception:
        """Return what to raise for an exception of Python's HTTP client."""
        if isinstance(error, socket.gaierror):
            host = urlsplit(url).hostname
            return SourceError(
                f"{self._location.shown('')}: there is no host called {host}, or no network"
            )
        if isinstance(error, ConnectionRefusedError):
            return _Retryable("the connection is refused; is the server running?")
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return SourceError(f"{self._location.shown('')}: {one_line(error, 160)}")
        if isinstance(error, http.client.IncompleteRead):
            return _Retryable("the answer is cut off")
        if isinstance(error, (ConnectionError, ssl.SSLError, http.client.HTTPException)):
            return _Retryable("the connection broke off")
        reason = getattr(error, "strerror", None) or one_line(error, 160)
        return SourceError(f"{self._location.shown('')}: {reason}")


def _same_server(url: str, other: str) -> bool:
    a, b = urlsplit(url), urlsplit(other)
    return (a.scheme, a.netloc) == (b.scheme, b.netloc)


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
