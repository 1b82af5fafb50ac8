"""OKX v5 as an adapter: names of streams, control messages, limits. Facts: its public API documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from marketpipeline.records import AggTrade, Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import (
    BookRules,
    ExchangeAdapter,
    KeepAlive,
    Limits,
    Page,
    Rate,
    RestRequest,
    SnapshotSource,
    StreamOptions,
    TradeIds,
)
from marketpipeline.venues.continuity import NONE, PREVIOUS_SEQUENCE, InterleavedCrc32
from marketpipeline.venues.instruments import Instruments, Volumes
from marketpipeline.venues.messages import BookSnapshot, Stream
from marketpipeline.venues.okx import rest
from marketpipeline.venues.okx.convert import is_contract, name_of
from marketpipeline.venues.okx.mapper import OkxMapper

__all__ = ["ADAPTER", "OkxAdapter"]

_CHANNELS = {
    Feed.BOOK: "books",
    Feed.TRADES: "trades-all",
    Feed.AGG_TRADES: "trades",
    Feed.QUOTES: "bbo-tbt",
    Feed.TICKERS: "tickers",
    Feed.CANDLES: "candle1m",
}
_ON_BUSINESS = frozenset({Feed.TRADES, Feed.CANDLES})


class OkxAdapter(ExchangeAdapter):
    """OKX v5.

    `trades` tells matches of one taker at one price as one, so trades one by one are those of `trades-all`.
    The capture shows trades and books of one connection up to 0.4 s out of order.
    """

    limits = Limits(
        control=Rate(10, 1.0),
        connects=Rate(3, 1.0),
        rest=rest.LIMIT,
        lifetime=24 * 3600.0,
        page=rest.PAGE,
        subscribe_batch=200,
        disorder=1_000_000,
        subscriptions=Rate(480, 3600.0),
    )
    endpoints = MappingProxyType({"public": "/ws/v5/public", "business": "/ws/v5/business"})
    keep_alive = KeepAlive(message=b"ping", every=20.0)
    agg_trade_ids = TradeIds.SPANS

    def streams(self, symbols: Sequence[str], feeds: Sequence[Feed], options: StreamOptions) -> list[Stream]:
        """`trades-all:BTC-USDT` and so on: a channel and an instrument."""
        channels = {**_CHANNELS, **({Feed.BOOK: "books5"} if options.partial_depth else {})}
        return [
            Stream(
                f"{channels[feed]}:{name_of(symbol)}", symbol, feed, "business" if feed in _ON_BUSINESS else "public"
            )
            for symbol in symbols
            for feed in feeds
        ]

    def book_rules(self, options: StreamOptions) -> BookRules:
        """Changes onto a snapshot that the stream pushes, or that REST gives where it does not; or top levels."""
        if options.partial_depth:
            return BookRules(SnapshotSource.EVERY, NONE)
        return BookRules(SnapshotSource.PUSHED, PREVIOUS_SEQUENCE, InterleavedCrc32)

    def subscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        """Each stream is answered by itself."""
        return _control("subscribe", streams)

    def unsubscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        """Each stream is answered by itself."""
        return _control("unsubscribe", streams)

    def mapper(self, streams: Sequence[Stream]) -> OkxMapper:
        """What reads the messages of these streams."""
        return OkxMapper(streams)

    def counts_contracts(self, symbol: str) -> bool:
        """Swaps and futures are traded in contracts."""
        return is_contract(symbol)

    def server_time(self) -> RestRequest[int]:
        """`/api/v5/public/time`."""
        return rest.server_time()

    def instruments(self, symbols: Sequence[str] | None) -> Sequence[RestRequest[Instruments]]:
        """`/api/v5/public/instruments` of each kind."""
        return rest.instruments(symbols)

    def volumes(self) -> Sequence[RestRequest[Volumes]]:
        """`/api/v5/market/tickers` of each kind."""
        return rest.volumes()

    def snapshot(self, symbol: str) -> RestRequest[BookSnapshot]:
        """`/api/v5/market/books`."""
        return rest.snapshot(symbol)

    def trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[Trade]]:
        """`/api/v5/market/history-trades`."""
        return rest.trades(symbol, first_id, limit)

    def agg_trades(self, symbol: str, first_id: int | None, limit: int) -> RestRequest[Page[AggTrade]]:
        """`/api/v5/market/history-trades`, each trade alone."""
        return rest.agg_trades(symbol, first_id, limit)

    def judge(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """By the code in the body."""
        rest.judge(status, headers, body)


def _control(operation: str, streams: Sequence[Stream]) -> bytes:
    arguments = [
        {"channel": channel, "instId": name} for channel, _, name in (stream.name.partition(":") for stream in streams)
    ]
    return json.dumps({"op": operation, "args": arguments}, separators=(",", ":")).encode()


ADAPTER = OkxAdapter()
