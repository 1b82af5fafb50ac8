"""How the application is served: HTTP/1.1 and WebSockets, with TLS where there is a certificate."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import ApiSettings

__all__ = ["HealthServer", "Server"]

_log = logging.getLogger(__name__)

_DRAIN_SECONDS = 8
_LARGEST_FRAME = 4_096
"""Bytes that a client of the stream may send at once; it has nothing to say."""
_LOOK_SECONDS = 10.0


class Server(uvicorn.Server):
    """Serves until it is told to stop; then it ends the streams and finishes the requests at hand.

    A certificate that is renewed in its folder is taken for the connections that come. Raises InvalidInput for one that
    cannot be used.
    """

    def __init__(self, app: FastAPI, settings: ApiSettings) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            forwarded_allow_ips=settings.trusted_proxies,
            ws="websockets-sansio",
            ws_max_size=_LARGEST_FRAME,
            ws_per_message_deflate=False,
        )
        super().__init__(config)
        self._streaming = app.state.streaming
        self._folder = settings.tls_folder
        self._renewing: asyncio.Task[None] | None = None
        config.load()
        if self._folder is not None:
            config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
            self._load(config.ssl, self._folder)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base has it."""
        await super().startup(sockets)
        if self._folder is not None:
            self._renewing = asyncio.create_task(self._renew(self._folder))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base has it."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self._streaming.close()
        await super().shutdown(sockets)

    async def _renew(self, folder: Path) -> None:
        """A mounted Secret changes by a link to another folder, so the file's time tells."""
        seen = _changed(folder)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if (now := _changed(folder)) != seen and isinstance(self.config.ssl, ssl.SSLContext):
                try:
                    self._load(self.config.ssl, folder)
                except InvalidInput as error:
                    _log.error("the renewed certificate cannot be used; the old one stays", extra={"error": str(error)})
                else:
                    _log.info("the certificate was renewed")
                seen = now

    @staticmethod
    def _load(context: ssl.SSLContext, folder: Path) -> None:
        try:
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        except (OSError, ssl.SSLError) as error:
            words = f"must hold tls.crt and tls.key, a certificate in PEM form and its key: {error}"
            raise InvalidInput("settings", [Problem("tls_folder", str(folder), words)]) from error


def _changed(folder: Path) -> tuple[int, ...]:
    try:
        return tuple(path.stat().st_mtime_ns for path in (folder / "tls.crt", folder / "tls.key"))
    except OSError:
        return ()


class HealthServer(uvicorn.Server):
    """Serves health and metrics alone over plain HTTP, for the platform, beside one that serves HTTPS."""

    def __init__(self, app: ASGIApp) -> None:
        async def only(scope: Scope, receive: Receive, send: Send) -> None:
            known = scope["path"].startswith(("/health", "/metrics"))
            await (app if known else Response(status_code=404))(scope, receive, send)

        super().__init__(
            uvicorn.Config(only, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none")
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The other server takes them."""
        yield
