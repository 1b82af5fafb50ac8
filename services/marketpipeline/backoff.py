"""How long to wait before the next attempt, the same wherever something is tried again. Times in seconds."""

from __future__ import annotations

import random as _random

__all__ = ["Backoff"]

_SHARED = _random.Random()
"""One for all: of its own each would be the most of a backoff's memory, 2.5 KB, and who follows thousands has many."""

_MOST_DOUBLINGS = 64
"""More make no difference to a wait, and in the end no number."""


class Backoff:
    """Waits that double from `initial` up to `longest`, each times a random factor within `jitter`.

    Without the random factor all clients of a server that went down come back at the same moment.
    """

    def __init__(
        self,
        initial: float,
        longest: float,
        *,
        jitter: tuple[float, float] = (0.5, 1.0),
        random: _random.Random | None = None,
    ) -> None:
        self._initial = initial
        self._longest = longest
        self._jitter = jitter
        self._random = random or _SHARED
        self.attempt = 0

    def next(self) -> float:
        """The wait before the next attempt; each call counts as one that failed."""
        wait = min(self._longest, self._initial * 2.0 ** min(self.attempt, _MOST_DOUBLINGS))
        self.attempt += 1
        return wait * self._random.uniform(*self._jitter)

    def reset(self) -> None:
        """Start again from the first wait."""
        self.attempt = 0
