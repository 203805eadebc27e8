"""A small web server that plays Google's buckets, and an S3 with a will of its own.

Objects are in memory. Google's JSON interface (downloads and the exchange of a service account's
signed request for a token) is checked against Google's own client in the tests. Signatures of S3
are not looked at here: moto does that.
"""

from __future__ import annotations

import json
import re
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class BucketServer:
    """Use as a context manager.

    Attributes
    ----------
    objects : dict of (bucket, key) -> (body, content encoding)
    public : set of str
        Buckets that anybody may read; the others want the token in `token`.
    token : str
        What the token exchange gives out and private buckets want.
    lifetime : int
        Seconds that a token is said to live.
    region : str
        Where S3 requests have to be signed for; others are told so.
    seen : list of (path, headers)
    tokens_given : int
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.public: set[str] = set()
        self.token = "t0ken-1"
        self.lifetime = 3600
        self.region = ""
        self.seen: list[tuple[str, Message]] = []
        self.tokens_given = 0

    def __enter__(self) -> BucketServer:
        owner = self

        class Handler(_Handler):
            bucket_server = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def logins(self) -> list[str]:
        """The Authorization header of every request for an object, "" where there was none."""
        return [headers.get("Authorization", "") for path, headers in self.seen if path != "/token"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket_server: BucketServer

    def do_GET(self) -> None:
        server = self.bucket_server
        parts = urlsplit(self.path)
        server.seen.append((self.path, self.headers))
        login = self.headers.get("Authorization", "")
        google = re.fullmatch(r"/(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)", parts.path)
        if google:
            bucket, key = unquote(google[1]), unquote(google[2])
            known = login in ("", f"Bearer {server.token}")
            refusal = 401
        else:
            bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
            region = re.search(r"Credential=[^/]+/\d+/([^/]+)/s3/aws4_request", login)
            if server.region and region and region[1] != server.region:
                self._send(400, b"<Error/>", {"x-amz-bucket-region": server.region})
                return
            known = login == "" or (server.region != "" and region is not None)
            refusal = 403
        if not known or (bucket not in server.public and not login):
            self._send(refusal, b"who are you?\n", {})
            return
        if (bucket, key) not in server.objects:
            self._send(404, b"no such object\n", {})
            return
        body, encoding = server.objects[bucket, key]
        if google and parse_qs(parts.query).get("alt") != ["media"]:
            facts = {"name": key, "bucket": bucket, "size": str(len(body))}
            self._send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})
            return
        headers = {"Content-Encoding": encoding} if encoding else {}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, body, headers)
            return
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(body))
        if start >= stop:
            self._send(416, b"", {})
            return
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        self._send(206, body[start:stop], headers)

    def do_POST(self) -> None:
        server = self.bucket_server
        server.seen.append((self.path, self.headers))
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/token":
            self._send(404, b"", {})
            return
        server.tokens_given += 1
        answer = {
            "access_token": server.token,
            "expires_in": server.lifetime,
            "token_type": "Bearer",
        }
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""
