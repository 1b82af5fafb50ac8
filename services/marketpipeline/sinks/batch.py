"""The rows that wait to be stored, and how far storing them brings each partition."""

from __future__ import annotations

from marketpipeline.sinks.base import Delivery
from marketpipeline.sinks.source import Offsets, Place

__all__ = ["Batch"]


class Batch:
    """Grows until it is due: `rows` rows, or `interval` seconds after the first thing came in."""

    def __init__(self, rows: int, interval: float) -> None:
        self._limit = rows
        self._interval = interval
        self._due_at: float | None = None
        self.rows: list[Delivery] = []
        self.offsets: Offsets = {}

    @property
    def room(self) -> int:
        """Rows that still fit, at least one."""
        return max(1, self._limit - len(self.rows))

    def reach(self, offsets: Offsets, now: float) -> None:
        """Note how far the partitions were read, also where that gave no rows."""
        if offsets and self._due_at is None:
            self._due_at = now + self._interval
        self.offsets |= offsets

    def wait(self, now: float) -> float:
        """Seconds until it is due; 0 when it is; the whole interval while it is empty."""
        if self._due_at is None:
            return self._interval
        return 0.0 if len(self.rows) >= self._limit else max(0.0, self._due_at - now)

    def is_due(self, now: float) -> bool:
        """Whether to store it now."""
        return self._due_at is not None and self.wait(now) == 0.0

    def drop(self, delivery: Delivery) -> None:
        """Leave out one row, which went to the dead letters."""
        self.rows = [row for row in self.rows if row is not delivery]

    def lose(self, places: set[Place]) -> None:
        """Leave out partitions that are another member's now."""
        self.rows = [row for row in self.rows if (row.topic, row.partition) not in places]
        self.offsets = {place: offset for place, offset in self.offsets.items() if place not in places}

    def clear(self) -> None:
        """Begin the next one."""
        self.rows = []
        self.offsets = {}
        self._due_at = None
