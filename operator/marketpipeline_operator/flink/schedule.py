"""Times of a schedule in cron's form, UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

__all__ = ["last_time", "next_time"]


def next_time(schedule: str, now: datetime) -> datetime | None:
    """The next time of a schedule, None where it has none."""
    return next((moment for moment in _times(schedule, now)), None)


def last_time(schedule: str, now: datetime) -> datetime | None:
    """The last time of a schedule up to now."""
    backwards = _times(schedule, now + timedelta(minutes=1), reverse=True)
    return next((moment for moment in backwards if moment <= now), None)


def _times(schedule: str, start: datetime, *, reverse: bool = False) -> Iterable[datetime]:
    """From then on, or back; none of a date that no month has."""
    try:
        return CronSim(schedule, start, reverse=reverse)
    except CronSimError:
        return ()
