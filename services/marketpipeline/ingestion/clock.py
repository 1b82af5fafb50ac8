"""Whether a time of the exchange can be true, beside the receive time and the exchange's own clock.

A single wrong time would move the clock of every symbol on its connection. So one that is further ahead than the
tolerance is not believed before the exchange was asked for its time over REST. The reference is the exchange's clock
and not ours, so that a replay of last year's frames is as plausible as today's: its server tells last year's time.
"""

from __future__ import annotations

__all__ = ["ExchangeClock"]

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds after a wrong time in which no other is a reason to ask the exchange again."""
USUAL = 1_000_000
"""µs by which a time may be ahead of the estimate without a look at it."""


class ExchangeClock:
    """The exchange's clock as estimated: `offset` is its time less ours, 0 until something is known.

    The difference of a time to its receive time needs no look up to `usual` and is plausible up to `limit`, which is
    `ahead` more than the offset. `behind` is how much older than the newest of its connection a time may be. All in µs.
    `known` says that the exchange tells its time.
    """

    def __init__(self, ahead: int, behind: int) -> None:
        self.ahead = ahead
        self.behind = behind
        self.offset = self.usual = self.limit = 0
        self.known = False
        self._wait = FIRST_WAIT
        self._ask_at = 0.0
        self.moved(0)

    def told(self, server_time: int, wall: int) -> None:
        """The exchange told its time."""
        self.known = True
        self.moved(server_time - wall)

    def moved(self, offset: int) -> None:
        """A plausible time is ahead of the estimate, as in a replay at a higher speed."""
        self.offset = offset
        self.usual = offset + min(USUAL, self.ahead)
        self.limit = offset + self.ahead

    def may_ask(self, now: float) -> bool:
        """Whether an implausible time is a reason to ask the exchange; a stream whose times stay wrong rarely is."""
        return now >= self._ask_at

    def judged(self, plausible: bool, now: float) -> None:
        """The exchange was asked because of a time, which is plausible then, or not."""
        if plausible:
            self._wait, self._ask_at = FIRST_WAIT, now
        else:
            self._ask_at = now + self._wait
            self._wait = min(LONGEST_WAIT, 2 * self._wait)
