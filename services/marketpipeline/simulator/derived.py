"""Streams that follow from others: top levels, slower book changes, candles and 24-hour statistics.

A capture rarely holds all streams of an exchange, and the simulated market makes only the elementary ones
(trades, quotes, book changes). What else a client asks for is computed here from what was sent, in the same way for
both, and only while somebody reads it. The moments are exchange time, so a replay repeats them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.events import BookDiff, DayStatistics, Trade
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.market_state import MarketState

__all__ = ["Derivation", "Derived", "Encoders"]

DAY = 86_400_000_000
MINUTE = 60_000_000
NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Derivation:
    """What a stream carries: `every` microseconds of exchange time, about `symbol`; 0 for as it happens.

    `levels` is for partial books, `interval` (its name and its length in microseconds) for candles.
    """

    kind: Literal["partial", "diff", "candle", "statistics", "trade"]
    symbol: str
    every: int
    levels: int = 0
    interval: tuple[str, int] = ("", 0)


@dataclass(frozen=True, slots=True)
class Encoders:
    """How the exchange's protocol writes them: its `encode_…` functions."""

    partial: Callable[..., Frame]
    diff: Callable[..., Frame]
    candle: Callable[..., Frame]
    statistics: Callable[..., Frame]
    trade: Callable[..., Frame] | None = None
    """Where trades are told by two streams, of which a capture may have one."""


class Stream:
    """One derived stream; `next` is when it speaks next."""

    def __init__(self, name: str, derivation: Derivation, market: MarketState, encoders: Encoders, now: int) -> None:
        self.name = name
        self.derivation = derivation
        self.market = market
        self.encoders = encoders
        every = derivation.every
        self.next = now - now % every + every if every else NEVER

    def take(self, event: object) -> None:
        """A trade or a book change of the symbol."""

    def make(self, now: int, due: int) -> Iterable[Frame]:
        """What the stream says at `now`."""
        raise NotImplementedError


class _Trades(Stream):
    """Each trade as it happens."""

    def __init__(self, name: str, derivation: Derivation, market: MarketState, encoders: Encoders, now: int) -> None:
        super().__init__(name, derivation, market, encoders, now)
        self._new: list[Trade] = []

    def take(self, event: object) -> None:
        if isinstance(event, Trade):
            self._new.append(event)

    def make(self, now: int, due: int) -> Iterable[Frame]:
        encode = self.encoders.trade
        assert encode is not None, "derived only by exchanges that write it"
        new, self._new = self._new, []
        return [encode(due, self.derivation.symbol, self.name, trade) for trade in new]


class _Partial(Stream):
    def __init__(self, name: str, derivation: Derivation, market: MarketState, encoders: Encoders, now: int) -> None:
        super().__init__(name, derivation, market, encoders, now)
        self._changed = True

    def take(self, event: object) -> None:
        self._changed = self._changed or isinstance(event, BookDiff)

    def make(self, now: int, due: int) -> Iterable[Frame]:
        if not self._changed:
            return []
        self._changed = False
        top = self.market.depth(self.derivation.symbol, self.derivation.levels)
        return [self.encoders.partial(due, self.derivation.symbol, self.name, top)]


class _Diff(Stream):
    """Book changes of a longer time: the last change of each level."""

    def __init__(self, name: str, derivation: Derivation, market: MarketState, encoders: Encoders, now: int) -> None:
        super().__init__(name, derivation, market, encoders, now)
        self._first = self._last = 0
        self._sides: tuple[dict[str, str], dict[str, str]] = ({}, {})

    def take(self, event: object) -> None:
        if isinstance(event, BookDiff):
            self._first = self._first or event.first_id
            self._last = event.last_id
            self._sides[0].update(event.bids)
            self._sides[1].update(event.asks)

    def make(self, now: int, due: int) -> Iterable[Frame]:
        if not self._first:
            return []
        bids, asks = (list(side.items()) for side in self._sides)
        diff = BookDiff(self._first, self._last, now, bids, asks)
        self._first, self._sides = 0, ({}, {})
        return [self.encoders.diff(due, self.derivation.symbol, self.name, diff)]


class _Candle(Stream):
    def __init__(self, name: str, derivation: Derivation, market: MarketState, encoders: Encoders, now: int) -> None:
        super().__init__(name, derivation, market, encoders, now)
        self._candle: Candle | None = None
        self._ended: list[Candle] = []
        for trade in market.trades(derivation.symbol, 0, 1 << 62):
            self.take(trade)
        self._ended.clear()

    def take(self, event: object) -> None:
        if not isinstance(event, Trade):
            return
        if self._candle is not None and event.time < self._candle.close_time:
            self._candle.add(event)
            return
        if self._candle is not None:
            self._ended.append(self._candle)
        self._candle = Candle.opened_by(event, self.derivation.interval[1])

    def make(self, now: int, due: int) -> Iterable[Frame]:
        if self._candle is not None and now >= self._candle.close_time:
            self._ended.append(self._candle)
            self._candle = None
        symbol, interval = self.derivation.symbol, self.derivation.interval[0]
        encode = self.encoders.candle
        for candle in self._ended:
            yield encode(due, symbol, self.name, interval, candle, True, now)
        self._ended.clear()
        if self._candle is not None:
            yield encode(due, symbol, self.name, interval, self._candle, False, now)


class _Statistics(Stream):
    """Rolling 24 hours, kept by the minute so that what leaves the window is cheap to forget."""

    def __init__(self, name: str, derivation: Derivation, market: MarketState, encoders: Encoders, now: int) -> None:
        super().__init__(name, derivation, market, encoders, now)
        self._minutes: deque[Candle] = deque(maxlen=DAY // MINUTE + 1)
        self._last_quantity = "0"
        for trade in market.trades(derivation.symbol, 0, 1 << 62):
            self.take(trade)

    def take(self, event: object) -> None:
        if not isinstance(event, Trade):
            return
        self._last_quantity = event.quantity
        if self._minutes and event.time < self._minutes[-1].close_time:
            self._minutes[-1].add(event)
        else:
            self._minutes.append(Candle.opened_by(event, MINUTE))

    def make(self, now: int, due: int) -> Iterable[Frame]:
        while self._minutes and self._minutes[0].close_time <= now - DAY:
            self._minutes.popleft()
        if not self._minutes:
            return []
        first, last = self._minutes[0], self._minutes[-1]
        day = DayStatistics(
            time=now,
            open_time=first.open_time,
            open=first.open,
            high=max((minute.high for minute in self._minutes), key=Decimal),
            low=min((minute.low for minute in self._minutes), key=Decimal),
            last=last.close,
            last_quantity=self._last_quantity,
            volume=sum((minute.volume for minute in self._minutes), Decimal(0)),
            quote_volume=sum((minute.quote_volume for minute in self._minutes), Decimal(0)),
            first_trade_id=first.first_trade_id,
            last_trade_id=last.last_trade_id,
            trades=sum(minute.trades for minute in self._minutes),
            quote=self.market.quote(self.derivation.symbol),
        )
        return [self.encoders.statistics(due, self.derivation.symbol, self.name, day)]


_KINDS: Mapping[str, type[Stream]] = MappingProxyType(
    {
        "partial": _Partial,
        "diff": _Diff,
        "candle": _Candle,
        "statistics": _Statistics,
        "trade": _Trades,
    }
)


class Derived:
    """Makes the frames of derived streams, each after the frames that it follows from.

    `choose` tells the streams that are wanted now and what each is; it is asked when `version` changes.
    """

    def __init__(self, market: MarketState, encoders: Encoders) -> None:
        self._market = market
        self._encoders = encoders
        self._streams: dict[str, Stream] = {}
        self._symbols: set[str] = set()
        self._now = 0
        self._due = 0
        self._next = NEVER

    def choose(self, wanted: Iterable[tuple[str, Derivation]], now: int) -> None:
        """Make exactly these streams from now on; `now` in microseconds."""
        chosen = dict(wanted)
        for stream in self._streams.keys() - chosen.keys():
            del self._streams[stream]
        for stream, derivation in chosen.items():
            if stream not in self._streams:
                self._streams[stream] = _KINDS[derivation.kind](stream, derivation, self._market, self._encoders, now)
        self._symbols = {one.derivation.symbol for one in self._streams.values()}
        self._plan()

    @property
    def active(self) -> bool:
        """Whether anything is made at all."""
        return bool(self._streams)

    def before(self, frame: Frame) -> list[Frame]:
        """What became due before the frame's own time."""
        return self.passed(frame.event_time - 1, frame.due) if frame.event_time > self._next else []

    def after(self, frame: Frame) -> list[Frame]:
        """Take in a frame that the market has noted; what follows from it at once."""
        made: list[Frame] = []
        if frame.symbol in self._symbols and frame.kind in (Kind.TRADE, Kind.DIFF):
            events = self._market.read(frame)
            for stream in self._streams.values():
                if stream.derivation.symbol != frame.symbol:
                    continue
                for event in events:
                    stream.take(event)
                if not stream.derivation.every:
                    made.extend(stream.make(frame.event_time, frame.due))
        return made

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
        self._next = min((stream.next for stream in self._streams.values()), default=NEVER)
