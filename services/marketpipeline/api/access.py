"""Who may ask, and how often: API keys, and the limit of each client. Both for `/api/` alone; probes need neither.

A browser can send no header with a WebSocket or an EventSource, and an address ends up in logs and histories: a key has
no place in it. It asks for a ticket with its key, and opens the stream with that, which is good for half a minute and
for the stream alone. A ticket is signed with the client's key, so that each replica that has the keys knows it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import math
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketpipeline.api.limiter import Limiter, Verdict
from marketpipeline.api.problems import problem

__all__ = ["CLIENT", "LIMIT_HEADERS", "TICKET_SECONDS", "Access", "ApiKeys"]

_log = logging.getLogger(__name__)

CLIENT = "marketpipeline.client"
"""In the scope of a request the client whose key came with it."""

TICKET_SECONDS = 30
_LOOK_SECONDS = 5.0
_STREAM = "/api/v1/stream"
_NEEDED = "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"
_NEEDED_HERE = f"{_NEEDED}; or ?ticket= of a ticket from {_STREAM}/ticket, which is good for {TICKET_SECONDS} s"
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_HEADERS = ("x-api-key", "x-mbx-apikey")
"""The second is what clients of Binance's API send."""


class ApiKeys:
    """A folder with a file for each client: its name, and in it its key. A mounted Secret is one.

    It is read again every few seconds, so that a key that is added or taken away needs no restart. Keys are kept as
    hashes, by which one is looked up: how long that takes tells nothing of a key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clients: dict[bytes, str] = {}
        self._read_at = -math.inf

    def client(self, key: str) -> str | None:
        """Whose key it is."""
        return self._known().get(_hash(key.encode()))

    def ticket(self, client: str) -> str:
        """A ticket for a client that has a key. Raises KeyError for one whose key is gone."""
        until = int(time.time()) + TICKET_SECONDS
        key = {name: key for key, name in self._known().items()}[client]
        return f"{until}.{base64.urlsafe_b64encode(client.encode()).decode()}.{_signature(key, client, until)}"

    def holder(self, ticket: str) -> str | None:
        """Whose ticket it is, while it is good."""
        try:
            until_text, name_text, signature = ticket.split(".")
            until, name = int(until_text), base64.urlsafe_b64decode(name_text).decode()
        except (ValueError, binascii.Error):
            return None
        known = [key for key, client in self._known().items() if client == name]
        right = any(hmac.compare_digest(_signature(key, name, until).encode(), signature.encode()) for key in known)
        return name if right and until >= time.time() else None

    def _known(self) -> dict[bytes, str]:
        if time.monotonic() - self._read_at > _LOOK_SECONDS:
            self._read()
        return self._clients

    def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            files = [path for path in self._folder.iterdir() if not path.name.startswith(".") and path.is_file()]
            found = {_hash(content): path.name for path in files if (content := path.read_bytes().strip())}
        except OSError as error:
            _log.error("the API keys cannot be read; those that are known stay", extra={"error": str(error)})
            return
        if found.values() != self._clients.values() or not found:
            _log.info("API keys", extra={"clients": sorted(found.values())})
        self._clients = found


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _signature(key: bytes, client: str, until: int) -> str:
    return hmac.new(key, f"{until} {client}".encode(), hashlib.sha256).hexdigest()


class Access:
    """Refuses who has no key (401) and who asks too often (429), and tells everyone what is left."""

    def __init__(self, app: ASGIApp, keys: ApiKeys | None, limiter: Limiter | None) -> None:
        self._app, self._keys, self._limiter = app, keys, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        client = f"address {connection.client.host}" if connection.client else "unknown"
        if self._keys is not None:
            name = _client(self._keys, connection)
            if name is None:
                headers = {"WWW-Authenticate": 'Bearer realm="marketpipeline"'}
                needed = _NEEDED_HERE if scope["path"] == _STREAM else _NEEDED
                answer = problem(connection, HTTPStatus.UNAUTHORIZED, needed, headers=headers)
                await answer(scope, receive, send)
                return
            scope[CLIENT], client = name, f"key {name}"
        if self._limiter is None:
            await self._app(scope, receive, send)
            return
        verdict = self._limiter.ask(client)
        told = _told(self._limiter, verdict)
        if not verdict.allowed:
            text = f"{self._limiter.requests} requests within {self._limiter.seconds} s are allowed; wait"
            headers = {**told, "Retry-After": str(math.ceil(verdict.wait))}
            await problem(connection, HTTPStatus.TOO_MANY_REQUESTS, text, headers=headers)(scope, receive, send)
            return
        added = [(name.lower().encode(), value.encode()) for name, value in told.items()]

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, tell)


def _client(keys: ApiKeys, connection: HTTPConnection) -> str | None:
    """Whose key or, of a stream, whose ticket was sent."""
    headers: Any = connection.headers
    scheme, _, token = headers.get("authorization", "").partition(" ")
    sent = [token.strip()] if scheme.lower() == "bearer" else [headers[name] for name in _HEADERS if name in headers]
    if not sent and connection.scope["path"] == _STREAM:
        return keys.holder(connection.query_params.get("ticket", ""))
    return keys.client(sent[0] if sent else "")


def _told(limiter: Limiter, verdict: Verdict) -> dict[str, str]:
    reset = math.ceil(verdict.wait or limiter.seconds - time.time() % limiter.seconds)
    return dict(zip(LIMIT_HEADERS, map(str, (limiter.requests, verdict.remaining, reset)), strict=True))
