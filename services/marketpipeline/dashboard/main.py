"""The process of the dashboard: `marketpipeline dashboard`."""

from __future__ import annotations

import asyncio
import logging
import signal

from marketpipeline.dashboard.desk import Desk
from marketpipeline.dashboard.serving import make_server
from marketpipeline.settings import DashboardSettings
from marketpipeline.telemetry import Telemetry, address_of, listen

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(settings: DashboardSettings) -> int:
    """Serve until SIGTERM or SIGINT. Raises InvalidInput when the port is in use."""
    listeners = listen(settings.http.host, settings.http.port)
    telemetry = Telemetry.start(settings, "dashboard", health=None)
    desk = Desk(settings)
    server = make_server(desk)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The server takes both while it runs and raises them again at its end; they must not end us then.
        signal.signal(number, lambda *_: None)
    _log.info("serving", extra={"address": address_of(listeners[0])})
    desk.start()
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(listeners))
    finally:
        desk.close()
        for listener in listeners:
            listener.close()
        telemetry.close()
    return 0 if server.started else 1
