"""Which handler a stream gets, and the two simple ones: records that replace each other, trades without order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from marketpipeline.ingestion.context import Context, Publish, StreamHandler
from marketpipeline.ingestion.order_book_builder import OrderBookBuilder
from marketpipeline.ingestion.trades import (
    TradeBounds,
    TradeHandler,
    agg_trade_id,
    first_trade_id,
    last_trade_id,
    trade_id,
)
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Quote, Ticker, Trade
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.adapter import ExchangeAdapter, SnapshotSource, StreamOptions, TradeIds
from marketpipeline.venues.instruments import Instrument, in_base_units
from marketpipeline.venues.messages import Stream

__all__ = [
    "REMEMBERED",
    "Delivered",
    "NewestHandler",
    "UniqueHandler",
    "candle_order",
    "make_handler",
    "quote_order",
    "ticker_order",
]

REMEMBERED = 10_000


class NewestHandler(StreamHandler):
    """Records that each replace the one before: quotes, tickers, candles, top levels of the book.

    `order` gives what must grow from record to record; one that does not was seen already. A connection that
    replaces a lost one starts over, since the exchange's ids may have started again.
    """

    def __init__(
        self, symbol: str, feed: Feed, publish: Publish, order: Callable[[Any], Any], *, beats: bool = False
    ) -> None:
        super().__init__(symbol, feed, publish)
        self.beats = beats
        self._order = order
        self._newest: Any = None

    @property
    def last_id(self) -> int | None:
        return self._newest if isinstance(self._newest, int) else None

    def accept(self, record: Any) -> None:
        self.seen += 1
        place = self._order(record)
        newest = self._newest
        if newest is not None and place <= newest and not self._begins_again(record):
            self.duplicates += 1
            return
        self._newest = place
        self.last = record
        self.publish(record)

    def interrupt(self) -> None:
        super().interrupt()
        self._newest = None

    def _begins_again(self, record: Any) -> bool:
        """Whether the exchange's numbers start again, as after maintenance: a smaller one at a later time."""
        last = self.last
        return record.event_time is not None and last.event_time is not None and record.event_time > last.event_time


quote_order: Callable[[Quote | Book], int] = attrgetter("update_id")
"""Quotes and top levels: the update id."""


def ticker_order(record: Ticker) -> tuple[int]:
    """Tickers: the exchange's time."""
    return (record.event_time or record.receive_time,)


def candle_order(record: ExchangeCandle) -> tuple[int, bool, int, float]:
    """Candles: which one, and how far it is; the volume tells that where the exchange gives no time."""
    return record.open_time, record.closed, record.event_time or 0, record.volume


class UniqueHandler(StreamHandler):
    """Trades whose ids tell nothing but which is which: each once, in the order in which they come.

    What is missed cannot be told from the ids, so nothing is fetched; the connection's own events say when it was away.
    Of the newest `REMEMBERED` the ids are known, which is far more than two connections differ by.
    """

    beats = True

    def __init__(
        self, symbol: str, feed: Feed, publish: Publish, id_of: Callable[[Trade], int], last: Trade | None = None
    ) -> None:
        super().__init__(symbol, feed, publish)
        self.last = last
        self._id_of = id_of
        self._order: deque[int] = deque()
        self._known: set[int] = set()
        if last is not None:
            self._remember(id_of(last))

    def accept(self, record: Trade) -> None:
        """Hand on what has not come before."""
        self.seen += 1
        number = self._id_of(record)
        if number in self._known:
            self.duplicates += 1
            return
        self._remember(number)
        self.last = record
        self.publish(record)

    def _remember(self, number: int) -> None:
        self._known.add(number)
        self._order.append(number)
        if len(self._order) > REMEMBERED:
            self._known.discard(self._order.popleft())


@dataclass(frozen=True, slots=True)
class Delivered:
    """The newest records in the topics, by symbol: what was delivered, whoever did it."""

    trades: dict[str, Trade] = field(default_factory=dict)
    agg_trades: dict[str, AggTrade] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)


def make_handler(
    stream: Stream,
    settings: IngestionSettings,
    adapter: ExchangeAdapter,
    context: Context,
    writers: Callable[[TopicKind, str], Publish],
    delivered: Delivered,
    instrument: Instrument,
) -> StreamHandler:
    """The handler of one stream. It counts as the exchange does; what it publishes is in base units."""
    symbol, feed = stream.symbol, stream.feed
    publish = write = writers(FEED_TOPIC[feed], symbol)
    contract, spans = instrument.contract, adapter.agg_trade_ids is TradeIds.SPANS
    if contract is not None:

        def publish(record: Any) -> None:
            write(in_base_units(record, contract))

    match feed:
        case Feed.TRADES if adapter.trade_ids is TradeIds.UNORDERED:
            return UniqueHandler(symbol, feed, publish, trade_id, last=delivered.trades.get(symbol))
        case Feed.TRADES:
            return TradeHandler(
                symbol,
                feed,
                publish,
                context,
                trade_id,
                lambda first, limit: adapter.trades(symbol, first, limit),
                page=adapter.limits.page,
                bounds=TradeBounds.of(settings),
                last=delivered.trades.get(symbol),
            )
        case Feed.AGG_TRADES:
            return TradeHandler(
                symbol,
                feed,
                publish,
                context,
                first_trade_id if spans else agg_trade_id,
                lambda first, limit: adapter.agg_trades(symbol, first, limit),
                page=adapter.limits.page,
                bounds=TradeBounds.of(settings),
                last=delivered.agg_trades.get(symbol),
                last_id_of=last_trade_id if spans else None,
            )
        case Feed.BOOK:
            return _book_handler(symbol, settings, adapter, context, publish, delivered.books.get(symbol))
        case Feed.QUOTES:
            return NewestHandler(symbol, feed, publish, quote_order)
        case Feed.TICKERS:
            return NewestHandler(symbol, feed, publish, ticker_order)
        case Feed.CANDLES:
            return NewestHandler(symbol, feed, publish, candle_order)
        case Feed.RAW:
            raise ValueError("no exchange has a stream of raw frames")


def _book_handler(
    symbol: str,
    settings: IngestionSettings,
    adapter: ExchangeAdapter,
    context: Context,
    publish: Publish,
    last: Book | None,
) -> StreamHandler:
    rules = adapter.book_rules(StreamOptions(settings.levels, settings.partial_depth))
    if rules.snapshot is SnapshotSource.EVERY:
        return NewestHandler(symbol, Feed.BOOK, publish, quote_order, beats=True)
    return OrderBookBuilder(
        symbol,
        publish,
        context,
        rules,
        lambda: adapter.snapshot(symbol),
        levels=settings.levels,
        max_held=settings.max_held,
        last=last,
    )
