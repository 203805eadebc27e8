"""Names, passwords and keys: where cloud-volume finds them, and never in a text."""

from __future__ import annotations

import json
import netrc
import os
import re
from functools import cache
from pathlib import Path

from napari_ouroboros.errors import UserError


def secret_folders() -> tuple[Path, ...]:
    """Return the folders in which `secret_file` looks, the first first; not all are there."""
    home = Path.home()
    folders = (
        Path(os.environ.get("CLOUD_VOLUME_DIR") or home / ".cloudvolume"),
        Path(os.environ.get("CLOUD_FILES_DIR") or home / ".cloudfiles"),
        home / ".neuroglancer",
        Path("/"),
    )
    return tuple(folder / "secrets" for folder in folders)


def secret_file(*names: str) -> Path | None:
    """Return the first of these files that is among cloud-volume's secrets, or ``None``.

    They are in ``$CLOUD_VOLUME_DIR/secrets``, by default ``~/.cloudvolume/secrets``, the same
    below ``$CLOUD_FILES_DIR`` / ``~/.cloudfiles``, in ``~/.neuroglancer/secrets``, or, in
    containers, in ``/secrets``.
    """
    for name in names:
        for folder in secret_folders():
            path = folder / name
            if os.path.isfile(path):  # False, unlike Path.is_file, where one may not look
                return path
    return None


def http_login(host: str) -> tuple[str, str] | None:
    """Return (user, password) for `host`, or ``None``.

    Looked for in ``http-secret.json`` (see `secret_file`), then in ``$NETRC`` or ``~/.netrc``.

    Raises
    ------
    UserError
        The secret file is there and cannot be understood. Its contents are never shown.
    """
    path = secret_file("http-secret.json")
    if path is not None:
        try:
            secret = json.loads(path.read_text(encoding="utf-8"))
            return str(secret["user"]), str(secret["password"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f'{path} must be JSON with "user" and "password"') from None
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        found = netrc.netrc(path).authenticators(host)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, netrc.NetrcParseError):
        raise UserError(f"{path} cannot be read as a netrc file") from None
    return (found[0] or "", found[2] or "") if found else None


def cave_token(host: str) -> str | None:
    """Return the token of the CAVE login for `host`, or ``None``.

    Looked for in ``<host>-cave-secret.json``, ``cave-secret.json`` and
    ``chunkedgraph-secret.json`` (see `secret_file`).

    Raises
    ------
    UserError
        The file is there and cannot be understood. Its contents are never shown.
    """
    path = secret_file(f"{host}-cave-secret.json", "cave-secret.json", "chunkedgraph-secret.json")
    if path is None:
        return None
    try:
        token = json.loads(path.read_text(encoding="utf-8"))["token"]
        # Whatever else is in the file must not end up in the head of a request.
        if not re.fullmatch(r"[A-Za-z0-9+/=._~-]+", token):
            raise ValueError("not a token")
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f'{path} must be JSON with a "token"') from None
    return str(token)


@cache
def machine_is(maker: str) -> bool:
    """Whether this computer is rented from `maker`, whose network has credentials for it."""
    for name in ("sys_vendor", "product_name"):
        try:
            if maker in Path("/sys/class/dmi/id", name).read_text(encoding="utf-8"):
                return True
        except (OSError, ValueError):
            continue  # not Linux, or not allowed to look
    return False


# A slash may be written as %2F, and so on, where a URL lies inside another one. A password
# that was pasted as it is may hold anything; "name:" and no port number give it away.
_LOGIN = re.compile(
    r"((?<!/)//|%2F%2F)(?:(?:(?!%2F)[^/\s|?#\"<>])*(?:@|%40)"
    r"|[^/\s:|?#\"<>@\[]+:(?!\d*(?:[/?#|\s]|$))[^\s\"<>]*@)",
    re.IGNORECASE,
)
# "url: /path" is how urllib3, below other libraries, names what it asked for.
_QUERY = re.compile(
    r"((?:(?:://|url: /)[^\s?|#\"'<>]*?|%3A%2F%2F[^\s?|#\"'<>]*?))"
    r"(?:\?|%3F)(?!timestamp=\d+(?![^\s|#\"'<>:;,.)]))[^\s|#\"'<>]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with no user, password or query (it may be a signature) in any URL in it.

    The timestamp of a graphene segmentation stays: without it, it would be another segmentation.
    """
    return _QUERY.sub(r"\1", _LOGIN.sub(r"\1", text))
