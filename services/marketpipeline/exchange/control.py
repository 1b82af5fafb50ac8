"""What the exchange says of itself and lets itself be told: status, health, metrics, faults and scenarios."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from marketpipeline.exchange.server import Server
from marketpipeline.exchange.timeline import Timeline
from marketpipeline.telemetry import Telemetry

__all__ = ["Control"]


class Control:
    """The paths that no real exchange has."""

    def __init__(self, server: Server, timeline: Timeline, mode: str) -> None:
        self._server = server
        self._timeline = timeline
        self._mode = mode
        self.failure = ""

    def add_to(self, app: web.Application) -> None:
        """Add the routes; they go before the exchange's own."""
        app.router.add_get("/control/status", self._status)
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/metrics", self._metrics)

    def status(self) -> dict[str, Any]:
        """Where the exchange stands; times in exchange microseconds."""
        timeline, hub = self._timeline, self._server.hub
        now = time.monotonic()
        connections = [
            {
                "number": connection.number,
                "streams": list(connection.streams),
                "frames_sent": connection.frames_sent,
                "bytes_sent": connection.bytes_sent,
                "age_seconds": round(now - connection.opened, 3),
            }
            for connection in hub.connections.values()
        ]
        return {
            "mode": self._mode,
            "symbols": list(timeline.source.symbols),
            "speed": timeline.speed,
            "clock": timeline.clock.now,
            "started": timeline.started,
            "finished": timeline.finished,
            "last_event_time": timeline.source.last_event_time,
            "frames": timeline.dispatched,
            "frames_sent": hub.frames_sent + sum(c.frames_sent for c in hub.connections.values()),
            "connections_opened": self._server.opened,
            "connections": connections,
        }

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self.status())

    async def _health(self, request: web.Request) -> web.Response:
        if self.failure:
            return web.json_response({"status": "failed", "failure": self.failure}, status=503)
        status = self.status()
        del status["connections"]
        return web.json_response({"status": "ok", **status})

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=Telemetry.prometheus(), headers={"Content-Type": "text/plain; version=0.0.4"})
