"""What a sink counts and times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from marketpipeline.settings import HttpSettings, Settings, TelemetrySettings
from marketpipeline.sinks import metrics as module
from marketpipeline.sinks.metrics import SinkMetrics
from marketpipeline.telemetry import Telemetry
from marketpipeline.telemetry.tracing import Tracing
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from tests.services.sinks.samples import book, candle, deliver, trade


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    settings = Settings(
        pipeline="test", http=HttpSettings(host="127.0.0.1", port=0), telemetry=TelemetrySettings(log_level="ERROR")
    )
    found = Telemetry.start(settings, "sink-test", health=None)
    yield found
    found.close()


@pytest.fixture
def metrics(telemetry: Telemetry, request: pytest.FixtureRequest) -> SinkMetrics:
    """Attached, under a name of its own, since metrics are the process's."""
    found = SinkMetrics(request.node.name)
    found.attach(telemetry)
    return found


def metric(name: str, **labels: Any) -> float | None:
    found = {
        tuple(sorted((k, v) for k, v in sample.labels.items() if not k.startswith("otel"))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == f"marketpipeline_{name}"
    }
    return found.get(tuple(sorted(labels.items())))


def now() -> int:
    return time.time_ns() // 1_000


def test_rows_by_kind_and_latency_by_hop(metrics: SinkMetrics, request: pytest.FixtureRequest) -> None:
    sink = request.node.name
    received, processed = now() - 2_000_000, now() - 500_000
    rows = deliver(
        book(1, receive_time=received, process_time=processed),
        book(2, receive_time=received, process_time=processed),
        trade(1, receive_time=received),
    )
    metrics.stored(rows, time.time_ns())
    assert metric("sink_rows_total", sink=sink, kind="book_metrics") == 2
    assert metric("sink_rows_total", sink=sink, kind="trade") == 1
    for hop, kind, count, seconds in (
        ("receive_process", "book_metrics", 2, 3.0),
        ("process_store", "book_metrics", 2, 1.0),
        ("receive_store", "book_metrics", 2, 4.0),
        ("receive_store", "trade", 1, 2.0),
    ):
        assert metric("sink_latency_seconds_count", sink=sink, hop=hop, kind=kind) == count
        assert metric("sink_latency_seconds_sum", sink=sink, hop=hop, kind=kind) == pytest.approx(seconds, abs=0.5)
    assert metric("sink_latency_seconds_count", sink=sink, hop="process_store", kind="trade") is None
    assert metric("sink_batches_total", sink=sink) == 1


def test_a_large_batch_is_sampled_evenly(metrics: SinkMetrics, request: pytest.FixtureRequest) -> None:
    received = now() - 1_000
    metrics.stored(deliver(*(trade(n, receive_time=received) for n in range(10_000))), time.time_ns())
    count = metric("sink_latency_seconds_count", sink=request.node.name, hop="receive_store", kind="trade")
    assert count is not None
    assert module._SAMPLE / 2 < count <= module._SAMPLE
    assert metric("sink_rows_total", sink=request.node.name, kind="trade") == 10_000


def test_a_negative_latency_is_counted_apart(metrics: SinkMetrics, request: pytest.FixtureRequest) -> None:
    metrics.stored(deliver(candle(receive_time=now() + 5_000_000, process_time=now() - 1_000)), time.time_ns())
    sink = request.node.name
    assert metric("sink_skewed_total", sink=sink) == 2
    assert metric("sink_latency_seconds_count", sink=sink, hop="receive_store", kind="candle") is None
    assert metric("sink_latency_seconds_count", sink=sink, hop="process_store", kind="candle") == 1


def test_a_record_of_a_trace_ends_it_here(telemetry: Telemetry) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(Resource.create({}), 1.0, None, SimpleSpanProcessor(exporter))
    telemetry.tracing = tracing
    metrics = SinkMetrics("traced")
    metrics.attach(telemetry)
    with tracing.tracer.start_as_current_span("ingestion.receive") as parent:
        headers = tuple(tracing.inject(parent))
    first, second = deliver(trade(1), trade(2))
    metrics.stored([msgspec.structs.replace(first, headers=headers), second], time.time_ns())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"ingestion.receive", "sink.store"}
    stored = spans["sink.store"]
    assert stored.parent is not None
    assert stored.parent.span_id == parent.get_span_context().span_id
    assert dict(stored.attributes or {}) == {"symbol": "binance:BTCUSDT", "offset": 0, "sink": "traced"}


def test_health_goes_from_starting_over_degraded_to_ok() -> None:
    metrics = SinkMetrics("x")
    assert metrics.health().status == "starting"
    metrics.away("the store is away")
    assert metrics.health().details["error"] == "the store is away"
    assert metrics.alive()
    metrics.tick -= 1_000
    assert not metrics.alive()
