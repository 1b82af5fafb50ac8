"""The processes of the sinks: `marketpipeline sink-timescale`, `sink-redis`, and the daily `maintenance`."""

from __future__ import annotations

import signal
from types import FrameType

from marketpipeline.settings import RedisSinkSettings, SinkSettings, TimescaleSinkSettings
from marketpipeline.sinks.base import Sink
from marketpipeline.sinks.measures import Measures
from marketpipeline.sinks.runner import Runner
from marketpipeline.telemetry import Telemetry

__all__ = ["run_maintenance", "run_redis", "run_timescale"]


def run_timescale(settings: TimescaleSinkSettings) -> int:
    """Write to TimescaleDB or PostgreSQL until SIGTERM or SIGINT; the process's exit status."""
    from marketpipeline.sinks.timescale import TimescaleSink

    return _run(TimescaleSink(settings.store, f"{settings.pipeline}-sink"), settings)


def run_redis(settings: RedisSinkSettings) -> int:
    """Keep the latest values in Redis or Valkey until SIGTERM or SIGINT; the process's exit status."""
    from marketpipeline.sinks.redis import RedisSink

    return _run(RedisSink(settings.store), settings)


def run_maintenance(settings: TimescaleSinkSettings) -> int:
    """Drop what is older than its retention, once; the process's exit status."""
    from marketpipeline.sinks.timescale.maintenance import run

    return run(settings)


def _run(sink: Sink, settings: SinkSettings) -> int:
    measures = Measures(sink.name)
    telemetry = Telemetry.start(settings, f"sink-{sink.name}", measures.health, measures.alive)
    try:
        runner = Runner(sink, settings, measures)
        measures.attach(telemetry)

        def stop(_: int, __: FrameType | None) -> None:
            runner.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        return 0 if runner.run() else 1
    finally:
        telemetry.close()
