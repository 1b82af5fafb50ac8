"""Settings: how a process is told what to do. One tree a process, loaded once in its `main`."""

from __future__ import annotations

from marketpipeline.settings.base import (
    ENV_PREFIX,
    HttpSettings,
    KafkaSettings,
    Settings,
    SettingsModel,
    TelemetrySettings,
)
from marketpipeline.settings.components import (
    ApiSettings,
    IngestionSettings,
    JobSettings,
    RedisSinkSettings,
    RedisStoreSettings,
    SimulatorSettings,
    SinkSettings,
    ThresholdSettings,
    TimescaleSinkSettings,
    TimescaleStoreSettings,
)

__all__ = [
    "ENV_PREFIX",
    "ApiSettings",
    "HttpSettings",
    "IngestionSettings",
    "JobSettings",
    "KafkaSettings",
    "RedisSinkSettings",
    "RedisStoreSettings",
    "Settings",
    "SettingsModel",
    "SimulatorSettings",
    "SinkSettings",
    "TelemetrySettings",
    "ThresholdSettings",
    "TimescaleSinkSettings",
    "TimescaleStoreSettings",
]
