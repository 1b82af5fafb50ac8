"""What the exchange shows of itself on `/metrics`; plain numbers that are read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from marketpipeline.simulator.faults import Faults
from marketpipeline.simulator.server import Server
from marketpipeline.simulator.timeline import Timeline

__all__ = ["observe"]


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
