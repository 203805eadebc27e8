"""Neuroglancer links: the state behind ``#!``, in every way in which it is written."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from napari_ouroboros.errors import SourceError, UserError
from napari_ouroboros.neuroglancer.json_text import decode, parse_json
from napari_ouroboros.volumes.stores.credentials import redact

#: Seconds that a server may take to deliver a state.
TIMEOUT = 20.0
_DEFAULT = "https://neuroglancer-demo.appspot.com/"
_URL = re.compile(r"(middleauth\+)?(https?|gs|s3|file)://")


def is_link(text: str) -> bool:
    """Whether `text` is a link or the part of one from ``#!`` on, and not a path."""
    text = text.lstrip()
    return text.startswith("#!") or (_URL.match(text) is not None and not text.startswith("file:"))


def make_link(state: dict[str, Any], base: str = _DEFAULT) -> str:
    """Return a link that opens `state` in the Neuroglancer at `base`."""
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # What encodeURI leaves alone, less the characters that mail and chat programs cut off.
    return f"{base.partition('#')[0]}#!{quote(text, safe='~@$&+=:?/-_.')}"


def read_link(link: str) -> dict[str, Any] | str:
    """Return the state that `link` holds, or the URL of the JSON that it points to.

    Raises
    ------
    UserError
        Where there is no state in it, or a broken one: one line with line and column.
    """
    link = link.strip()
    _, mark, fragment = link.partition("#")
    if not mark:
        # Some sites keep their states on a server and name them in the query.
        named = parse_qs(urlsplit(link).query).get("json_url")
        return named[0] if named else link
    fragment = fragment.removeprefix("!")
    if not fragment:
        raise UserError("this link holds no state: nothing follows '#!'")
    try:
        text = unquote(fragment, errors="strict")
    except UnicodeDecodeError:
        raise UserError("the state in this link is not UTF-8; copy the link again") from None
    if _URL.match(text):
        return text
    text = text.removeprefix("+")  # "#!+{...}" adds to a state; here there is none before it
    if not text.lstrip().startswith("{"):
        raise UserError(
            "this link holds no state: what follows '#!' is neither JSON nor a URL of it"
        )
    return parse_json(plain_json(text), "the state in this link")


def plain_json(text: str) -> str:
    """Turn Neuroglancer's old URL-safe JSON (``'`` quotes, ``_`` or ``&`` for ``,``) into JSON.

    Plain JSON comes back as it is.
    """
    return re.sub(
        r"""("(?:[^"\\]|\\.)*")|'((?:[^'\\]|\\.)*)'|[_&]""", _plain_token, text, flags=re.DOTALL
    )


def _plain_token(match: re.Match[str]) -> str:
    double, single = match.groups()
    if double is not None:
        return str(double)
    if single is None:
        return ","
    inner = re.sub(
        r"""\\'|\\.|\"""",
        lambda m: {"\\'": "'", '"': '\\"'}.get(m.group(), m.group()),
        single,
        flags=re.DOTALL,
    )
    return f'"{inner}"'


def http_url(url: str) -> str:
    """Return the http(s) URL of an object in a public bucket; other URLs as they are."""
    url = url.removeprefix("middleauth+")
    parts = urlsplit(url)
    if parts.scheme == "gs":
        return f"https://storage.googleapis.com/{parts.netloc}{parts.path}"
    if parts.scheme == "s3":
        return f"https://{parts.netloc}.s3.amazonaws.com{parts.path}"
    return url


def fetch_json(url: str) -> dict[str, Any]:
    """Fetch the state at an http(s), gs or s3 URL.

    Raises
    ------
    SourceError
        Where the server refuses, or does not deliver within `TIMEOUT` seconds.
    UserError
        Where what it delivers is no JSON object.
    """
    from napari_ouroboros.volumes.stores.deadline import call
    from napari_ouroboros.volumes.stores.fetch import make_fetcher
    from napari_ouroboros.volumes.stores.location import parse_location

    shown = redact(url)
    parts = urlsplit(http_url(url))
    folder, _, name = parts.path.rpartition("/")
    if not parts.netloc or not name:
        raise UserError(f"{shown} is not the URL of a state: it names no file")
    location = parse_location(urlunsplit(parts._replace(path=folder, fragment="")))
    fetcher = make_fetcher(location, TIMEOUT)
    try:
        data = call(lambda: fetcher.get(unquote(name)), TIMEOUT, shown)
    except SourceError as error:
        if not url.startswith("middleauth+"):
            raise
        raise SourceError(
            f"{error}; log in there with a browser, save the state as JSON and give that file"
        ) from error
    finally:
        fetcher.close()
    if data is None:
        raise SourceError(f"there is no state at {shown}")
    if data.lstrip()[:1] == b"<":
        raise UserError(f"{shown} is a web page, not a state; give the link that ends in #!...")
    return decode(data, shown)
