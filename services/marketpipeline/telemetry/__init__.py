"""Telemetry of a process: JSON logs, OpenTelemetry metrics and traces, and the port that shows them."""

from __future__ import annotations

from marketpipeline.telemetry.health import Health, HealthServer, Status
from marketpipeline.telemetry.listening import address_of, listen
from marketpipeline.telemetry.logs import configure_logging
from marketpipeline.telemetry.process import Telemetry
from marketpipeline.telemetry.tracing import Headers, Tracing

__all__ = [
    "Headers",
    "Health",
    "HealthServer",
    "Status",
    "Telemetry",
    "Tracing",
    "address_of",
    "configure_logging",
    "listen",
]
