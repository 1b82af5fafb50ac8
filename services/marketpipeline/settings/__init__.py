"""Settings: how a process is told what to do. One tree a process, loaded once in its `main`."""

from __future__ import annotations

from marketpipeline.schema import (
    ENV_PREFIX,
    HttpSettings,
    KafkaSettings,
    SaslMechanism,
    Settings,
    SettingsModel,
    TelemetrySettings,
)
from marketpipeline.settings.components import (
    ApiAccess,
    ApiSettings,
    BackupSettings,
    DashboardSettings,
    IngestionSettings,
    JobSettings,
    PlaceSettings,
    RateLimitSettings,
    SimulatorSettings,
    Stores,
    ThresholdSettings,
    TiersSettings,
)

__all__ = [
    "ENV_PREFIX",
    "ApiAccess",
    "ApiSettings",
    "BackupSettings",
    "DashboardSettings",
    "HttpSettings",
    "IngestionSettings",
    "JobSettings",
    "KafkaSettings",
    "PlaceSettings",
    "RateLimitSettings",
    "SaslMechanism",
    "Settings",
    "SettingsModel",
    "SimulatorSettings",
    "Stores",
    "TelemetrySettings",
    "ThresholdSettings",
    "TiersSettings",
]
