"""Binance spot as an adapter: names of streams, control messages, limits. Facts: its public API documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from marketpipeline.records import AggTrade, Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import (
    BookRules,
    ExchangeAdapter,
    Limits,
    Page,
    Rate,
    RestRequest,
    SnapshotSource,
    StreamOptions,
)
from marketpipeline.venues.binance import VENUE, rest
from marketpipeline.venues.binance.mapper import BinanceMapper
from marketpipeline.venues.continuity import NONE, SPANNING
from marketpipeline.venues.instruments import Instruments, Volumes
from marketpipeline.venues.messages import BookSnapshot, Stream

__all__ = ["ADAPTER", "BinanceAdapter"]

_SUFFIXES = {
    Feed.TRADES: "trade",
    Feed.AGG_TRADES: "aggTrade",
    Feed.QUOTES: "bookTicker",
    Feed.TICKERS: "ticker",
    Feed.CANDLES: "kline_1m",
}


class BinanceAdapter(ExchangeAdapter):
    """Binance spot.

    The captures show a trade up to 220 ms before the time at which it is sent, and times of sending 4 ms out of order.
    """

    limits = Limits(
        control=Rate(5, 1.0),
        connects=Rate(300, 300.0),
        rest=Rate(6000, 60.0),
        lifetime=24 * 3600.0,
        page=1000,
        subscribe_batch=200,
        disorder=500_000,
    )
    # The combined stream, whose wrapper tells the symbol of messages that do not; times in µs.
    endpoints = MappingProxyType({"": "/stream?timeUnit=MICROSECOND"})

    def streams(self, symbols: Sequence[str], feeds: Sequence[Feed], options: StreamOptions) -> list[Stream]:
        """`btcusdt@trade` and so on: symbols in lower case, or they are acknowledged and then silent."""
        suffixes = {**_SUFFIXES, Feed.BOOK: _book_suffix(options)}
        return [
            Stream(f"{symbol.partition(':')[2].lower()}@{suffixes[feed]}", symbol, feed)
            for symbol in symbols
            for feed in feeds
        ]

    def book_rules(self, options: StreamOptions) -> BookRules:
        """Changes onto a snapshot of REST, or top levels."""
        if options.partial_depth:
            return BookRules(SnapshotSource.EVERY, NONE)
        return BookRules(SnapshotSource.FETCHED, SPANNING)

    def subscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        """Answered by `{"result":null,"id":number}`."""
        return _control("SUBSCRIBE", number, streams)

    def unsubscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        """Answered by `{"result":null,"id":number}`."""
        return _control("UNSUBSCRIBE", number, streams)

    def mapper(self, streams: Sequence[Stream]) -> BinanceMapper:
        """What reads the frames of these streams."""
        return BinanceMapper(streams)

    def server_time(self) -> RestRequest[int]:
        """`/api/v3/time`."""
        return rest.server_time()

    def instruments(self, symbols: Sequence[str] | None) -> Sequence[RestRequest[Instruments]]:
        """`/api/v3/exchangeInfo` of some symbols or all."""
        return (rest.instruments(symbols),)

    def volumes(self) -> Sequence[RestRequest[Volumes]]:
        """`/api/v3/ticker/24hr` of all symbols."""
        return (rest.volumes(),)

    def snapshot(self, symbol: str) -> RestRequest[BookSnapshot]:
        """`/api/v3/depth`."""
        return rest.snapshot(symbol)

    def trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[Trade]]:
        """`/api/v3/historicalTrades`."""
        return rest.trades(symbol, first_id, limit)

    def agg_trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[AggTrade]]:
        """`/api/v3/aggTrades`."""
        return rest.agg_trades(symbol, first_id, limit)

    def judge(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """By the status, and the code in the body."""
        rest.judge(status, headers, body)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """`X-MBX-USED-WEIGHT-1M`."""
        return rest.used_weight(headers)


def _book_suffix(options: StreamOptions) -> str:
    if not options.partial_depth:
        return "depth@100ms"
    levels = next((offered for offered in VENUE.book_levels if offered >= options.levels), VENUE.book_levels[-1])
    return f"depth{levels}@100ms"


def _control(method: str, number: int, streams: Sequence[Stream]) -> bytes:
    return json.dumps(
        {"method": method, "params": [stream.name for stream in streams], "id": number}, separators=(",", ":")
    ).encode()


ADAPTER = BinanceAdapter()
