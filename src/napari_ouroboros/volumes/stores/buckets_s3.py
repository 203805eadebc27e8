"""S3 buckets, Amazon's and others', with the credentials that cloud-volume would use."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_ouroboros.errors import UserError, one_line
from napari_ouroboros.volumes.stores.buckets import REFUSED, CannotLogIn, bucket_and_key, with_query
from napari_ouroboros.volumes.stores.credentials import machine_is, secret_file
from napari_ouroboros.volumes.stores.location import Location

_REGION = "us-east-1"  # what S3 takes where no region is named


class S3Access:
    """See `napari_ouroboros.volumes.stores.buckets.Access`."""

    def __init__(self, location: Location, login: AwsLogin | None) -> None:
        self._location = location
        self._login = login
        self.optional = login is not None
        self._bucket, self._folder = bucket_and_key(location)
        self._server = ""
        if location.base.startswith("s3+"):
            self._server = location.base.removeprefix("s3+")
            self._server = "/".join(self._server.split("/")[:3])
        else:
            self._server = (
                os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
            ).rstrip("/")
        self._moved_to = ""  # region

    def url(self, name: str) -> str:
        """See `Access.url`."""
        key = f"{self._folder}/{name}" if self._folder else name
        return with_query(f"{self._root()}/{quote(key, safe='/~')}", self._location)

    def login(self, url: str) -> Mapping[str, str]:
        """See `Access.login`."""
        return {} if self._login is None else self._login.headers(url, self._moved_to)

    def moved(self, status: int, headers: Message) -> bool:
        """Whether the bucket is in another region than was thought; signatures name theirs."""
        region = headers.get("x-amz-bucket-region") or ""
        known = self._moved_to or (self._login.region if self._login is not None else "")
        if status not in (301, 307, 400) or not region or region == known:
            return False
        self._moved_to = region
        return True

    def advice(self, status: int) -> str:
        """See `Access.advice`."""
        return REFUSED if self._login is not None else f"{REFUSED}; no AWS credentials were found"

    def _root(self) -> str:
        if self._server:
            return f"{self._server}/{self._bucket}"
        region = self._moved_to or (self._login.region if self._login is not None else "")
        host = f"s3.{region}.amazonaws.com" if region else "s3.amazonaws.com"
        if region.startswith("cn-"):
            host += ".cn"
        # A certificate for *.s3.amazonaws.com does not cover a bucket with dots in its name.
        if "." in self._bucket or self._bucket != self._bucket.lower():
            return f"https://{host}/{self._bucket}"
        return f"https://{self._bucket}.{host}"


class AwsLogin:
    """Keys and the signatures made with them (Signature Version 4, by botocore)."""

    def __init__(self, secret: Mapping[str, str] | None) -> None:
        self._secret = secret
        self._lock = threading.Lock()
        self._loaded: tuple[Any, str] | None = None

    @property
    def region(self) -> str:
        """The region that the settings name."""
        return self._load()[1]

    def headers(self, url: str, region: str = "") -> dict[str, str]:
        """Return the headers that sign a GET of `url`; see `Access.login`."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        credentials, named = self._load()
        request = AWSRequest(method="GET", url=url)
        try:
            if credentials is None:
                raise ValueError("the profile has no keys")
            frozen = credentials.get_frozen_credentials()  # renewed here where they are temporary
            S3SigV4Auth(frozen, "s3", region or named).add_auth(request)
        except Exception as error:  # botocore has many
            raise CannotLogIn(
                f"the AWS credentials cannot be used: {one_line(error, 160)}"
            ) from error
        return dict(request.headers.items())

    def _load(self) -> tuple[Any, str]:
        with self._lock:
            if self._loaded is None:
                self._loaded = _from_secret(self._secret) if self._secret else _from_settings()
            return self._loaded


def aws_login(location: Location) -> AwsLogin | None:
    """Return the login for a bucket where one is set up, without importing Amazon's libraries.

    Looked for as cloud-volume does: ``<bucket>-aws-secret.json`` and ``aws-secret.json`` among its
    secrets, then Amazon's own places: ``$AWS_ACCESS_KEY_ID``, the profiles in ``~/.aws``, the
    machine's role on Amazon's computers.
    """
    bucket, _ = bucket_and_key(location)
    path = secret_file(f"{bucket}-aws-secret.json", "aws-secret.json")
    if path is not None:
        try:
            secret = json.loads(path.read_text(encoding="utf-8"))
            keys = secret["AWS_ACCESS_KEY_ID"], secret["AWS_SECRET_ACCESS_KEY"]
            if not all(isinstance(key, str) and key for key in keys):
                raise ValueError("a key is empty")
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f'{path} must be JSON with "AWS_ACCESS_KEY_ID" and "AWS_SECRET_ACCESS_KEY"'
            ) from None
        return AwsLogin(secret)
    home = Path.home() / ".aws"
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials",
        os.environ.get("AWS_CONFIG_FILE") or home / "config",
    )
    variables = (
        *("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    )
    if (
        any(os.environ.get(name) for name in variables)
        or any(os.path.isfile(file) for file in files)
        or machine_is("Amazon EC2")
    ):
        return AwsLogin(None)
    return None


def _from_secret(secret: Mapping[str, str]) -> tuple[Any, str]:
    from botocore.credentials import Credentials

    keys = Credentials(
        secret["AWS_ACCESS_KEY_ID"],
        secret["AWS_SECRET_ACCESS_KEY"],
        secret.get("AWS_SESSION_TOKEN"),
    )
    return keys, secret.get("AWS_DEFAULT_REGION") or _REGION


def _from_settings() -> tuple[Any, str]:
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        session = botocore.session.Session()
        if not machine_is("Amazon EC2"):
            # Elsewhere nobody answers there, and finding that out takes seconds.
            session.get_component("credential_provider").remove("iam-role")
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or _REGION
        return session.get_credentials(), region
    except BotoCoreError as error:
        raise CannotLogIn(f"the AWS settings cannot be used: {one_line(error, 160)}") from error
