"""The state of the market as of the frames sent so far, so that REST answers agree with the streams.

Remembering must cost almost nothing per frame, since a replay sends hundreds of thousands a second and asks
only now and then. So frames are kept as they are and read when REST asks; both histories are bounded.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, Event, Levels, Quote, Trade
from marketpipeline.simulator.frames import Frame, Kind

__all__ = ["Book", "MarketState"]

MAX_PENDING = 10_000
"""Diffs that wait for a reader of their book before they are applied all the same."""


class _Side:
    """The levels of one side by price; their prices in ascending order, so that the best ones are at hand."""

    def __init__(self, levels: Levels) -> None:
        self.levels = {float(level[0]): level for level in levels}
        self.prices = sorted(self.levels)

    def change(self, level: tuple[str, str]) -> None:
        """Set a level; quantity zero removes it."""
        price = float(level[0])
        if float(level[1]):
            if price not in self.levels:
                insort(self.prices, price)
            self.levels[price] = level
        elif self.levels.pop(price, None) is not None:
            del self.prices[bisect_left(self.prices, price)]


class Book:
    """Both sides of one symbol; prices and quantities stay in the wire's own decimal text."""

    def __init__(self) -> None:
        self.last_id = 0
        self.seeded = False
        self.after_hole: list[BookDiff] = []
        """Changes since one that does not continue the book: what was lost before them a snapshot has to tell."""
        self._bids, self._asks = _Side([]), _Side([])

    def seed(self, snapshot: BookSnapshot) -> bool:
        """Replace the book, unless it is already newer. Says whether that ended a hole whose reader knows of it."""
        after = self.after_hole
        ends = bool(after) and snapshot.last_id >= after[0].first_id - 1
        if self.seeded and snapshot.last_id < self.last_id and not ends:
            return False
        self.last_id, self.seeded, self.after_hole = snapshot.last_id, True, []
        self._bids, self._asks = _Side(snapshot.bids), _Side(snapshot.asks)
        for diff in after if ends else ():
            self.apply(diff)
        return ends

    def apply(self, diff: BookDiff) -> None:
        """Take in a change; one that the book already has is ignored."""
        if diff.last_id <= self.last_id:
            return
        follows_hole = self.after_hole or (self.seeded and diff.first_id > self.last_id + 1)
        if follows_hole and len(self.after_hole) < MAX_PENDING:
            self.after_hole.append(diff)
        self.last_id = diff.last_id
        for side, changes in ((self._bids, diff.bids), (self._asks, diff.asks)):
            for level in changes:
                side.change(level)

    def snapshot(self, limit: int) -> BookSnapshot:
        """The best `limit` levels of each side, best first."""
        bids, asks = self._bids, self._asks
        return BookSnapshot(
            self.last_id,
            [bids.levels[price] for price in bids.prices[: -limit - 1 : -1]],
            [asks.levels[price] for price in asks.prices[:limit]],
        )


class MarketState:
    """Books, trades and quotes of all symbols, as of the last frame noted. See `MarketView`.

    `read` gives a frame's events; `history` bounds the trades (and as many aggregate trades) kept per symbol. `volumes`
    is what was traded of a symbol on the day before, in quote units.
    """

    def __init__(
        self,
        read: Callable[[Frame], Sequence[Event]],
        symbols: Iterable[str],
        history: int,
        wall: Callable[[], float] = time.monotonic,
        volumes: Mapping[str, float] | None = None,
    ) -> None:
        self.read = read
        self._days: dict[str, Candle] = {}
        self._before = dict(volumes or {})
        self._history = history
        self._books = {symbol: Book() for symbol in symbols}
        self._diffs: dict[str, list[Frame]] = {symbol: [] for symbol in self._books}
        self._trades: dict[str, list[Frame]] = {symbol: [] for symbol in self._books}
        self._agg_trades: dict[str, list[Frame]] = {symbol: [] for symbol in self._books}
        self._past: dict[tuple[Kind, str], dict[int, Any]] = {}
        self._quotes: dict[str, Frame] = {}
        self._wall = wall
        self._delisted: dict[str, float] = {}
        self._spoiled: dict[str, set[int]] = {}
        """By symbol the trades that REST gives with quantity 0; 0 stands for one of the next page."""
        self.reseeded: set[str] = set()
        """Symbols whose book went on from a newer snapshot: its readers have missed changes. The timeline clears it."""
        self.told: dict[str, BookSnapshot] = {}
        """By symbol what REST told just now in the capture, to who had seen the hole before. The timeline clears it."""

    def note(self, frame: Frame) -> None:
        """Remember a frame that is being sent now."""
        kind = frame.kind
        if kind is Kind.QUOTE:
            self._quotes[frame.symbol] = frame
        elif kind is Kind.TRADE:
            self._keep(self._trades[frame.symbol], frame)
        elif kind is Kind.DIFF:
            diffs = self._diffs[frame.symbol]
            diffs.append(frame)
            if len(diffs) > MAX_PENDING:
                self._book(frame.symbol)
        elif kind is Kind.AGG_TRADE:
            self._keep(self._agg_trades[frame.symbol], frame)
        elif kind is Kind.SNAPSHOT:
            self.seed(frame)

    def remember(self, frame: Frame) -> None:
        """Keep a page of trades that no stream tells; REST knows each once a later one was sent."""
        known = self._past.setdefault((frame.kind, frame.symbol), {})
        known.update({trade[0]: trade for trade in self.read(frame) if isinstance(trade, Trade | AggTrade)})

    def seed(self, frame: Frame) -> None:
        """Start (or, where diffs were lost, go on with) a book from a snapshot frame."""
        for snapshot in self.read(frame):
            if isinstance(snapshot, BookSnapshot):
                book = self._book(frame.symbol)
                newer = book.seeded and snapshot.last_id > book.last_id
                if book.seed(snapshot):
                    self.told[frame.symbol] = snapshot
                elif newer:
                    self.reseeded.add(frame.symbol)

    def seeded(self, symbol: str) -> bool:
        """Whether the book is whole; without a snapshot it has only the levels that changed."""
        return self._books[symbol].seeded

    def symbols(self) -> list[str]:
        """Every symbol that is listed now, sorted."""
        if not self._delisted:
            return sorted(self._books)
        now = self._wall()
        self._delisted = {symbol: until for symbol, until in self._delisted.items() if until > now}
        return sorted(self._books.keys() - self._delisted.keys())

    def delist(self, symbol: str, seconds: float) -> None:
        """Leave a symbol out of those that are listed, for a while of the wall clock."""
        self._delisted[symbol] = self._wall() + seconds

    def spoil_trade(self, symbol: str) -> None:
        """Give the middle trade of the next page quantity 0 from then on."""
        self._spoiled.setdefault(symbol, set()).add(0)

    def depth(self, symbol: str, limit: int) -> BookSnapshot:
        """The best `limit` levels of each side."""
        told = self.told.get(symbol)
        if told is not None:
            return BookSnapshot(told.last_id, told.bids[:limit], told.asks[:limit])
        return self._book(symbol).snapshot(limit)

    def has_hole(self, symbol: str) -> bool:
        """Whether changes were lost that no snapshot has told since."""
        return symbol not in self.told and bool(self._book(symbol).after_hole)

    def trades(self, symbol: str, from_id: int | None, limit: int) -> list[Trade]:
        """The newest `limit` trades sent, or the first ones from `from_id` on; in the order of their ids."""
        found: list[Trade] = self._range(Kind.TRADE, symbol, from_id, limit)
        if not (spoiled := self._spoiled.get(symbol)):
            return found
        if 0 in spoiled and found:
            spoiled.discard(0)
            spoiled.add(found[len(found) // 2].trade_id)
        return [trade._replace(quantity="0.00000000") if trade.trade_id in spoiled else trade for trade in found]

    def day(self, symbol: str) -> Candle | None:
        """All trades sent so far as one candle, None before the first; each is read once, when it is asked for."""
        day = self._days.get(symbol)
        for trade in self._sent(self._trades[symbol], 0 if day is None else day.last_trade_id + 1, 1 << 62):
            if day is None:
                day = self._days[symbol] = Candle.opened_by(trade, 1 << 62)
            else:
                day.add(trade)
        return day

    def quote_volume(self, symbol: str) -> Decimal:
        """What was traded in 24 hours: those trades, and as if the day before had been simulated too."""
        day = self.day(symbol)
        return Decimal(round(self._before.get(symbol, 0.0))) + (Decimal(0) if day is None else day.quote_volume)

    def scale_volume(self, symbol: str, factor: float) -> None:
        """Make the volume of 24 hours so many times as much."""
        self._before[symbol] = float(self.quote_volume(symbol)) * factor

    def agg_trades(self, symbol: str, from_id: int | None, limit: int) -> list[AggTrade]:
        """The same of aggregate trades."""
        return self._range(Kind.AGG_TRADE, symbol, from_id, limit)

    def quote(self, symbol: str) -> Quote | None:
        """The best bid and ask last sent, or those of the book when quotes are not among the streams."""
        frame = self._quotes.get(symbol)
        if frame is not None:
            quote = self.read(frame)[-1]
            return quote if isinstance(quote, Quote) else None
        book = self.depth(symbol, 1)
        if not book.bids or not book.asks:
            return None
        return Quote(book.last_id, *book.bids[0], *book.asks[0])

    def _keep(self, kept: list[Frame], frame: Frame) -> None:
        kept.append(frame)
        if len(kept) > self._history + self._history // 4:
            del kept[: -self._history]

    def _book(self, symbol: str) -> Book:
        book, diffs = self._books[symbol], self._diffs[symbol]
        for frame in diffs:
            for diff in self.read(frame):
                if isinstance(diff, BookDiff):
                    book.apply(diff)
        diffs.clear()
        return book

    def _range(self, kind: Kind, symbol: str, from_id: int | None, limit: int) -> list[Any]:
        """The newest `limit` trades, or the first ones from `from_id` on: those that were sent, and those between."""
        kept = (self._trades if kind is Kind.TRADE else self._agg_trades)[symbol]
        found = self._sent(kept, from_id, limit)
        past = self._past.get((kind, symbol))
        if not past or not kept:
            return found
        newest = self.read(kept[-1])[-1][0]
        first = from_id if from_id is not None else found[0][0]
        between = {number: trade for number, trade in past.items() if first <= number < newest}
        both = sorted((between | {trade[0]: trade for trade in found}).values())
        return both[-limit:] if from_id is None else both[:limit]

    def _sent(self, kept: list[Frame], from_id: int | None, limit: int) -> list[Any]:
        """The same of frames with one or more trades each."""
        if from_id is None:
            return [event for frame in kept[-limit:] for event in self.read(frame)][-limit:]
        first = bisect_left(kept, from_id, key=lambda frame: self.read(frame)[-1][0])
        found = (event for frame in kept[first : first + limit] for event in self.read(frame))
        return [event for event in found if event[0] >= from_id][:limit]
