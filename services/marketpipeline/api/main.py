"""The process of the API: `marketpipeline api`."""

from __future__ import annotations

import logging
import signal
import socket

from marketpipeline.api.app import create_app
from marketpipeline.api.serving import Server
from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import ApiSettings
from marketpipeline.telemetry import Telemetry

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(settings: ApiSettings) -> int:
    """Serve until SIGTERM or SIGINT, then finish the requests at hand. Raises InvalidInput when the port is in use."""
    listener = _listen(settings.http.host, settings.http.port)
    telemetry = Telemetry.start(settings, "api", health=None)
    server = Server(create_app(settings, telemetry.meter), settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server takes both while it runs and raises them again at its end; they must not end us then.
        signal.signal(number, lambda *_: None)
    _log.info("serving", extra={"address": "{}:{}".format(*listener.getsockname()[:2])})
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        telemetry.close()
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        problem = Problem("http.port", port, f"must be free on {host}: {error.strerror}; choose another")
        raise InvalidInput("settings", [problem]) from error
