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
    ExchangeSettings,
    IngestionSettings,
    JobSettings,
    RedisSinkSettings,
    RedisStoreSettings,
    RuleSettings,
    SinkSettings,
    TimescaleSinkSettings,
    TimescaleStoreSettings,
)

__all__ = [
    "ENV_PREFIX",
    "ApiSettings",
    "ExchangeSettings",
    "HttpSettings",
    "IngestionSettings",
    "JobSettings",
    "KafkaSettings",
    "RedisSinkSettings",
    "RedisStoreSettings",
    "RuleSettings",
    "Settings",
    "SettingsModel",
    "SinkSettings",
    "TelemetrySettings",
    "TimescaleSinkSettings",
    "TimescaleStoreSettings",
]
