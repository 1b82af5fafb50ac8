"""Which requests and connections are admitted: request weight per address, and the faults that refuse or delay."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["AdmissionControl", "Verdict"]

MAX_ADDRESSES = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one request: the weight used in this minute, and the seconds to wait if it is refused (0 when it is not)."""

    used: int
    retry_after: int = 0
    banned: bool = False


class AdmissionControl:
    """Counts REST weight by the minute, and holds the faults that refuse or delay.

    An address that continues after a 429 is banned for a while, as on the real exchange. Times are
    seconds of the wall clock.
    """

    def __init__(self, weight_per_minute: int, wall: Callable[[], float] = time.time) -> None:
        self._limit = weight_per_minute
        self._wall = wall
        self._used: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._minute = 0
        self._banned: dict[str, float] = {}
        self._closed_until = 0.0
        self._opened: deque[tuple[float, str]] = deque(maxlen=MAX_ADDRESSES)
        self._limited_until = 0.0
        self._limited_ban = False
        self._delay = 0.0
        self._delayed_until = 0.0

    def charge(self, address: str, weight: int) -> Verdict:
        """Count a request of an address and decide on it."""
        now = self._wall()
        self._turn(int(now // 60))
        if len(self._used) >= MAX_ADDRESSES and address not in self._used:
            self._used.clear()
        used = self._used[address] = self._used.get(address, 0) + weight
        if now < self._limited_until:
            return Verdict(used, max(1, round(self._limited_until - now)), self._limited_ban)
        if now < (until := self._banned.get(address, 0.0)):
            return Verdict(used, max(1, round(until - now)), banned=True)
        if used <= self._limit:
            return Verdict(used)
        refused = self._refused[address] = self._refused.get(address, 0) + 1
        if refused > 10:
            self._banned[address] = now + 120
            return Verdict(used, 120, banned=True)
        return Verdict(used, max(1, 60 - int(now % 60)))

    def _turn(self, minute: int) -> None:
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
            self._refused.clear()
            self._banned = {address: until for address, until in self._banned.items() if until > self._wall()}

    def admits(self, address: str, per_second: int | None) -> bool:
        """Whether an address may open one more WebSocket now."""
        now = self._wall()
        opened = self._opened
        while opened and opened[0][0] <= now - 1:
            opened.popleft()
        if per_second is not None and sum(who == address for _, who in opened) >= per_second:
            return False
        opened.append((now, address))
        return True

    def limit(self, seconds: float, *, ban: bool) -> None:
        """Refuse every REST request for a while."""
        self._limited_until, self._limited_ban = self._wall() + seconds, ban

    def refuse_connections(self, seconds: float) -> None:
        """Refuse every new WebSocket for a while."""
        self._closed_until = self._wall() + seconds

    def refuses_connections(self) -> bool:
        """Whether new WebSockets are refused now."""
        return self._wall() < self._closed_until

    def delay_rest(self, delay: float, seconds: float) -> None:
        """Answer REST requests late for a while."""
        self._delay, self._delayed_until = delay, self._wall() + seconds

    def rest_delay(self) -> float:
        """Seconds that an answer is held back now."""
        return self._delay if self._wall() < self._delayed_until else 0.0
