"""The exchange's clock: what its server time says while frames are sent at any speed."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["ExchangeClock", "Pacer"]


class Pacer:
    """Maps the wall clock to a source's own: `speed` times as fast, and standing still while readers are waited for.

    Times of the source are nanoseconds, of the wall clock seconds.
    """

    def __init__(self, speed: float, wall: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self._wall = wall
        self._origin = 0
        self._since: float | None = None

    def start(self, due: int) -> None:
        """Let the source's clock run, from `due`."""
        self._origin, self._since = due, self._wall()

    def now(self) -> int:
        """The source's time."""
        if self._since is None:
            return self._origin
        return self._origin + int((self._wall() - self._since) * 1e9 * self.speed)

    def skip(self, seconds: float) -> None:
        """Take wall-clock time back out: it was spent waiting for a reader."""
        if self._since is not None:
            self._since += seconds

    def seconds_until(self, due: int) -> float:
        """Wall-clock seconds until the source's clock reaches `due`."""
        return (due - self.now()) / 1e9 / self.speed


class ExchangeClock:
    """Exchange time in microseconds, never going back.

    It is the latest event time sent so far. In a quiet market it goes on with the source's clock, less the
    longest delay seen between the two, and never up to the event time of the next frame: when it says T,
    what happened up to T has been sent. After the end it goes on by the wall clock.
    """

    def __init__(self, start: int, wall: Callable[[], float] = time.monotonic) -> None:
        self._latest = start
        self._offset: int | None = None
        self._wall = wall
        self._ended: float | None = None

    def sent(self, event_time: int, due: int) -> None:
        """A frame with an event time was sent; `due` in nanoseconds on the source's clock."""
        offset = event_time - due // 1000
        if self._offset is None or offset < self._offset:
            self._offset = offset
        if event_time > self._latest:
            self._latest = event_time

    def passed(self, source_now: int, next_event_time: int) -> None:
        """The source's clock stands at `source_now`, and nothing more was due."""
        if self._offset is None:
            return
        reached = source_now // 1000 + self._offset
        if next_event_time:
            reached = min(reached, next_event_time - 1)
        self._latest = max(self._latest, reached)

    def end(self) -> None:
        """No frame follows."""
        if self._ended is None:
            self._ended = self._wall()

    @property
    def now(self) -> int:
        """Exchange time."""
        if self._ended is None:
            return self._latest
        return self._latest + int((self._wall() - self._ended) * 1e6)
