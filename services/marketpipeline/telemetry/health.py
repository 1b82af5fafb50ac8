"""The port of a process: `/health` (ready?), `/health/live` (alive?), `/metrics` (Prometheus' text format).

`/health/synced` answers 200 once a process has caught up, so that one that does the same is no longer needed.

It is served from a thread of its own, so that a busy event loop is seen by what `health` reports, not by a
probe that hangs.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from marketpipeline.telemetry.listening import listen

__all__ = ["Health", "HealthServer", "Status"]

_log = logging.getLogger(__name__)

Status = Literal["ok", "starting", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Health:
    """How a process is. `ok` and `degraded` (works, but a person should look) are ready; the others are not.

    `has_synced` is for a process that has to catch up before it can take over from another.
    """

    status: Status
    details: Mapping[str, object] = field(default_factory=dict)
    has_synced: bool = True

    @property
    def ready(self) -> bool:
        """Whether the process does its work."""
        return self.status in ("ok", "degraded")


class HealthServer:
    """Serves `health()` and `metrics()`; both are called on each request and must be quick and thread-safe.

    `alive()` tells whether the process should be kept: it turns False when its work has stalled for good.
    Raises InvalidInput when the port is in use. `port` is the one that was bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        health: Callable[[], Health],
        metrics: Callable[[], bytes],
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        def answer(path: str) -> tuple[int, str, bytes]:
            if path == "/metrics":
                return 200, "text/plain; version=0.0.4; charset=utf-8", metrics()
            if path == "/health/live":
                living = alive()
                return (200 if living else 503), "application/json", json.dumps({"alive": living}).encode()
            if path in ("/health", "/health/synced"):
                now = health()
                body = json.dumps({"status": now.status, **now.details}, default=str).encode()
                good = now.ready and (now.has_synced or path == "/health")
                return (200 if good else 503), "application/json", body
            return 404, "application/json", b'{"error": "not here; try /health, /health/live, /metrics"}'

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    status, content_type, body = answer(self.path.partition("?")[0])
                except Exception:  # noqa: BLE001 - whatever fails, the probe must get an answer
                    _log.exception("health check failed")
                    status, content_type, body = 500, "application/json", b'{"status": "failed"}'
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                with suppress(ConnectionError):  # a caller that has left before its answer is no news
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every second; they are no news."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._served: list[tuple[Server, threading.Thread]] = []
        for listener in listen(host, port):
            self.port: int = listener.getsockname()[1]
            server = Server(listener.getsockname(), Handler, bind_and_activate=False)
            server.socket.close()
            server.socket = listener
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="health", daemon=True)
            thread.start()
            self._served.append((server, thread))

    def close(self) -> None:
        """Stop serving and free the port."""
        for server, thread in self._served:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5)
