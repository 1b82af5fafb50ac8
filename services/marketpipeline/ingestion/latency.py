"""How late records come, told apart from how wrong our clock is.

The receive time of a record less the exchange's time is latency and the difference of two clocks in one number. That
difference is estimated in two ways. By round trip: the exchange tells its time over REST, and told it within the
request, so the middle is wrong by half of the request's time at the most. By the streams: nothing comes before it was
sent, so the smallest difference of a window bounds how far our clock can be ahead. Nothing here is on the way of a
frame. In a replay at another speed than it was recorded at, none of this means anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Latencies", "Latency", "Offset"]

WINDOW = 60.0
"""Seconds of which the latencies are told, and the smallest difference is taken."""
TRIPS_WITHIN = 600.0
"""Seconds in which the fastest round trip counts: over more, two clocks drift apart by milliseconds."""
MOST_SAMPLES = 2_000
"""Of a feed in a window."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Our clock less the exchange's, µs, and how far wrong that may be; without a bound where only streams tell it."""

    value: int
    uncertainty: int | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the records of one feed that were looked at in the window, µs, the difference of the clocks taken out."""

    median: int
    p99: int
    samples: int


class Latencies:
    """Takes a sample of what the handlers handed on last, now and then."""

    def __init__(self) -> None:
        self._trips: deque[tuple[float, Offset]] = deque()
        self._delays: dict[str, deque[tuple[float, int]]] = {}
        self._seen: dict[Any, Any] = {}

    def measured(self, server_time: int, sent_time: int, receive_time: int, now: float) -> None:
        """The exchange told its time in a request that took from one of our times to another, µs."""
        half = (receive_time - sent_time) // 2
        self._trips.append((now, Offset(sent_time + half - server_time, half)))

    def look(self, now: float, newest: Mapping[Any, Any]) -> None:
        """Look at the newest record of each stream; to be called twice a second or so."""
        for stream, handler in newest.items():
            record = handler.last
            if record is None or record is self._seen.get(stream):
                continue
            self._seen[stream] = record
            if record.event_time is not None and not getattr(record, "backfilled", False):
                delays = self._delays.setdefault(stream.feed.value, deque(maxlen=MOST_SAMPLES))
                delays.append((now, record.receive_time - record.event_time))
        for delays in self._delays.values():
            while delays and delays[0][0] < now - WINDOW:
                delays.popleft()
        while self._trips and self._trips[0][0] < now - TRIPS_WITHIN and len(self._trips) > 1:
            self._trips.popleft()

    @property
    def offset(self) -> Offset | None:
        """The best estimate, None before there is one."""
        smallest = min((delay for delays in self._delays.values() for _, delay in list(delays)), default=None)
        trip = min((trip for _, trip in list(self._trips)), key=lambda trip: trip.uncertainty or 0, default=None)
        if trip is None:
            return None if smallest is None else Offset(smallest, None)
        return trip if smallest is None or trip.value <= smallest else Offset(smallest, trip.uncertainty)

    def by_feed(self) -> dict[str, Latency]:
        """Of each feed whose records carry the exchange's time."""
        offset = self.offset
        found = {}
        for feed, delays in list(self._delays.items()):
            ordered = sorted(delay for _, delay in list(delays))
            if ordered and offset is not None:
                median, p99 = (ordered[int(share * (len(ordered) - 1))] - offset.value for share in (0.5, 0.99))
                found[feed] = Latency(median, p99, len(ordered))
        return found
