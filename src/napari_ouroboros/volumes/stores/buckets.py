"""How objects of a location are asked for over HTTP: their URLs, and the login that goes with it.

Buckets are web servers too. Reading an object is one GET; only its address and its login
differ, so one fetcher with one set of time limits and error messages serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from napari_ouroboros.volumes.stores.connections import basic_login
from napari_ouroboros.volumes.stores.credentials import cave_token, http_login
from napari_ouroboros.volumes.stores.location import Location


class CannotLogIn(Exception):
    """Credentials are there and cannot be used; the text says why and shows nothing of them."""


class Access(Protocol):
    """Addresses and logins of the objects below one location; safe to share between threads."""

    optional: bool
    """Whether the same request may be worth a try without the login: public buckets."""

    def url(self, name: str) -> str:
        """Where the object `name` is; may hold a signature."""

    def login(self, url: str) -> Mapping[str, str]:
        """Headers that prove who asks; may renew a token, which takes a request.

        Raises
        ------
        CannotLogIn
            The credentials do not work.
        """

    def moved(self, status: int, headers: Message) -> bool:
        """Whether this answer says to ask elsewhere; `url` gives the new address then."""

    def advice(self, status: int) -> str:
        """What to add to the message about a refusal."""


def make_access(location: Location, *, anonymous: bool = False) -> Access:
    """Return how to reach the objects of `location`, with a login where one is found."""
    if location.store == "gs":
        from napari_ouroboros.volumes.stores.buckets_google import GoogleAccess, google_credentials

        return GoogleAccess(location, None if anonymous else google_credentials(location))
    if location.store == "s3":
        from napari_ouroboros.volumes.stores.buckets_s3 import S3Access, aws_login

        return S3Access(location, None if anonymous else aws_login(location))
    return WebAccess(location)


def bucket_and_key(location: Location) -> tuple[str, str]:
    """Bucket and folder inside it (no slashes around it) of a ``gs://`` or ``s3...://`` base."""
    parts = urlsplit(location.base)
    if parts.scheme in ("gs", "s3"):
        return parts.netloc, unquote(parts.path).strip("/")
    bucket, _, key = unquote(parts.path).strip("/").partition("/")
    return bucket, key


def with_query(url: str, location: Location) -> str:
    """Add to `url` the query that the user wrote into the address."""
    if not location.query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{location.query}"


class WebAccess:
    """An ordinary web server: a name and a password, or the token of a CAVE login."""

    optional = False

    def __init__(self, location: Location) -> None:
        self._location = location
        host = urlsplit(location.base).hostname or ""
        self._headers: dict[str, str] = {}
        self._cave = location.middleauth or location.format == "graphene"
        token = cave_token(host) if self._cave else None
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        elif (login := location.user or http_login(host)) is not None:
            self._headers["Authorization"] = basic_login(":".join(login))

    def url(self, name: str) -> str:
        """See `Access.url`."""
        return with_query(
            f"{self._location.base}/{quote(name, safe='/:@!$&()*+,;=~')}", self._location
        )

    def login(self, url: str) -> Mapping[str, str]:
        """See `Access.login`."""
        return self._headers

    def moved(self, status: int, headers: Message) -> bool:
        """Never: redirects are followed as the server names them."""
        return False

    def advice(self, status: int) -> str:
        """See `Access.advice`."""
        if self._cave and "Authorization" not in self._headers:
            return (
                '; it wants the token of a CAVE login: put {"token": "..."} into '
                "~/.cloudvolume/secrets/cave-secret.json"
            )
        if self._cave:
            return "; it does not accept the token in ~/.cloudvolume/secrets/cave-secret.json"
        if status == 401:
            return "; it wants a name and a password"
        return REFUSED


REFUSED = "; it refuses to show it, or (as buckets answer) there is no such object"
