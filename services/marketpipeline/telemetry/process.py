"""Everything that a process shows of itself, started and stopped as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_VERSION, Resource
from prometheus_client import REGISTRY, generate_latest

from marketpipeline import __version__
from marketpipeline.settings import Settings
from marketpipeline.telemetry.health import Health, HealthServer
from marketpipeline.telemetry.logs import configure_logging
from marketpipeline.telemetry.tracing import Tracing

__all__ = ["LATENCY_BUCKETS", "Telemetry"]

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds. A histogram takes no negative value: the difference of two machines' clocks, which may be
negative and must not be clamped, is an observable gauge instead."""


class Telemetry:
    """Logs, meter, traces and the port of one process.

    Counters on a hot path are plain integers that an observable instrument of `meter` reads when asked;
    histograms are recorded once a batch. Names follow OpenTelemetry (`ingestion.frames`), Prometheus sees
    `marketpipeline_ingestion_frames_total`.
    """

    def __init__(self, meter_provider: MeterProvider, tracing: Tracing, server: HealthServer | None) -> None:
        self._meter_provider = meter_provider
        self.tracing = tracing
        self.meter: Meter = meter_provider.get_meter("marketpipeline", __version__)
        self.server = server

    @classmethod
    def start(
        cls,
        settings: Settings,
        component: str,
        health: Callable[[], Health] | None,
        alive: Callable[[], bool] = lambda: True,
    ) -> Self:
        """Start all of it. Without `health` no port is opened: the process serves these paths itself."""
        configure_logging(settings.pipeline, component, settings.telemetry.log_level)
        resource = Resource.create(
            {SERVICE_NAME: component, SERVICE_NAMESPACE: settings.pipeline, SERVICE_VERSION: __version__}
        )
        buckets = View(
            instrument_type=Histogram, aggregation=ExplicitBucketHistogramAggregation(boundaries=LATENCY_BUCKETS)
        )
        reader = PrometheusMetricReader(prefix="marketpipeline")
        meters = MeterProvider(resource=resource, metric_readers=[reader], views=[buckets])
        tracing = Tracing(resource, settings.telemetry.trace_ratio, settings.telemetry.otlp_endpoint)
        server = None
        if health is not None:
            server = HealthServer(settings.http.host, settings.http.port, health, cls.prometheus, alive)
        return cls(meters, tracing, server)

    @staticmethod
    def prometheus() -> bytes:
        """All metrics of this process in Prometheus' text format."""
        return generate_latest(REGISTRY)

    def close(self) -> None:
        """Close the port, export what is left."""
        if self.server is not None:
            self.server.close()
        self.tracing.close()
        self._meter_provider.shutdown()
