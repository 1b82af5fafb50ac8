"""Settings that the tests of this folder share, and the jobs whose SQL is kept as golden files."""

from __future__ import annotations

from typing import Any

from marketpipeline.alert_kinds import threshold_defaults
from marketpipeline.settings import JobSettings

__all__ = ["GOLDEN", "job_settings", "plain_settings"]


def plain_settings(**changes: Any) -> dict[str, Any]:
    """Settings of a job as their file holds them."""
    return {
        "pipeline": "crypto",
        "http": {"host": "127.0.0.1", "port": 0},
        "kafka": {"bootstrap_servers": "broker:9092"},
        "topic_prefix": "crypto",
        "consumer_group": "crypto.stream-job",
        "feeds": ["book", "trades"],
        "levels": 20,
        "calculate": 10,
        "within_bps": 1.0,
        "windows": ["1m", "5m", "15m", "1h"],
        "allowed_lateness_ms": 2_000,
        "thresholds": threshold_defaults() | {"whale_trade": 50_000.0},
        "parallelism": 1,
        "checkpoint_interval_ms": 500,
        "checkpoint_directory": "file:///var/lib/marketpipeline/checkpoints",
        "state_backend": "hashmap",
    } | changes


def job_settings(**changes: Any) -> JobSettings:
    """The same, read."""
    return JobSettings(**plain_settings(**changes))


GOLDEN = {
    "default.sql": job_settings(),
    "book-only.sql": job_settings(feeds=["book"], levels=3, calculate=2, within_bps=5.0),
    "trades-only.sql": job_settings(feeds=["trades"], windows=["3m", "5m"], allowed_lateness_ms=200_000),
}
"""File → the settings it is generated from."""
