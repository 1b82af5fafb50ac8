"""What specs and settings are made of, so that an entry of a registry can define its part of both."""

from __future__ import annotations

from marketpipeline.schema.resource import Name, Resources, SecretKey, SpecModel, Url
from marketpipeline.schema.settings import (
    ENV_PREFIX,
    HttpSettings,
    KafkaSettings,
    Milliseconds,
    Settings,
    SettingsModel,
    TelemetrySettings,
)
from marketpipeline.schema.units import Duration, microseconds, milliseconds, seconds

__all__ = [
    "ENV_PREFIX",
    "Duration",
    "HttpSettings",
    "KafkaSettings",
    "Milliseconds",
    "Name",
    "Resources",
    "SecretKey",
    "Settings",
    "SettingsModel",
    "SpecModel",
    "TelemetrySettings",
    "Url",
    "microseconds",
    "milliseconds",
    "seconds",
]
