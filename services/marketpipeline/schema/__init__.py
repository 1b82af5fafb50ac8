"""What specs and settings are made of, so that an entry of a registry can define its part of both."""

from __future__ import annotations

from marketpipeline.schema.resource import Name, Resources, SecretKey, SecretKeyName, SpecModel
from marketpipeline.schema.settings import (
    ENV_PREFIX,
    HttpSettings,
    KafkaSettings,
    Milliseconds,
    SaslMechanism,
    Settings,
    SettingsModel,
    TelemetrySettings,
)
from marketpipeline.schema.text import ADDRESSES, PORT, NumberRules, TextRule, TextRules, Url
from marketpipeline.schema.units import (
    FOREVER,
    Cpu,
    Duration,
    KeptFor,
    Memory,
    cpu_millis,
    memory_bytes,
    microseconds,
    milliseconds,
    quantity,
    retention_milliseconds,
    seconds,
)

__all__ = [
    "ADDRESSES",
    "ENV_PREFIX",
    "FOREVER",
    "PORT",
    "Cpu",
    "Duration",
    "HttpSettings",
    "KafkaSettings",
    "KeptFor",
    "Memory",
    "Milliseconds",
    "Name",
    "NumberRules",
    "Resources",
    "SaslMechanism",
    "SecretKey",
    "SecretKeyName",
    "Settings",
    "SettingsModel",
    "SpecModel",
    "TelemetrySettings",
    "TextRule",
    "TextRules",
    "Url",
    "cpu_millis",
    "memory_bytes",
    "microseconds",
    "milliseconds",
    "quantity",
    "retention_milliseconds",
    "seconds",
]
