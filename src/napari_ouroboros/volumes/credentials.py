"""Names and passwords of http(s) sources: where cloud-volume finds them, and never in a text."""

from __future__ import annotations

import json
import netrc
import os
import re
from pathlib import Path

from napari_ouroboros.errors import UserError


def http_login(host: str) -> tuple[str, str] | None:
    """Return (user, password) for `host`, or ``None``.

    Looked for in cloud-volume's ``http-secret.json`` (in ``$CLOUD_VOLUME_DIR/secrets``, by default
    ``~/.cloudvolume/secrets``, or the same below ``$CLOUD_FILES_DIR`` / ``~/.cloudfiles``), then
    in ``$NETRC`` or ``~/.netrc``.

    Raises
    ------
    UserError
        The secret file is there and cannot be understood. Its contents are never shown.
    """
    home = Path.home()
    for folder in (
        os.environ.get("CLOUD_VOLUME_DIR", home / ".cloudvolume"),
        os.environ.get("CLOUD_FILES_DIR", home / ".cloudfiles"),
    ):
        path = Path(folder) / "secrets" / "http-secret.json"
        if path.is_file():
            try:
                secret = json.loads(path.read_text(encoding="utf-8"))
                return str(secret["user"]), str(secret["password"])
            except (OSError, ValueError, KeyError, TypeError):
                raise UserError(f'{path} must be JSON with "user" and "password"') from None
    path = Path(os.environ.get("NETRC", home / ".netrc"))
    try:
        found = netrc.netrc(path).authenticators(host)
    except FileNotFoundError:
        return None
    except (OSError, netrc.NetrcParseError):
        raise UserError(f"{path} cannot be read as a netrc file") from None
    return (found[0] or "", found[2] or "") if found else None


# A slash may be written as %2F, and so on, where a URL lies inside another one. A password
# that was pasted as it is may hold anything; "name:" and no port number give it away.
_LOGIN = re.compile(
    r"(//|%2F%2F)(?:(?:(?!%2F)[^/\s|?#\"<>])*(?:@|%40)"
    r"|[^/\s:|?#\"<>@]+:(?!\d*(?:[/?#|\s]|$))[^\s\"<>]*@)",
    re.IGNORECASE,
)
# "url: /path" is how urllib3 names what it asked for.
_QUERY = re.compile(
    r"((?:(?:://|url: /)[^\s?|#\"'<>]*?|%3A%2F%2F[^\s?|#\"'<>]*?))(?:\?|%3F)[^\s|#\"'<>]*",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Return `text` with no user, password or query (it may be a signature) in any URL in it."""
    return _QUERY.sub(r"\1", _LOGIN.sub(r"\1", text))
