"""Which lane a stream gets, and what of the past it starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from marketpipeline.ingestion.depth import DepthLane
from marketpipeline.ingestion.desk import Desk, Put
from marketpipeline.ingestion.lane import Lane, NewestLane, candle_order, quote_order, ticker_order
from marketpipeline.ingestion.trades import TradeLane, agg_trade_id, trade_id
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.records import AggTrade, Book, ExchangeCandle, Quote, Ticker, Trade
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.dialect import BookChange, Dialect, Stream

__all__ = ["Memory", "make_lane", "record_type"]


@dataclass(frozen=True, slots=True)
class Memory:
    """The newest records in the topics, by symbol: what was delivered, whoever did it."""

    trades: dict[str, Trade] = field(default_factory=dict)
    agg_trades: dict[str, AggTrade] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)


def record_type(feed: Feed, settings: IngestionSettings) -> type:
    """What the mapper makes of a frame of this feed."""
    if feed is Feed.BOOK:
        return Book if settings.partial_depth else BookChange
    return {
        Feed.TRADES: Trade,
        Feed.AGG_TRADES: AggTrade,
        Feed.QUOTES: Quote,
        Feed.TICKERS: Ticker,
        Feed.CANDLES: ExchangeCandle,
    }[feed]


def make_lane(
    stream: Stream,
    settings: IngestionSettings,
    dialect: Dialect,
    desk: Desk,
    puts: Callable[[TopicKind, str], Put],
    memory: Memory,
) -> Lane:
    """The lane of one stream."""
    symbol, feed = stream.symbol, stream.feed
    put = puts(FEED_TOPIC[feed], symbol)
    match feed:
        case Feed.TRADES:
            return TradeLane(
                symbol,
                feed,
                put,
                desk,
                trade_id,
                lambda first, limit: dialect.trades(symbol, first, limit),
                page=dialect.limits.page,
                max_backfill=settings.max_backfill,
                max_held=settings.max_held,
                last=memory.trades.get(symbol),
            )
        case Feed.AGG_TRADES:
            return TradeLane(
                symbol,
                feed,
                put,
                desk,
                agg_trade_id,
                lambda first, limit: dialect.agg_trades(symbol, first, limit),
                page=dialect.limits.page,
                max_backfill=settings.max_backfill,
                max_held=settings.max_held,
                last=memory.agg_trades.get(symbol),
            )
        case Feed.BOOK if not settings.partial_depth:
            return DepthLane(
                symbol,
                put,
                desk,
                lambda: dialect.snapshot(symbol),
                levels=settings.levels,
                max_held=settings.max_held,
                last=memory.books.get(symbol),
            )
        case Feed.BOOK:
            return NewestLane(symbol, feed, put, quote_order, beats=True)
        case Feed.QUOTES:
            return NewestLane(symbol, feed, put, quote_order)
        case Feed.TICKERS:
            return NewestLane(symbol, feed, put, ticker_order)
        case Feed.CANDLES:
            return NewestLane(symbol, feed, put, candle_order)
