"""The plan's scheduled jobs on this machine: each runs as a process of its own at its times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cronsim import CronSim

from marketpipeline.errors import PermanentError
from marketpipeline.local.component import Command
from marketpipeline.local.process import run_to_end
from marketpipeline.local.reaper import Reaper

__all__ = ["Scheduled", "run_scheduled"]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A command, when it runs (five fields of cron, UTC), and how long it may take."""

    name: str
    schedule: str
    command: Command
    timeout_seconds: float


async def run_scheduled(
    jobs: Sequence[Scheduled], reaper: Reaper, log_of: Callable[[str], Path], report: Callable[[str], None]
) -> None:
    """Run `jobs` at their times until cancelled; `report` is told of one that fails."""

    async def run(job: Scheduled) -> None:
        while True:
            now = datetime.now(UTC)
            await asyncio.sleep((next(CronSim(job.schedule, now)) - now).total_seconds())
            try:
                await run_to_end(job.command, log_of(job.name), reaper, job.timeout_seconds)
            except PermanentError as error:
                report(f"{job.name}: {error}")

    await asyncio.gather(*(run(job) for job in jobs))
