"""What faults do to the messages on their way out: lose, double, silence and garble them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from marketpipeline.simulator.frames import Frame, Kind

__all__ = ["Duplicates", "Gap", "Garble", "Interference", "Silence"]

Wall = Callable[[], float]

COUNTED = (Kind.DIFF, Kind.TRADE)
"""The kinds whose ids tell that one is missing."""


class Interference(Protocol):
    """Something that changes frames until it is over."""

    def apply(self, frame: Frame) -> list[Frame]:
        """What is sent in place of the frame."""
        ...

    def over(self) -> bool:
        """Whether it changes nothing any more."""
        ...


class Gap:
    """Loses the next `count` book changes of a symbol and as many of its trades.

    It ends after `seconds` even if less than that came to be lost.
    """

    def __init__(self, symbol: str, count: int, seconds: float, wall: Wall = time.monotonic) -> None:
        self._symbol = symbol
        self._left = dict.fromkeys(COUNTED, count)
        self._wall = wall
        self._until = wall() + seconds

    def apply(self, frame: Frame) -> list[Frame]:
        """See `Interference.apply`."""
        if frame.symbol != self._symbol or not self._left.get(frame.kind):
            return [frame]
        self._left[frame.kind] -= 1
        return []

    def over(self) -> bool:
        """See `Interference.over`."""
        return not any(self._left.values()) or self._wall() >= self._until


class Duplicates:
    """Sends the next `count` messages of a symbol twice."""

    def __init__(self, symbol: str, count: int) -> None:
        self._symbol = symbol
        self._left = count

    def apply(self, frame: Frame) -> list[Frame]:
        """See `Interference.apply`."""
        if frame.symbol != self._symbol or not self._left:
            return [frame]
        self._left -= 1
        return [frame, frame]

    def over(self) -> bool:
        """See `Interference.over`."""
        return not self._left


class Garble:
    """Puts broken copies behind the next `count` trades of a symbol; the trades themselves arrive whole."""

    def __init__(self, symbol: str, count: int, malform: Callable[[Frame], list[Frame]]) -> None:
        self._symbol = symbol
        self._left = count
        self._malform = malform

    def apply(self, frame: Frame) -> list[Frame]:
        """See `Interference.apply`."""
        if frame.symbol != self._symbol or frame.kind is not Kind.TRADE or not self._left:
            return [frame]
        self._left -= 1
        return [frame, *self._malform(frame)]

    def over(self) -> bool:
        """See `Interference.over`."""
        return not self._left


class Silence:
    """Sends nothing of a stream, or of all streams of a symbol, for `seconds` of the wall clock."""

    def __init__(self, name: str, seconds: float, wall: Wall = time.monotonic) -> None:
        self._name = name
        self._wall = wall
        self._until = wall() + seconds

    def apply(self, frame: Frame) -> list[Frame]:
        """See `Interference.apply`."""
        silent = self._name in (frame.stream, frame.symbol) and not self.over()
        return [] if silent else [frame]

    def over(self) -> bool:
        """See `Interference.over`."""
        return self._wall() >= self._until
