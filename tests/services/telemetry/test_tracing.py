"""A sampled share of records carries its trace over the broker, and only those."""

from __future__ import annotations

import pytest
from marketpipeline.telemetry import Tracing
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def tracing(spans: InMemorySpanExporter, ratio: float = 1.0) -> Tracing:
    return Tracing(Resource.create({}), ratio, None, SimpleSpanProcessor(spans))


@pytest.mark.parametrize(("ratio", "of", "expected"), [(1.0, 10, 10), (0.1, 100, 10), (0.001, 5_000, 5), (0.0, 100, 0)])
def test_one_record_in_so_many_is_sampled(spans: InMemorySpanExporter, ratio: float, of: int, expected: int) -> None:
    found = tracing(spans, ratio)
    assert sum(found.sampled() for _ in range(of)) == expected


def test_the_first_record_is_sampled(spans: InMemorySpanExporter) -> None:
    assert tracing(spans, 0.001).sampled()


def test_without_anywhere_to_export_to_nothing_is_sampled() -> None:
    assert not any(Tracing(Resource.create({}), 1.0, None).sampled() for _ in range(10))


def test_a_trace_crosses_the_headers(spans: InMemorySpanExporter) -> None:
    upstream, downstream = tracing(spans), tracing(spans, ratio=0.0)
    with upstream.tracer.start_as_current_span("produce") as parent:
        headers = upstream.inject(parent)
    assert [key for key, _ in headers] == ["traceparent"]
    context = downstream.extract([("other", b"x"), *headers])
    assert context is not None
    downstream.tracer.start_span("store", context).end()
    produce, store = spans.get_finished_spans()
    assert store.parent is not None
    assert produce.context is not None
    assert store.context is not None
    assert (store.context.trace_id, store.parent.span_id) == (produce.context.trace_id, produce.context.span_id)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        {},
        [("other", b"x")],
        [("traceparent", b"")],
        [("traceparent", b"\xff\xfe")],
        [("traceparent", b"00-00000000000000000000000000000000-0000000000000000-01")],
    ],
)
def test_a_record_without_a_trace_has_none(
    spans: InMemorySpanExporter, headers: list[tuple[str, bytes]] | dict[str, bytes] | None
) -> None:
    assert tracing(spans).extract(headers) is None
