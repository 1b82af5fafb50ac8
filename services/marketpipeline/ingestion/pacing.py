"""How often something may be done: again after a failure, and within a sliding window. Times in seconds."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from marketpipeline.backoff import Backoff
from marketpipeline.errors import RetryableError

__all__ = ["Window", "retry"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Window:
    """A budget of `limit` in any `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._spent: deque[tuple[float, int]] = deque()
        self.used = 0

    def take(self, now: float, amount: int = 1) -> bool:
        """Spend `amount` if the budget allows it; what alone is over the budget may pass when nothing else is spent."""
        self._forget(now)
        if self.used and self.used + amount > self._limit:
            return False
        self._spent.append((now, amount))
        self.used += amount
        return True

    def correct(self, now: float, used: int) -> None:
        """The other side counted `used`: what it counted beyond ours was spent by others on this address."""
        self._forget(now)
        if used > self.used:
            self._spent.append((now, used - self.used))
            self.used = used

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] <= now - self._seconds:
            self.used -= self._spent.popleft()[1]


async def retry(attempt: Callable[[], Awaitable[T]], backoff: Backoff, what: str) -> T:
    """Try until it works, waiting between tries; any error but RetryableError is passed on."""
    while True:
        try:
            return await attempt()
        except RetryableError as error:
            wait = max(backoff.next(), error.retry_after or 0.0)
            _log.warning("%s: %s", what, error, extra={"wait_seconds": round(wait, 3)})
            await asyncio.sleep(wait)
