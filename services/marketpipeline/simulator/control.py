"""The paths that no real exchange has: its status, health and metrics, and faults and scenarios on request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiohttp import web
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from marketpipeline.errors import InvalidInput
from marketpipeline.simulator.faults import FAULTS, Faults
from marketpipeline.simulator.schedule import unknown
from marketpipeline.simulator.server import Server
from marketpipeline.simulator.simulation.scenarios import SCENARIOS
from marketpipeline.simulator.simulation.source import TOUR, SimulatedMarket
from marketpipeline.simulator.timeline import Timeline
from marketpipeline.telemetry import Telemetry

__all__ = ["Control", "observe"]


class Control:
    """The paths that no real exchange has."""

    def __init__(self, server: Server, timeline: Timeline, faults: Faults) -> None:
        self._server = server
        self._timeline = timeline
        self._faults = faults
        self._simulated = timeline.source if isinstance(timeline.source, SimulatedMarket) else None
        self.failure = ""

    def add_to(self, app: web.Application) -> None:
        """Add the routes; they go before the exchange's own."""
        app.router.add_get("/control/status", self._status)
        app.router.add_post("/control/speed/{speed}", self._change_speed)
        app.router.add_get("/control/faults", self._list_faults)
        app.router.add_post("/control/faults/{name}", self._fire)
        app.router.add_get("/control/scenarios", self._list_scenarios)
        app.router.add_post("/control/scenarios/{name}", self._play)
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
            "mode": "replay" if self._simulated is None else "simulated",
            "symbols": list(timeline.source.symbols),
            "speed": timeline.speed,
            "clock": timeline.clock.now,
            "started": timeline.started,
            "finished": timeline.finished,
            "last_event_time": timeline.source.last_event_time,
            "frames": timeline.dispatched,
            "frames_sent": hub.sent(),
            "connections_opened": self._server.opened,
            "connections": connections,
            "faults": list(self._faults.fired),
            "scenarios": [] if self._simulated is None else list(self._simulated.played),
        }

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self.status())

    async def _change_speed(self, request: web.Request) -> web.Response:
        text = request.match_info["speed"]
        try:
            speed = None if text == "max" else float(text)
        except ValueError:
            speed = math.nan
        if speed is not None and not 0 < speed < math.inf:
            return web.json_response({"error": f"speed {text!r} must be a number above 0, or max"}, status=400)
        self._timeline.change_speed(speed)
        return web.json_response({"speed": speed})

    async def _list_faults(self, request: web.Request) -> web.Response:
        return web.json_response({name: fault.about for name, fault in FAULTS.items()})

    async def _list_scenarios(self, request: web.Request) -> web.Response:
        about = {name: scenario.about for name, scenario in SCENARIOS.items()}
        return web.json_response(about | {TOUR: "all of them in turn, again and again"})

    async def _fire(self, request: web.Request) -> web.Response:
        def fire(name: str, parameters: Mapping[str, str]) -> None:
            self._faults.fire(name, parameters, self._timeline.elapsed)

        return _act(request, FAULTS, fire)

    async def _play(self, request: web.Request) -> web.Response:
        if self._simulated is None:
            return web.json_response({"error": "a replay has no scenarios: what happened is recorded"}, status=409)
        return _act(request, [*SCENARIOS, TOUR], self._simulated.play)

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


def _act(request: web.Request, known: Iterable[str], act: Callable[[str, Mapping[str, str]], None]) -> web.Response:
    name = request.match_info["name"]
    if name not in known:
        return web.json_response({"error": f"{name!r} is unknown; {unknown(name, known)}"}, status=404)
    try:
        act(name, dict(request.query))
    except InvalidInput as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({"fired": name})


def observe(meter: Meter, server: Server, timeline: Timeline, faults: Faults) -> None:
    """Register the exchange's instruments."""
    hub = server.hub
    counters: dict[str, tuple[Callable[[], float], str]] = {
        "exchange.frames": (lambda: timeline.dispatched, "Frames of the source that were due so far."),
        "exchange.frames_sent": (hub.sent, "Frames sent to clients, each client counted."),
        "exchange.connections_opened": (lambda: server.opened, "Connections that clients opened."),
        "exchange.requests": (lambda: server.requests, "REST requests."),
        "exchange.faults": (lambda: faults.count, "Faults fired."),
    }
    gauges: dict[str, tuple[Callable[[], float], str]] = {
        "exchange.connections": (lambda: len(hub.connections), "Connections that are open."),
        "exchange.clock": (lambda: timeline.clock.now / 1e6, "The exchange's time, in seconds since the epoch."),
    }
    for name, (read, about) in counters.items():
        meter.create_observable_counter(name, [_callback(read)], description=about)
    for name, (read, about) in gauges.items():
        meter.create_observable_gauge(name, [_callback(read)], description=about)


def _callback(read: Callable[[], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(read())]
