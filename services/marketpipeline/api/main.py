"""The process of the API: `marketpipeline api`."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

from fastapi import FastAPI

from marketpipeline.api.app import create_app
from marketpipeline.api.serving import HealthServer, Server
from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import ApiSettings
from marketpipeline.telemetry import Telemetry

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(settings: ApiSettings) -> int:
    """Serve until SIGTERM or SIGINT, then finish the requests at hand. Raises InvalidInput when the port is in use."""
    listener = _listen(settings.http.host, settings.http.port)
    telemetry = Telemetry.start(settings, "api", health=None)
    app = create_app(settings, telemetry.meter)
    server = Server(app, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server takes both while it runs and raises them again at its end; they must not end us then.
        signal.signal(number, lambda *_: None)
    _log.info("serving", extra={"address": "{}:{}".format(*listener.getsockname()[:2])})
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(app, server, settings, listener))
    finally:
        listener.close()
        telemetry.close()
    return 0 if server.started else 1


async def _serve(app: FastAPI, server: Server, settings: ApiSettings, listener: socket.socket) -> None:
    """Serve, and health and metrics beside it on a port of their own where that is set."""
    if settings.health_port is None:
        await server.serve([listener])
        return
    beside = _listen(settings.http.host, settings.health_port, "health_port")
    health = HealthServer(app)
    serving = asyncio.create_task(health.serve([beside]))
    try:
        await server.serve([listener])
    finally:
        health.should_exit = True
        await serving
        beside.close()


def _listen(host: str, port: int, field: str = "http.port") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        problem = Problem(field, port, f"must be free on {host}: {error.strerror}; choose another")
        raise InvalidInput("settings", [problem]) from error
