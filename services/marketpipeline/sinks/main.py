"""The process of a sink: `marketpipeline sink-<kind>`."""

from __future__ import annotations

import signal
from types import FrameType

from marketpipeline.registry import resolve
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.base import Sink
from marketpipeline.sinks.metrics import SinkMetrics
from marketpipeline.sinks.runner import Runner
from marketpipeline.telemetry import Telemetry

__all__ = ["run"]


def run(settings: SinkSettings, target: str) -> int:
    """Write to a store until SIGTERM or SIGINT; the process's exit status. `target` names what makes the sink."""
    sink: Sink = resolve(target)(settings)
    metrics = SinkMetrics(sink.name)
    telemetry = Telemetry.start(settings, f"sink-{sink.name}", metrics.health, metrics.alive)
    try:
        runner = Runner(sink, settings, metrics)
        metrics.attach(telemetry)

        def stop(_: int, __: FrameType | None) -> None:
            runner.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        return 0 if runner.run() else 1
    finally:
        telemetry.close()
