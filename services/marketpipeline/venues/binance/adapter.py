"""Binance spot as a adapter: names of streams, control messages, limits. Facts: its public API documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from marketpipeline.records import AggTrade, Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import BookSnapshot, ExchangeAdapter, Limits, RestRequest, Stream, StreamOptions
from marketpipeline.venues.binance import VENUE, rest
from marketpipeline.venues.binance.mapper import BinanceMapper

__all__ = ["ADAPTER", "BinanceAdapter"]

_SUFFIXES = {
    Feed.TRADES: "trade",
    Feed.AGG_TRADES: "aggTrade",
    Feed.QUOTES: "bookTicker",
    Feed.TICKERS: "ticker",
    Feed.CANDLES: "kline_1m",
}


class BinanceAdapter:
    """Binance spot.

    The captures show a trade up to 220 ms before the time at which it is sent, and times of sending 4 ms out of order.
    """

    limits = Limits(
        control_per_second=5,
        lifetime=24 * 3600.0,
        connects=300,
        connects_window=300.0,
        rest_weight=6000,
        page=1000,
        subscribe_batch=200,
        disorder=500_000,
    )

    def streams(self, symbols: Sequence[str], feeds: Sequence[Feed], options: StreamOptions) -> list[Stream]:
        """`btcusdt@trade` and so on: symbols in lower case, or they are acknowledged and then silent."""
        suffixes = {**_SUFFIXES, Feed.BOOK: _book_suffix(options)}
        return [
            Stream(f"{symbol.partition(':')[2].lower()}@{suffixes[feed]}", symbol, feed)
            for symbol in symbols
            for feed in feeds
        ]

    def url(self, base: str) -> str:
        """The combined stream, whose wrapper tells the symbol of messages that do not; times in µs."""
        return f"{base.rstrip('/')}/stream?timeUnit=MICROSECOND"

    def subscribe(self, number: int, streams: Sequence[str]) -> bytes:
        """Answered by `{"result":null,"id":number}`."""
        return _control("SUBSCRIBE", number, streams)

    def unsubscribe(self, number: int, streams: Sequence[str]) -> bytes:
        """Answered by `{"result":null,"id":number}`."""
        return _control("UNSUBSCRIBE", number, streams)

    def mapper(self, streams: Sequence[Stream]) -> BinanceMapper:
        """What reads the frames of these streams."""
        return BinanceMapper(streams)

    def server_time(self) -> RestRequest[int]:
        """`/api/v3/time`."""
        return rest.server_time()

    def listed(self, symbols: Sequence[str]) -> RestRequest[frozenset[str]]:
        """`/api/v3/exchangeInfo` of some symbols, as full ids."""
        return _with_prefix(rest.listed(symbols))

    def listing(self) -> RestRequest[frozenset[str]]:
        """`/api/v3/exchangeInfo` of all symbols, as full ids."""
        return _with_prefix(rest.listing())

    def snapshot(self, symbol: str) -> RestRequest[BookSnapshot]:
        """`/api/v3/depth`."""
        return rest.snapshot(symbol)

    def trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[list[Trade]]:
        """`/api/v3/historicalTrades`."""
        return rest.trades(symbol, first_id, limit)

    def agg_trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[list[AggTrade]]:
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


def _control(method: str, number: int, streams: Sequence[str]) -> bytes:
    return json.dumps({"method": method, "params": list(streams), "id": number}, separators=(",", ":")).encode()


def _with_prefix(request: RestRequest[frozenset[str]]) -> RestRequest[frozenset[str]]:
    def read(body: bytes, receive_time: int) -> frozenset[str]:
        return frozenset(f"{VENUE.name}:{name}" for name in request.read(body, receive_time))

    return RestRequest(request.path, request.params, request.weight, read, request.headers)


ADAPTER: ExchangeAdapter = BinanceAdapter()
