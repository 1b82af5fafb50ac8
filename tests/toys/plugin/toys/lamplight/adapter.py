"""The adapter: pushed snapshots, answers to each stream, pings that are messages, a second URL, ids that are text.

It offers no REST at all, its times are nanoseconds, and a frame of trades has several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from marketpipeline.records import ExchangeCandle, Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import (
    BookRules,
    ExchangeAdapter,
    KeepAlive,
    Limits,
    Rate,
    SnapshotSource,
    StreamOptions,
    TradeIds,
)
from marketpipeline.venues.continuity import PREVIOUS_SEQUENCE
from marketpipeline.venues.messages import (
    Acknowledged,
    BadRow,
    BookChange,
    BookSnapshot,
    Data,
    FlawedData,
    FrameError,
    GoingDown,
    Mapped,
    MarketData,
    Pong,
    Refused,
    Stream,
)
from marketpipeline.venues.values import TimeUnit, microseconds, text_id

__all__ = ["ADAPTER", "LamplightAdapter"]

CHANNELS = {Feed.BOOK: "book", Feed.TRADES: "trades", Feed.CANDLES: "minutes"}
ROUTES = {Feed.CANDLES: "slow"}


class LamplightAdapter(ExchangeAdapter):
    """See the module."""

    limits = Limits(
        control=Rate(480, 3600.0),
        connects=Rate(3, 1.0),
        rest=Rate(1, 1.0),
        lifetime=24 * 3600.0,
        page=1,
        subscribe_batch=50,
        disorder=100_000,
    )
    endpoints: Mapping[str, str] = MappingProxyType({"fast": "/fast", "slow": "wss://slow.lamplight.example/candles"})
    keep_alive = KeepAlive(message=b"ping", every=20.0)
    trade_ids = TradeIds.UNORDERED

    def streams(self, symbols: Sequence[str], feeds: Sequence[Feed], options: StreamOptions) -> list[Stream]:
        return [
            Stream(f"{CHANNELS[feed]}/{symbol.partition(':')[2]}", symbol, feed, ROUTES.get(feed, "fast"))
            for symbol in symbols
            for feed in feeds
        ]

    def book_rules(self, options: StreamOptions) -> BookRules:
        return BookRules(SnapshotSource.PUSHED, PREVIOUS_SEQUENCE)

    def subscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        return json.dumps({"do": "subscribe", "streams": [stream.name for stream in streams]}).encode()

    def unsubscribe(self, number: int, streams: Sequence[Stream]) -> bytes:
        return json.dumps({"do": "unsubscribe", "streams": [stream.name for stream in streams]}).encode()

    def mapper(self, streams: Sequence[Stream]) -> LamplightMapper:
        return LamplightMapper(streams)


class LamplightMapper:
    """Reads `{"stream": …, "rows": […]}`, and the answers and notices beside."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = {stream.name: stream for stream in streams}

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        if payload == b"pong":
            return Pong()
        try:
            frame = msgspec.json.decode(payload)
            stream = self._streams.get(frame.get("stream", ""))
            match frame.get("event"):
                case "subscribed":
                    return Acknowledged(stream=stream)
                case "refused":
                    return Refused(None, frame["why"], stream)
                case "leaving":
                    return GoingDown("leaving")
            if stream is None:
                raise FrameError(f"unknown stream {frame.get('stream')!r}")
            return self._data(stream, frame["rows"], receive_time)
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            raise FrameError(f"not as documented: {error!r}") from error

    def _data(self, stream: Stream, rows: list[dict[str, Any]], receive_time: int) -> Data | FlawedData:
        read = {Feed.BOOK: _book, Feed.TRADES: _trade, Feed.CANDLES: _candle}[stream.feed]
        records: list[MarketData] = []
        bad: list[BadRow] = []
        for row in rows:
            try:
                records.append(read(row, stream.symbol, microseconds(row["ns"], TimeUnit.NANOSECONDS), receive_time))
            except (FrameError, KeyError, ValueError) as error:
                bad.append(BadRow(msgspec.json.encode(row), repr(error)))
        return FlawedData(stream, records, bad) if bad else (stream, records)


def _trade(row: dict[str, Any], symbol: str, time: int, receive_time: int) -> Trade:
    price, quantity = float(row["price"]), float(row["quantity"])
    if price <= 0 or quantity <= 0:
        raise FrameError(f"price {price} and quantity {quantity} must be positive")
    return Trade(
        symbol=symbol,
        event_time=time,
        trade_time=time,
        receive_time=receive_time,
        trade_id=text_id(row["id"]),
        price=price,
        quantity=quantity,
        taker_side=row["side"],
    )


def _book(row: dict[str, Any], symbol: str, time: int, receive_time: int) -> BookChange | BookSnapshot:
    bids, asks = ([(float(price), float(quantity)) for price, quantity in row[side]] for side in ("bids", "asks"))
    if "previous" not in row:
        return BookSnapshot(row["number"], bids, asks, True, True, symbol, time, receive_time)
    previous = row["previous"]
    return BookChange(symbol, time, receive_time, previous + 1, row["number"], bids, asks, previous)


def _candle(row: dict[str, Any], symbol: str, time: int, receive_time: int) -> ExchangeCandle:
    return ExchangeCandle(
        symbol=symbol,
        event_time=time,
        receive_time=receive_time,
        interval="1m",
        open_time=microseconds(row["open_ns"], TimeUnit.NANOSECONDS),
        closed=row["closed"],
        open=float(row["open"]),
        high=float(row["high"]),
        low=float(row["low"]),
        close=float(row["close"]),
        volume=float(row["volume"]),
        quote_volume=0.0,
        trades=None,
        taker_buy_volume=None,
    )


ADAPTER = LamplightAdapter()
