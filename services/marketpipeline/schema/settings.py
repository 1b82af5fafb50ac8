"""Settings of a process: one tree, loaded once in `main`, extras forbidden.

A component's settings are a subclass of `Settings`. They come from a JSON file (the plan renders it), and an
environment variable overrides a field: `MARKETPIPELINE_` and the path with `__` between the names, e.g.
`MARKETPIPELINE_STORE__PASSWORD`. That is how a Secret reaches a process. Nothing else reads the environment.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from marketpipeline.errors import InvalidInput, Problem

__all__ = [
    "ENV_PREFIX",
    "HttpSettings",
    "KafkaSettings",
    "Milliseconds",
    "SaslMechanism",
    "Settings",
    "SettingsModel",
    "TelemetrySettings",
]

ENV_PREFIX = "MARKETPIPELINE_"

Milliseconds = Annotated[int, Field(ge=1)]


class SettingsModel(BaseModel):
    """A branch of a settings tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(SettingsModel):
    """Where the process serves `/health`, `/health/live` and `/metrics`."""

    host: str = Field(default="0.0.0.0", description="Address to listen on; 0.0.0.0 is every one, of IPv6 too.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=9100, description="TCP port; 0 takes a free one.")


class TelemetrySettings(SettingsModel):
    """Logs, metrics and traces."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    otlp_endpoint: str | None = Field(
        default=None,
        description="Base URL of an OTLP/HTTP collector for traces; none are exported without it.",
    )
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.001,
        description="Share of records (0 to 1) that carry a trace through the whole pipeline.",
    )


class SaslMechanism(StrEnum):
    """How a user proves to be who it is, in Kafka's names."""

    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    PLAIN = "PLAIN"


class KafkaSettings(SettingsModel):
    """How to reach the broker."""

    bootstrap_servers: str = Field(description="Comma-separated host:port.")
    username: str | None = Field(default=None, description="SASL user; none means no authentication.")
    password: SecretStr | None = Field(default=None, description="SASL password.")
    sasl_mechanism: SaslMechanism | None = Field(
        default=None, description="How the SASL user is authenticated; SCRAM-SHA-256 when absent."
    )
    tls: bool = Field(default=False, description="Whether to connect with TLS.")
    ca: str | None = Field(
        default=None, description="Certificate authorities to trust, PEM text; the well-known ones when absent."
    )
    certificate: str | None = Field(default=None, description="Certificate (chain) of this client, PEM text.")
    key: SecretStr | None = Field(default=None, description="Its private key, PEM text (PKCS #8).")


class Settings(BaseSettings):
    """Base of every component's settings."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    pipeline: str = Field(description="Name of the pipeline, for logs, metrics and consumer groups.")
    http: HttpSettings = HttpSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Read the settings file, if there is one, and the environment over it.

        Raises InvalidInput that names each wrong field.
        """
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8")) if path else {}
        except (OSError, ValueError) as error:
            raise InvalidInput(
                str(path),
                [Problem("settings", str(path), f"must be readable JSON: {error}")],
            ) from error
        if not isinstance(data, dict):
            raise InvalidInput(str(path), [Problem("settings", str(path), "must be a JSON object")])
        try:
            return cls(**_merged(data, EnvSettingsSource(cls)()))
        except ValidationError as error:
            problems = [
                Problem(".".join(map(str, details["loc"])), details["input"], details["msg"])
                for details in error.errors(include_url=False)
            ]
            raise InvalidInput(str(path or "environment"), problems) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, nothing else: a plan that is made of settings may not depend on who makes it."""
        return (init_settings,)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both trees; where a leaf is in both, that of `over`."""
    both = {
        key: _merged(under[key], value) if isinstance(value, dict) and isinstance(under[key], dict) else value
        for key, value in over.items()
        if key in under
    }
    return under | over | both
