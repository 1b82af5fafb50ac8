"""The process of the API: `marketpipeline api`."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

from fastapi import FastAPI

from marketpipeline.api.app import create_app
from marketpipeline.api.serving import HealthServer, Server
from marketpipeline.settings import ApiSettings
from marketpipeline.telemetry import Telemetry, address_of, listen

__all__ = ["run"]

_log = logging.getLogger(__name__)
_BACKLOG = 512


def run(settings: ApiSettings) -> int:
    """Serve until SIGTERM or SIGINT, then finish the requests at hand. Raises InvalidInput when the port is in use."""
    listeners = listen(settings.http.host, settings.http.port, backlog=_BACKLOG)
    telemetry = Telemetry.start(settings, "api", health=None)
    app = create_app(settings, telemetry.meter)
    server = Server(app, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server takes both while it runs and raises them again at its end; they must not end us then.
        signal.signal(number, lambda *_: None)
    _log.info("serving", extra={"address": address_of(listeners[0])})
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(app, server, settings, listeners))
    finally:
        for listener in listeners:
            listener.close()
        telemetry.close()
    return 0 if server.started else 1


async def _serve(app: FastAPI, server: Server, settings: ApiSettings, listeners: list[socket.socket]) -> None:
    """Serve, and health and metrics beside it on a port of their own where that is set."""
    if settings.health_port is None:
        await server.serve(listeners)
        return
    beside = listen(settings.http.host, settings.health_port, "health_port", backlog=_BACKLOG)
    health = HealthServer(app)
    serving = asyncio.create_task(health.serve(beside))
    try:
        await server.serve(listeners)
    finally:
        health.should_exit = True
        await serving
        for listener in beside:
            listener.close()
