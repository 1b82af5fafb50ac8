"""The process of the dashboard: `marketpipeline dashboard`."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.serving import make_server
from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import DashboardSettings
from marketpipeline.telemetry import Telemetry

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(settings: DashboardSettings) -> int:
    """Serve until SIGTERM or SIGINT. Raises InvalidInput when the port is in use."""
    listener = _listen(settings.http.host, settings.http.port)
    telemetry = Telemetry.start(settings, "dashboard", health=None)
    desk = Desk(settings)
    server = make_server(desk)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server takes both while it runs and raises them again at its end; they must not end us then.
        signal.signal(number, lambda *_: None)
    _log.info("serving", extra={"address": "{}:{}".format(*listener.getsockname()[:2])})
    desk.start()
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve([listener]))
    finally:
        desk.close()
        listener.close()
        telemetry.close()
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        problem = Problem("http.port", port, f"must be free on {host}: {error.strerror}; choose another")
        raise InvalidInput("settings", [problem]) from error
