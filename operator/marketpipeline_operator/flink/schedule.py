"""Times of a schedule in cron's form, by the clock of a place or UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

__all__ = ["last_time", "next_time"]

_TWICE = timedelta(hours=1)
"""So much of a day a clock may show twice, or never: a time in it is the first of the two."""


def next_time(schedule: str, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    """The next time of a schedule, None where it has none."""
    moments = _times(schedule, _shown(now, zone) - _TWICE, zone)
    return next((moment for moment in moments if moment > now), None)


def last_time(schedule: str, now: datetime, zone: tzinfo = UTC) -> datetime | None:
    """The last time of a schedule up to now."""
    moments = _times(schedule, _shown(now, zone) + _TWICE + timedelta(minutes=1), zone, reverse=True)
    return next((moment for moment in moments if moment <= now), None)


def _shown(now: datetime, zone: tzinfo) -> datetime:
    """What the clock of the place shows: cron knows no other."""
    return now.astimezone(zone).replace(tzinfo=None)


def _times(schedule: str, start: datetime, zone: tzinfo, *, reverse: bool = False) -> Iterator[datetime]:
    """From then on, or back, in UTC; none of a date that no month has."""
    try:
        for shown in CronSim(schedule, start, reverse=reverse):
            yield shown.replace(tzinfo=zone).astimezone(UTC)
    except CronSimError:
        return
