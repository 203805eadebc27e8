"""Google buckets over their JSON interface, with the credentials that cloud-volume would use."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_ouroboros.errors import one_line
from napari_ouroboros.volumes.stores.buckets import REFUSED, CannotLogIn, bucket_and_key, with_query
from napari_ouroboros.volumes.stores.credentials import machine_is, redact, secret_file
from napari_ouroboros.volumes.stores.location import Location

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_SERVER = "https://storage.googleapis.com"


class GoogleAccess:
    """See `napari_ouroboros.volumes.stores.buckets.Access`."""

    def __init__(self, location: Location, credentials: GoogleLogin | None) -> None:
        self._location = location
        self._credentials = credentials
        self.optional = credentials is not None
        bucket, self._folder = bucket_and_key(location)
        server = os.environ.get("STORAGE_EMULATOR_HOST") or _SERVER
        if "://" not in server:
            server = f"http://{server}"
        self._objects = f"{server.rstrip('/')}/download/storage/v1/b/{bucket}/o/"

    def url(self, name: str) -> str:
        """See `Access.url`."""
        key = f"{self._folder}/{name}" if self._folder else name
        return with_query(f"{self._objects}{quote(key, safe='')}?alt=media", self._location)

    def login(self, url: str) -> Mapping[str, str]:
        """See `Access.login`."""
        return {} if self._credentials is None else self._credentials.headers()

    def moved(self, status: int, headers: Message) -> bool:
        """Never: all buckets are at one address."""
        return False

    def advice(self, status: int) -> str:
        """See `Access.advice`."""
        if self._credentials is None:
            return f"{REFUSED}; no Google credentials were found"
        return REFUSED


class GoogleLogin:
    """Credentials of the google-auth library, their token renewed before it runs out."""

    def __init__(self, secret: Path | None) -> None:
        self._secret = secret
        self._credentials: Any = None
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """Return the headers of a request; see `Access.login`."""
        headers: dict[str, str] = {}
        try:
            with self._lock:
                if self._credentials is None:
                    self._credentials = self._load()
                if not self._credentials.valid:
                    self._credentials.refresh(_request())
                self._credentials.apply(headers)
        except Exception as error:  # google-auth has many, and files can hold anything
            reason = redact(one_line(error, 160))
            source = self._secret or "Google's default credentials"
            raise CannotLogIn(f"{source} cannot be used: {reason}") from error
        return headers

    def _load(self) -> Any:
        if self._secret is not None:
            from google.oauth2 import service_account

            return service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                str(self._secret), scopes=[_SCOPE]
            )
        import google.auth

        with warnings.catch_warnings():
            # About the quota of a person's own login, which reading does not use up.
            warnings.simplefilter("ignore", UserWarning)
            credentials, _ = google.auth.default(scopes=[_SCOPE])
        return credentials


def google_credentials(location: Location) -> GoogleLogin | None:
    """Return the login for a bucket where one is set up, without importing Google's libraries.

    Looked for as cloud-volume does: ``<bucket>-google-secret.json`` and ``google-secret.json``
    among its secrets, then Google's own default credentials: ``$GOOGLE_APPLICATION_CREDENTIALS``,
    ``gcloud auth application-default login``, the machine's account on Google's computers.
    """
    bucket, _ = bucket_and_key(location)
    secret = secret_file(f"{bucket}-google-secret.json", "google-secret.json")
    if secret is not None:
        return GoogleLogin(secret)
    settings = os.environ.get("CLOUDSDK_CONFIG")
    if not settings and os.name == "nt":
        settings = os.path.join(os.environ.get("APPDATA", ""), "gcloud")
    folder = Path(settings) if settings else Path.home() / ".config" / "gcloud"
    if (
        os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        or os.path.isfile(folder / "application_default_credentials.json")
        or machine_is("Google")
    ):
        return GoogleLogin(None)
    return None


def _request() -> Any:
    import urllib3
    from google.auth.transport.urllib3 import Request

    # The fetcher's own limit is the one that counts; this one ends the thread some time later.
    return Request(urllib3.PoolManager(timeout=30.0, retries=False))  # type: ignore[no-untyped-call]
