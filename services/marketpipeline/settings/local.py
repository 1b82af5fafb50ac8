"""Where the platform of one machine finds what it runs; read from the environment, with defaults for a checkout."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["LocalSettings"]

_ROOT = Path(__file__).resolve().parents[3]


class LocalSettings(BaseSettings):
    """What `make setup` installs, and the machine's Java."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_prefix="MARKETPIPELINE_")

    java_home: str | None = Field(
        default=None,
        validation_alias=AliasChoices("JAVA_HOME", "java_home"),
        description="Home of the Java to run; the one on the path without it.",
    )
    kafka_jars: Path = Field(default=_ROOT / ".cache" / "jars" / "kafka", description="Folder of the broker's jars.")
    flink_python: Path = Field(
        default=_ROOT / "flink-jobs" / ".venv" / "bin" / "python", description="Python of the stream job's environment."
    )
