"""Flink's configuration, from the settings. Pure functions; docs/decisions/0022 says what was measured."""

from __future__ import annotations

from collections.abc import Mapping

from marketpipeline.settings import JobSettings

__all__ = ["MAX_PARALLELISM", "common", "embedded"]

MAX_PARALLELISM = 256
"""State is divided into so many parts for good: it can go on with any parallelism that the spec allows."""


_BACKENDS = {"rocksdb": "dev.marketpipeline.flink.state.CachedRocksDBFactory"}
"""RocksDB alone reads and writes all that a function keeps of a symbol at each event (docs/decisions/0282)."""


def common(settings: JobSettings) -> dict[str, str]:
    """What holds wherever the job runs.

    State exactly once: an alert compares an event with the one before, so one that state has counted must not be
    counted again after a restart. Rows at least once (`ddl.sink`): they have natural keys and are upserted, so one
    that is sent again changes nothing, and results are visible at once instead of at the next checkpoint. A job that
    fails is started again for ever, slower each time. With object reuse rows are not copied between the functions of
    a task. What the pipeline itself says of Flink's settings comes last.
    """
    return {
        "pipeline.name": f"{settings.pipeline}: stream job",
        "pipeline.object-reuse": "true",
        "parallelism.default": str(settings.parallelism),
        "pipeline.max-parallelism": str(MAX_PARALLELISM),
        "execution.buffer-timeout.interval": "10 ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_ms} ms",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "execution.checkpointing.incremental": "true" if settings.state_backend == "rocksdb" else "false",
        "state.backend.type": _BACKENDS.get(settings.state_backend, settings.state_backend),
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "table.exec.uid.generation": "DISABLED",  # state is found by an operator's place in the graph
        "table.local-time-zone": "UTC",
        **(settings.flink_configuration or {}),
    }


def embedded(rest_port: int) -> Mapping[str, str]:
    """What holds beside it where this process brings its own Flink: one JVM, reached over the loopback only.

    Temporary files go to the JVM's working folder: Flink splits a path at commas. What it tells of the job's state is
    of now: by default of up to three seconds ago, so that a job that runs looked as if it still started.
    """
    return {
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": str(rest_port),
        "rest.bind-port": str(rest_port),
        "io.tmp.dirs": ".",
        "metrics.fetcher.update-interval": "1000",
        "web.refresh-interval": "250",
        "metrics.latency.interval": "0",
        "taskmanager.memory.network.min": "64 mb",
        "taskmanager.memory.network.max": "64 mb",
    }
