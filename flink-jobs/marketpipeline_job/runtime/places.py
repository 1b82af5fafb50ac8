"""What the process learns from its environment: where things are, and whether a Flink cluster has started it."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Places"]

_ROOT = Path(__file__).resolve().parents[3]


class Places(BaseSettings):
    """Read once in `main`; the settings file says what to compute, this says where it runs."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_prefix="MARKETPIPELINE_")

    gateway_port: int | None = Field(
        default=None,
        validation_alias=AliasChoices("PYFLINK_GATEWAY_PORT", "gateway_port"),
        description="Set by Flink's Python driver: a cluster runs the job, this process only hands it over.",
    )
    flink_jars: Path = Field(
        default=_ROOT / ".cache" / "jars" / "flink",
        description="Folder of the connector's jars for an embedded Flink; a cluster has them in its lib folder.",
    )
    java_home: str | None = Field(
        default=None,
        validation_alias=AliasChoices("JAVA_HOME", "java_home"),
        description="Home of the Java to run; the one on the path without it.",
    )
