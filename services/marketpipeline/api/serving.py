"""How the application is served over HTTP/1.1 and WebSockets."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from marketpipeline.settings import ApiSettings

__all__ = ["Server"]

_DRAIN_SECONDS = 8
_LARGEST_FRAME = 4_096
"""Bytes that a client of the stream may send at once; it has nothing to say."""


class Server(uvicorn.Server):
    """Serves until it is told to stop; then it ends the streams and finishes the requests at hand."""

    def __init__(self, app: FastAPI, settings: ApiSettings) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            ws="websockets-sansio",
            ws_max_size=_LARGEST_FRAME,
            ws_per_message_deflate=False,
        )
        super().__init__(config)
        self._streaming = app.state.streaming

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base has it."""
        await self._streaming.close()
        await super().shutdown(sockets)
