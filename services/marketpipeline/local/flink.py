"""The stream job's environment: there, and able to run, before anything is started."""

from __future__ import annotations

from pathlib import Path

from marketpipeline.errors import InvalidInput, Problem

__all__ = ["require_flink", "require_kafka"]


def require_flink(python: Path) -> None:
    """Raise InvalidInput when the environment of the stream job is not set up."""
    if not python.exists():
        expected = (
            "is the Python of Flink's environment and is absent; run `make setup`, or set MARKETPIPELINE_FLINK_PYTHON"
        )
        raise InvalidInput("this machine", [Problem("flink_python", str(python), expected)])


def require_kafka(jars: Path) -> None:
    """Raise InvalidInput when the broker's jars are not here."""
    if not any(jars.glob("kafka_*.jar")):
        expected = "must be the folder of Kafka's jars; run `make setup`, or set MARKETPIPELINE_KAFKA_JARS"
        raise InvalidInput("this machine", [Problem("kafka_jars", str(jars), expected)])
