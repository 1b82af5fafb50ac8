"""Traces that cross Kafka: a sampled share of records carries W3C trace context in its headers.

A trace that starts at ingestion goes on in the stream job's output and ends in the sinks. The head decides:
whoever finds a `traceparent` header continues it, nobody else starts one downstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["Headers", "Tracing"]

Headers = Sequence[tuple[str, bytes]]
"""Headers of a Kafka record, as confluent-kafka gives and takes them."""

_propagator = TraceContextTextMapPropagator()


class Tracing:
    """The tracer of a process, and which records it follows."""

    def __init__(
        self, resource: Resource, ratio: float, endpoint: str | None, processor: SpanProcessor | None = None
    ) -> None:
        self.provider = TracerProvider(resource=resource)
        if endpoint is not None:
            exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
            self.provider.add_span_processor(BatchSpanProcessor(exporter))
        if processor is not None:
            self.provider.add_span_processor(processor)
        self.enabled = ratio > 0 and (endpoint is not None or processor is not None)
        self.tracer = self.provider.get_tracer("marketpipeline")
        self._every = round(1 / ratio) if ratio > 0 else 0
        self._count = 0

    def sampled(self) -> bool:
        """True for one record in `1 / ratio`, beginning with the first; cheap enough for every record."""
        if not self.enabled:
            return False
        self._count += 1
        return self._count % self._every == 1 % self._every

    def inject(self, span: trace.Span) -> list[tuple[str, bytes]]:
        """Kafka headers that carry the context of `span`."""
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(span, Context()))
        return [(key, value.encode()) for key, value in carrier.items()]

    def extract(self, headers: Headers | Mapping[str, bytes] | None) -> Context | None:
        """The trace that a record belongs to, or None: most records belong to none."""
        if not headers:
            return None
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        carrier = {key: value.decode("ascii", "replace") for key, value in pairs if key == "traceparent" and value}
        if not carrier:
            return None
        context = _propagator.extract(carrier, Context())
        return context if trace.get_current_span(context).get_span_context().is_valid else None

    def close(self) -> None:
        """Export what is left."""
        self.provider.shutdown()
