"""The name and password for an http(s) source, from where cloud-volume finds them."""

from __future__ import annotations

import json
import netrc
import os
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
