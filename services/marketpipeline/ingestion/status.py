"""What an ingestion process shows of itself: `/health` and `/metrics`, from plain counters that the hot path keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias, get_args

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from marketpipeline.errors import MarketPipelineError
from marketpipeline.ingestion.engine import Engine
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.session import Session
from marketpipeline.records import FeedEventKind
from marketpipeline.telemetry import Health

__all__ = ["Process", "health", "instrument"]


class Process(Protocol):
    """What is looked at: `doing` says what it is at while it is not yet running; what does not exist yet is None."""

    session: Session | None
    engine: Engine | None
    publisher: KafkaPublisher | None
    error: MarketPipelineError | None
    rejected: dict[str, str]

    @property
    def doing(self) -> str: ...


Read: TypeAlias = Callable[[Process], float | Iterable[Observation]]
Metric: TypeAlias = tuple[str, str, str, Read]


def health(ingestion: Process) -> Health:
    """Ready once every stream is subscribed; `degraded` while something of it is not as it should be."""
    session, engine, publisher = ingestion.session, ingestion.engine, ingestion.publisher
    produced = {} if publisher is None else publisher.produced()
    absent = ingestion.rejected if session is None else session.absent
    details: dict[str, object] = {
        "produced": sum(produced.values()),
        "dlq": 0 if session is None else session.dead_letters,
        "connected": False,
        "in_sync": False,
        "in_flight": 0 if publisher is None else publisher.in_flight,
        "undelivered": 0 if publisher is None else publisher.undelivered,
        "rejected": absent,
        "doing": ingestion.doing,
    }
    if ingestion.error is not None:
        return Health("failed", details | {"error": str(ingestion.error)}, has_synced=False)
    if session is None or engine is None:
        return Health("starting", details, has_synced=False)
    managers = session.managers
    stale = [stream.name for manager in managers for stream in manager.stale]
    refused = {stream.name: reason for manager in managers for stream, reason in manager.rejected.items()}
    connected = session.ready_connections == len(managers)
    details |= {
        "connected": connected,
        "connections": session.ready_connections,
        "managers": len(managers),
        "frames": session.frames,
        "bytes": session.bytes,
        "synced_through": session.synced_through,
        "books": dict(zip(("synced", "of"), session.books, strict=True)),
        "latency": _latency(session),
        "pending": session.pending,
        "in_sync": session.in_sync,
        "paused": session.paused,
        "paused_seconds": round(engine.paused_seconds, 3),
        "backpressure": engine.pauses,
        "gaps": session.events["gap"],
        "reconnects": session.reconnects,
        "events": dict(session.events),
        "rest": {
            "requests": session.limiter.requests,
            "throttled": session.limiter.throttled,
            "failures": session.limiter.failures,
            "weight": session.limiter.weight_used,
        },
        "stale": stale,
        "moved": {stream.name: place for stream, place in session.moved.items()},
        "refused_streams": refused,
        "unlisted": dict(session.unlisted_symbols),
        "symbols": session.symbol_states(),
    }
    if not session.started:
        return Health("ok" if not managers else "starting", details, has_synced=not managers)
    wrong = {
        "not connected": "" if connected else f"{session.ready_connections} of {len(managers)} connections",
        "silent": ", ".join(stale),
        "refused": ", ".join(refused),
        "unknown to the exchange": ", ".join(absent),
        "off the exchange's list": ", ".join(session.unlisted_symbols),
        "paused": "the broker takes records too slowly" if session.paused else "",
    }
    if reason := "; ".join(f"{what}: {which}" for what, which in wrong.items() if which):
        return Health("degraded", details | {"reason": reason}, session.has_synced)
    return Health("ok", details, session.has_synced)


def instrument(ingestion: Process, meter: Meter) -> None:
    """Make the counters observable."""

    def watch(name: str, unit: str, text: str, read: Read, *, gauge: bool = False) -> None:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            if ingestion.session is None or ingestion.engine is None:
                return ()
            found = read(ingestion)
            return [Observation(found)] if isinstance(found, int | float) else found

        create = meter.create_observable_gauge if gauge else meter.create_observable_counter
        create(name, callbacks=[observe], unit=unit, description=text)

    for name, unit, text, read in _COUNTERS:
        watch(name, unit, text, read)
    for name, unit, text, read in _GAUGES:
        watch(name, unit, text, read, gauge=True)


def _produced(ingestion: Process) -> list[Observation]:
    assert ingestion.publisher is not None
    return [Observation(count, {"topic": kind.value}) for kind, count in ingestion.publisher.produced().items()]


def _events(ingestion: Process) -> list[Observation]:
    """Every kind, also those that have not happened: a rate of a counter that begins above 0 misses its first step."""
    counts = dict(_session(ingestion).events)
    return [Observation(counts.get(kind, 0), {"kind": kind}) for kind in get_args(FeedEventKind)]


def _duplicates(ingestion: Process) -> list[Observation]:
    handlers = _session(ingestion).handlers.items()
    return [Observation(handler.duplicates, {"symbol": s.symbol, "feed": s.feed.value}) for s, handler in handlers]


def _nothing(ingestion: Process) -> list[Observation]:
    counts: Counter[tuple[str, str]] = Counter()
    for stream, handler in _session(ingestion).handlers.items():
        for reason, count in dict(handler.nothing).items():
            counts[stream.feed.value, reason] += count
    return [Observation(count, {"feed": feed, "reason": reason}) for (feed, reason), count in counts.items()]


def _delays(ingestion: Process) -> list[Observation]:
    handlers = _session(ingestion).handlers.items()
    times = [(s, getattr(handler.last, "event_time", None), handler.last) for s, handler in handlers]
    return [
        Observation((last.receive_time - time) / 1e6, {"symbol": s.symbol, "feed": s.feed.value})
        for s, time, last in times
        if time is not None
    ]


def _latency(session: Session) -> dict[str, object]:
    """In milliseconds; the difference of the clocks is ours less the exchange's."""
    offset = session.latencies.offset
    of_feeds = session.latencies.by_feed()
    return {
        "clock_offset_ms": None if offset is None else offset.value / 1000,
        "uncertainty_ms": None if offset is None or offset.uncertainty is None else offset.uncertainty / 1000,
        "feeds": {
            feed: {"median_ms": found.median / 1000, "p99_ms": found.p99 / 1000} for feed, found in of_feeds.items()
        },
    }


def _latencies(ingestion: Process) -> list[Observation]:
    return [
        Observation(value / 1e6, {"feed": feed, "quantile": quantile})
        for feed, found in _session(ingestion).latencies.by_feed().items()
        for quantile, value in (("0.5", found.median), ("0.99", found.p99))
    ]


def _clock_offset(ingestion: Process) -> list[Observation]:
    offset = _session(ingestion).latencies.offset
    return [] if offset is None else [Observation(offset.value / 1e6)]


def _session(ingestion: Process) -> Session:
    assert ingestion.session is not None
    return ingestion.session


def _silent(ingestion: Process) -> int:
    return sum(len(manager.stale) for manager in _session(ingestion).managers)


def _paused(ingestion: Process) -> float:
    return 0.0 if ingestion.engine is None else ingestion.engine.paused_seconds


def _in_flight(ingestion: Process) -> int:
    return 0 if ingestion.publisher is None else ingestion.publisher.in_flight


_COUNTERS: tuple[Metric, ...] = (
    ("ingestion.frames", "1", "Frames read.", lambda of: _session(of).frames),
    ("ingestion.received", "By", "Bytes of frames read.", lambda of: _session(of).bytes),
    ("ingestion.produced", "1", "Records handed to the broker's client, by topic.", _produced),
    ("ingestion.dead_letters", "1", "Frames that could not be used.", lambda of: _session(of).dead_letters),
    ("ingestion.events", "1", "Gaps, backfills, resyncs, reconnects and the like, by kind.", _events),
    ("ingestion.nothing", "1", "Frames that are right and say nothing, by feed and reason.", _nothing),
    ("ingestion.duplicates", "1", "Records dropped because they had come before.", _duplicates),
    ("ingestion.rest_requests", "1", "REST requests sent.", lambda of: _session(of).limiter.requests),
    ("ingestion.rest_throttled", "1", "REST requests that met a limit.", lambda of: _session(of).limiter.throttled),
    ("ingestion.paused", "s", "Time that nothing was read because the broker did not keep up.", _paused),
)
_GAUGES: tuple[Metric, ...] = (
    ("ingestion.in_flight", "1", "Records not yet acknowledged.", _in_flight),
    ("ingestion.pending", "1", "Feeds being backfilled or synchronised.", lambda of: _session(of).pending),
    ("ingestion.silent", "1", "Streams that have sent nothing for longer than they should.", _silent),
    ("ingestion.connections", "1", "Connections with all their streams.", lambda of: _session(of).ready_connections),
    (
        "ingestion.delay",
        "s",
        "Receive time less event time of the newest record; two clocks, so it may be negative.",
        _delays,
    ),
    (
        "ingestion.latency",
        "s",
        "Receive time less event time without the difference of the clocks, of the last minute by feed and quantile.",
        _latencies,
    ),
    ("ingestion.clock_offset", "s", "Our clock less the exchange's, as estimated.", _clock_offset),
)
"""Name, unit, description and what reads it; by `instrument`."""
