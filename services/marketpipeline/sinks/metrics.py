"""What a sink counts and times, and how it is at this moment.

Latency by hop, in seconds, as `sink.latency`: `receive_process` (frame read → stream job), `process_store` and
`receive_store` (→ the store said yes), by kind of record. Every row of a small batch is recorded, of a large one an
even sample. Hops between machines whose clocks disagree may come out negative: those are counted apart, never
clamped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import Tracer
from opentelemetry.util.types import AttributeValue

from marketpipeline.sinks.base import Delivery
from marketpipeline.sinks.source import Source
from marketpipeline.telemetry import Health, Telemetry, Tracing

__all__ = ["SinkMetrics"]

_SAMPLE = 128
"""Rows of a batch whose latency is recorded at the most."""


class SinkMetrics:
    """Counters as plain integers; the meter reads them when asked."""

    def __init__(self, sink: str) -> None:
        self._labels = {"sink": sink}
        self.rows: Counter[str] = Counter()
        self.batches = 0
        self.skipped = 0
        self.dead_letters = 0
        self.retries = 0
        self.skewed = 0
        self.held = 0
        self.ready = False
        self.error: str | None = None
        self.away_since: float | None = None
        self.last_write: float | None = None
        self.tick = time.monotonic()
        self._source: Source | None = None
        self._tracing: Tracing | None = None

    def observe(self, source: Source) -> None:
        """Report what this source has read, too."""
        self._source = source

    def attach(self, telemetry: Telemetry) -> None:
        """Show everything through the process's telemetry."""
        self._tracing = telemetry.tracing
        meter = telemetry.meter
        self._latency = meter.create_histogram("sink.latency", "s", "Time from hop to hop, by `hop` and `kind`.")
        self._write = meter.create_histogram("sink.write.duration", "s", "Time of one write into the store.")
        meter.create_observable_counter("sink.rows", [self._observe_rows], description="Records stored, by `kind`.")
        meter.create_observable_gauge(
            "sink.lag", [self._observe_lag], description="Records not read yet, by `topic` and `partition`."
        )
        meter.create_observable_gauge(
            "sink.away", [self._observe_away], "s", "Time for which the store has taken nothing; 0 while it does."
        )
        meter.create_observable_gauge(
            "sink.held", [self._observe_held], description="Records taken from the topics and not yet in the store."
        )
        for name, description in _COUNTERS.items():
            self._count(meter, name, description)

    def _count(self, meter: Meter, name: str, description: str) -> None:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            if name == "commit_failures":
                return [Observation(self._source.commit_failures if self._source else 0, self._labels)]
            return [Observation(getattr(self, name), self._labels)]

        meter.create_observable_counter(f"sink.{name}", [observe], description=description)

    def _observe_rows(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, self._labels | {"kind": kind}) for kind, count in list(self.rows.items())]

    def _observe_lag(self, _: CallbackOptions) -> Iterable[Observation]:
        lag = self._source.lag if self._source else {}
        return [
            Observation(behind, self._labels | {"topic": topic, "partition": partition})
            for (topic, partition), behind in lag.items()
        ]

    def _observe_away(self, _: CallbackOptions) -> Iterable[Observation]:
        since = self.away_since
        return [Observation(0.0 if since is None else time.monotonic() - since, self._labels)]

    def _observe_held(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self.held, self._labels)]

    def away(self, error: str) -> None:
        """The store did not take a batch."""
        self.retries += 1
        self.error = error
        if self.away_since is None:
            self.away_since = time.monotonic()

    def back(self) -> None:
        """The store takes batches (again)."""
        self.ready, self.error, self.away_since = True, None, None

    def stored(self, rows: Sequence[Delivery], began_ns: int, *, held: bool = False) -> None:
        """A batch is in the store, whose write began at `began_ns` (wall clock), or `held` on its way there."""
        self.back()
        now_ns = time.time_ns()
        self.batches += 1
        self.last_write = time.monotonic()
        kinds = Counter(type(row.record).__struct_config__.tag for row in rows)
        self.rows.update({str(kind): count for kind, count in kinds.items()})
        if self._tracing is None or held:
            return
        self._write.record((now_ns - began_ns) / 1e9, self._labels)
        for row in rows[:: -(-len(rows) // _SAMPLE) or 1]:
            self._record_latency(row, now_ns // 1_000)
        if self._tracing.enabled:
            self._record_spans(self._tracing, self._tracing.tracer, rows, began_ns, now_ns)

    def _record_latency(self, row: Delivery, now: int) -> None:
        received: int | None = getattr(row.record, "receive_time", None)
        processed: int | None = getattr(row.record, "process_time", None)
        hops = (
            ("receive_store", received, now),
            ("receive_process", received, processed),
            ("process_store", processed, now),
        )
        for hop, begin, end in hops:
            if begin is None or end is None:
                continue
            if end < begin:
                self.skewed += 1
                continue
            kind = str(type(row.record).__struct_config__.tag)
            self._latency.record((end - begin) / 1e6, self._labels | {"hop": hop, "kind": kind})

    def _record_spans(
        self, tracing: Tracing, tracer: Tracer, rows: Iterable[Delivery], began_ns: int, ended_ns: int
    ) -> None:
        for row in rows:
            if row.headers and (context := tracing.extract(row.headers)) is not None:
                attributes: dict[str, AttributeValue] = {"symbol": row.record.symbol, "offset": row.offset}
                span = tracer.start_span(
                    "sink.store", context=context, start_time=began_ns, attributes=attributes | self._labels
                )
                span.end(end_time=ended_ns)

    def health(self) -> Health:
        """For the process's port; quick and safe from any thread."""
        now = time.monotonic()
        assigned = len(self._source.assigned) if self._source else 0
        details: dict[str, object] = {
            **self._labels,
            "rows": self.rows.total(),
            "batches": self.batches,
            "dead_letters": self.dead_letters,
            "retries": self.retries,
            "partitions": assigned,
            "held": self.held,
            "lag": sum(self._source.lag.values()) if self._source else None,
            "last_write_age_ms": None if self.last_write is None else round((now - self.last_write) * 1000),
        }
        if self.error is not None:
            details["error"] = self.error
        if not self.ready or self._source is None or not self._source.joined:
            return Health("starting", details)
        if self.away_since is not None:
            return Health("degraded", details | {"away_ms": round((now - self.away_since) * 1000)})
        return Health("ok", details)

    def alive(self) -> bool:
        """False when the loop has not turned for five minutes: a write that hangs for good."""
        return time.monotonic() - self.tick < 300


_COUNTERS = {
    "batches": "Batches stored.",
    "skipped": "Messages with nothing to store: heartbeats, tombstones, what another process wrote too.",
    "dead_letters": "Messages that could not be stored.",
    "retries": "Writes that the store did not take.",
    "skewed": "Latencies that came out negative, since clocks disagree.",
    "commit_failures": "Commits of offsets that failed.",
}
