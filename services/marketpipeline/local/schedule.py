"""The plan's scheduled jobs on this machine: each runs as a process of its own at its times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from marketpipeline.errors import PermanentError
from marketpipeline.local.component import Command
from marketpipeline.local.guard import Guard
from marketpipeline.local.process import run_to_end

__all__ = ["Scheduled", "is_due", "next_time", "run_scheduled"]

LONGEST_SEARCH = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A command, when it runs (five fields of cron, UTC), and how long it may take."""

    name: str
    schedule: str
    command: Command
    timeout_seconds: float


def is_due(schedule: str, moment: datetime) -> bool:
    """Whether `schedule` names the minute of `moment`. Its fields: `*`, `*/n`, lists of numbers; else ValueError."""
    fields = schedule.split()
    if len(fields) != 5:
        raise ValueError(f"{schedule!r} must have five fields: minute, hour, day, month, weekday")
    weekday = (moment.weekday() + 1) % 7
    values = (moment.minute, moment.hour, moment.day, moment.month, weekday)
    return all(_matches(field, value) for field, value in zip(fields, values, strict=True))


def next_time(schedule: str, after: datetime) -> datetime:
    """The first full minute behind `after` that `schedule` names. Raises ValueError for one that names none."""
    moment = after.replace(second=0, microsecond=0)
    while moment < after + LONGEST_SEARCH:
        moment += timedelta(minutes=1)
        if is_due(schedule, moment):
            return moment
    raise ValueError(f"{schedule!r} names no time within a year")


async def run_scheduled(
    jobs: Sequence[Scheduled], guard: Guard, log_of: Callable[[str], Path], report: Callable[[str], None]
) -> None:
    """Run `jobs` at their times until cancelled; `report` is told of one that fails."""

    async def run(job: Scheduled) -> None:
        while True:
            now = datetime.now(UTC)
            await asyncio.sleep((next_time(job.schedule, now) - now).total_seconds())
            try:
                await run_to_end(job.command, log_of(job.name), guard, job.timeout_seconds)
            except PermanentError as error:
                report(f"{job.name}: {error}")

    await asyncio.gather(*(run(job) for job in jobs))


def _matches(field: str, value: int) -> bool:
    if field == "*":
        return True
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    return value in {int(part) for part in field.split(",")}
