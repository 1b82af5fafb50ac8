"""Flink's configuration, from the settings. Pure functions; docs/decisions/0022 says what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from marketpipeline.settings import JobSettings

__all__ = ["common", "embedded", "flink_path"]


def common(settings: JobSettings) -> dict[str, str]:
    """What holds wherever the job runs.

    State exactly once: an alert compares an event with the one before, so one that state has counted must not be
    counted again after a restart. Rows at least once (`ddl.sink`): they have natural keys and are upserted, so one
    that is sent again changes nothing, and results are visible at once instead of at the next checkpoint. A job that
    fails is started again for ever, slower each time. With object reuse rows are not copied between the functions of
    a task.
    """
    return {
        "pipeline.name": f"{settings.pipeline}: stream job",
        "pipeline.object-reuse": "true",
        "parallelism.default": str(settings.parallelism),
        "execution.buffer-timeout.interval": "10 ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.interval": f"{settings.checkpoint_interval_ms} ms",
        "execution.checkpointing.dir": settings.checkpoint_directory,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "execution.checkpointing.incremental": "true" if settings.state_backend == "rocksdb" else "false",
        "state.backend.type": settings.state_backend,
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "table.local-time-zone": "UTC",
    }


def flink_path(path: Path) -> str:
    """A folder of this machine as Flink's settings name it.

    Flink takes all that follows the scheme as it stands: the percent signs of a proper URI would name another folder.
    """
    return f"file://{path.absolute()}"


def embedded(rest_port: int, jars: Sequence[Path], folder: Path, restore_from: Path | None) -> Mapping[str, str]:
    """What holds beside it where this process brings its own Flink: one JVM, reached over the loopback only.

    `folder` is that of the checkpoints. Temporary files go to the JVM's working folder: Flink splits a path at commas.
    """
    found = {
        "pipeline.jars": ";".join(jar.resolve().as_uri() for jar in jars),
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": str(rest_port),
        "rest.bind-port": str(rest_port),
        "io.tmp.dirs": ".",
        "execution.checkpointing.dir": flink_path(folder),
        "metrics.fetcher.update-interval": "1000",
        "metrics.latency.interval": "0",
        "taskmanager.memory.network.min": "64 mb",
        "taskmanager.memory.network.max": "64 mb",
    }
    if restore_from is not None:
        # Claimed: once a newer one is complete, Flink removes it.
        found |= {
            "execution.state-recovery.path": flink_path(restore_from),
            "execution.state-recovery.claim-mode": "CLAIM",
        }
    return found
