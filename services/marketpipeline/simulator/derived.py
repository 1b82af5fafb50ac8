"""Streams that follow from others: top levels, slower book changes, candles and 24-hour statistics.

A capture rarely holds all streams of an exchange, and the simulated market makes only the elementary ones
(trades, quotes, book changes). What a client asks for beyond these is computed here from what was sent, for
both in the same way, and only while somebody reads it. Moments are exchange time, so a replay repeats them.
"""

from __future__ import annotations

from collections.abc import Iterable

from marketpipeline.simulator.derivations import KINDS, Derivation, Encoders, Stream
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.market import Market

__all__ = ["Derivation", "Derived", "Encoders"]


class Derived:
    """Makes the frames of derived streams, behind the frames that they follow from.

    `choose` tells the streams that are wanted now and what each is; it is asked when `version` changes.
    """

    def __init__(self, market: Market, encoders: Encoders) -> None:
        self._market = market
        self._encoders = encoders
        self._streams: dict[str, Stream] = {}
        self._symbols: set[str] = set()
        self._now = 0
        self._due = 0
        self._next = 1 << 62

    def choose(self, wanted: Iterable[tuple[str, Derivation]], now: int) -> None:
        """Make exactly these streams from now on; `now` in microseconds."""
        chosen = dict(wanted)
        for stream in self._streams.keys() - chosen.keys():
            del self._streams[stream]
        for stream, derivation in chosen.items():
            if stream not in self._streams:
                self._streams[stream] = KINDS[derivation.kind](stream, derivation, self._market, self._encoders, now)
        self._symbols = {one.derivation.symbol for one in self._streams.values()}
        self._plan()

    @property
    def active(self) -> bool:
        """Whether anything is made at all."""
        return bool(self._streams)

    def before(self, frame: Frame) -> list[Frame]:
        """What became due before the frame's own time."""
        return self.passed(frame.event_time - 1, frame.due) if frame.event_time > self._next else []

    def after(self, frame: Frame) -> None:
        """Take in a frame that the market has noted."""
        if frame.symbol in self._symbols and frame.kind in (Kind.TRADE, Kind.DIFF):
            event = self._market.read(frame)
            for stream in self._streams.values():
                if stream.derivation.symbol == frame.symbol:
                    stream.take(event)

    def passed(self, now: int, due: int) -> list[Frame]:
        """Exchange time went on to `now`: what became due meanwhile, in order."""
        made: list[Frame] = []
        while self._next <= now:
            moment = self._next
            for stream in self._streams.values():
                if stream.next <= moment:
                    made.extend(stream.make(moment, due))
                    stream.next += stream.derivation.every
            self._plan()
        return made

    def _plan(self) -> None:
        self._next = min((stream.next for stream in self._streams.values()), default=1 << 62)
