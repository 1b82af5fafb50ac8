"""How long to wait before the next attempt."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Doubles from `initial` to `longest` seconds, each wait shortened by up to half so that processes spread."""

    def __init__(self, initial: float = 0.1, longest: float = 5.0) -> None:
        self._initial = initial
        self._longest = longest
        self._next = initial

    def next(self) -> float:
        """Seconds to wait now."""
        wait = self._next
        self._next = min(self._longest, wait * 2)
        return wait * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next = self._initial
