"""Hibernation: whether a pipeline is asleep at a moment, and until when that stays so.

It follows from the spec and the clock alone, so a lost status or a restart of the operator changes nothing: asleep is
what was to fall asleep after it was to wake the last time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from marketpipeline.spec import MarketPipeline

from marketpipeline_operator.flink.schedule import last_time, next_time
from marketpipeline_operator.names import Object

__all__ = ["Hibernation"]


@dataclass(frozen=True)
class Hibernation:
    """`until` is when it wakes or falls asleep, None where it never does. Without a schedule, or with `suspend`, which
    wins, there is none."""

    asleep: bool = False
    until: datetime | None = None
    wanted: bool = False

    @classmethod
    def of(cls, pipeline: MarketPipeline, now: datetime) -> Hibernation:
        """At this moment."""
        spec = pipeline.spec.hibernation
        if spec is None or pipeline.spec.suspend:
            return cls()
        zone = ZoneInfo(spec.time_zone)
        began, woke = last_time(spec.schedule, now, zone), last_time(spec.wake, now, zone)
        asleep = began is not None and (woke is None or woke < began)
        return cls(asleep, next_time(spec.wake if asleep else spec.schedule, now, zone), wanted=True)

    def put_to(self, pipeline: MarketPipeline) -> MarketPipeline:
        """The pipeline as it shall be now: asleep it is suspended."""
        if not self.asleep:
            return pipeline
        return pipeline.model_copy(update={"spec": pipeline.spec.model_copy(update={"suspend": True})})

    def seconds(self, now: datetime) -> float | None:
        """How long it stays so, and a moment more."""
        return None if self.until is None else max(1.0, (self.until - now).total_seconds() + 0.1)

    @property
    def status(self) -> Object:
        """What the status says of it, empty where there is none."""
        if not self.wanted:
            return {}
        return {"asleep": self.asleep} | ({"until": _text(self.until)} if self.until else {})

    def __str__(self) -> str:
        """Why a pipeline that is asleep does nothing."""
        return f"asleep by spec.hibernation{f' until {_text(self.until)}' if self.until else ''}"


def _text(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")
