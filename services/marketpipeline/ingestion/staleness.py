"""Notices a stream that went silent, judged by how often it used to speak. Times in monotonic seconds."""

from __future__ import annotations

from typing import Literal

__all__ = ["StalenessDetector"]

TIMES = 4.0
"""So many times the usual gap without a message is unusual."""
FORGET = 0.9
"""What is left of the longest gap after one more look at a stream that spoke."""


class StalenessDetector:
    """One stream. It is looked at now and then, so that watching costs nothing per message.

    The usual gap is the longest of late. A stream that never spoke has none: `at_least` seconds decide alone.
    """

    __slots__ = ("_again", "_at_least", "_seen", "_since", "silent", "spoke", "usual")

    def __init__(self, at_least: float, seen: int, now: float) -> None:
        self._at_least = at_least
        self._seen = seen
        self._since = now
        self._again = 0.0
        self.usual = 0.0
        self.spoke = False
        self.silent = False

    @property
    def limit(self) -> float:
        """Seconds of silence that are unusual."""
        return max(self._at_least, TIMES * self.usual)

    def look(self, seen: int, now: float) -> Literal["stale", "still", "recovered"] | None:
        """What is new, given how many messages came in all; `still` silent comes after twice the time each time."""
        if seen == self._seen:
            silence = now - self._since
            if silence < (self._again if self.silent else self.limit):
                return None
            self._again = 2 * max(silence, self.limit)
            before, self.silent = self.silent, True
            return "still" if before else "stale"
        gap = now - self._since
        if self.silent:
            gap = min(gap, 2 * max(self.usual, self._at_least))
        if self.spoke:
            self.usual = max(gap, FORGET * self.usual)
        self._seen, self._since, self.spoke = seen, now, True
        recovered, self.silent = self.silent, False
        return "recovered" if recovered else None

    def continue_from(self, before: StalenessDetector) -> None:
        """The stream is subscribed elsewhere: a silence that was told goes on, and its end is told."""
        if before.silent:
            self.silent, self.spoke, self.usual = True, before.spoke, before.usual
            self._again = 2 * self.limit

    def excuse(self, seen: int, now: float) -> None:
        """Start the count over: the time since then was not the stream's silence."""
        self._seen, self._since = seen, now
