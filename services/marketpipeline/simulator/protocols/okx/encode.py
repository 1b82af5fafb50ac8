"""What happens on a market as OKX's messages; fields and their order as the real ones have them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.events import (
    AggTrade,
    BookDiff,
    BookSnapshot,
    DayStatistics,
    Event,
    Levels,
    Quote,
    Trade,
)
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.protocols.okx.instruments import sizes_of, trimmed

__all__ = [
    "encode",
    "encode_candle",
    "encode_diff",
    "encode_partial",
    "encode_statistics",
    "encode_trade",
    "malform",
    "message",
    "snapshot",
    "spoil",
]

_MILLI = 1000
_encode = msgspec.json.Encoder().encode
NO_CHECKSUM = 0
"""What the exchange sends since June 2026."""


def message(due: int, stream: str, kind: Kind, time: int, rows: list[Any], action: str | None = None) -> Frame:
    """One message of a channel; `time` in microseconds."""
    channel, _, name = stream.partition(":")
    body: dict[str, Any] = {"arg": {"channel": channel, "instId": name}}
    if action is not None:
        body["action"] = action
    text = _encode(body | {"data": rows})
    return Frame(due, stream, name, kind, time - time % _MILLI, text, 0, len(text))


def encode(due: int, symbol: str, event: Event) -> Frame:
    """See `WireProtocol.encode`; what happens is in base units and is told as the instrument counts."""
    count = sizes_of(symbol).of_base
    row: dict[str, Any]
    match event:
        case Trade():
            event = event._replace(price=trimmed(event.price), quantity=count(event.quantity, event.price))
            return encode_trade(due, symbol, f"trades-all:{symbol}", event)
        case AggTrade():
            row = {
                "instId": symbol, "tradeId": str(event.last_trade_id), "px": trimmed(event.price),
                "sz": count(event.quantity, event.price), "side": "sell" if event.buyer_is_maker else "buy",
                "ts": str(event.time // _MILLI), "count": str(event.last_trade_id - event.first_trade_id + 1),
                "source": "0", "seqId": event.last_trade_id,
            }  # fmt: skip
            return message(due, f"trades:{symbol}", Kind.AGG_TRADE, event.event_time, [row])
        case Quote():
            bid = (event.bid_price, event.bid_quantity)
            ask = (event.ask_price, event.ask_quantity)
            time = due // 1000
            row = {
                "asks": _levels([ask], symbol), "bids": _levels([bid], symbol),
                "ts": str(time // _MILLI), "seqId": event.update_id,
            }  # fmt: skip
            return message(due, f"bbo-tbt:{symbol}", Kind.QUOTE, time, [row])
        case BookDiff():
            sides = _levels(event.bids, symbol), _levels(event.asks, symbol)
            return _book(due, symbol, event.event_time, sides, event.first_id - 1, event.last_id, "update")
        case BookSnapshot():
            sides = _levels(event.bids, symbol), _levels(event.asks, symbol)
            return _book(due, symbol, due // 1000, sides, -1, event.last_id, "snapshot")


def encode_trade(due: int, symbol: str, stream: str, trade: Trade) -> Frame:
    """A trade alone, its numbers as they are."""
    row = {
        "instId": symbol, "tradeId": str(trade.trade_id), "px": trade.price, "sz": trade.quantity,
        "side": "sell" if trade.buyer_is_maker else "buy", "source": "0", "ts": str(trade.time // _MILLI),
    }  # fmt: skip
    return message(due, stream, Kind.TRADE, trade.event_time, [row])


def snapshot(due: int, symbol: str, book: BookSnapshot, time: int) -> Frame:
    """A book as it has been sent, whole; `time` in microseconds."""
    return _book(due, symbol, time, (_as_sent(book.bids), _as_sent(book.asks)), -1, book.last_id, "snapshot")


def encode_diff(due: int, symbol: str, stream: str, diff: BookDiff) -> Frame:
    """Changes of a longer time, as they were sent."""
    sides = _as_sent(diff.bids), _as_sent(diff.asks)
    return _book(due, symbol, diff.event_time, sides, diff.first_id - 1, diff.last_id, "update")


def encode_partial(due: int, symbol: str, stream: str, top: BookSnapshot) -> Frame:
    """The best levels as the message of `books5` or `bbo-tbt`."""
    time = due // 1000
    row = {
        "asks": _as_sent(top.asks), "bids": _as_sent(top.bids), "instId": symbol,
        "ts": str(time // _MILLI), "seqId": top.last_id,
    }  # fmt: skip
    return message(due, stream, Kind.OTHER, time, [row])


def encode_candle(due: int, symbol: str, stream: str, interval: str, candle: Candle, closed: bool, now: int) -> Frame:
    """A candle as the row of its channel. The base volume of an inverse contract is by the mean price."""
    sizes = sizes_of(symbol)
    base = sizes.base_volume(candle.volume, candle.quote_volume)
    quote = sizes.quote_volume(candle.volume, candle.quote_volume)
    row = [
        str(candle.open_time // _MILLI), candle.open, candle.high, candle.low, candle.close, _text(candle.volume),
        _text(quote if sizes.kind == "SPOT" else base), _text(quote), str(int(closed)),
    ]  # fmt: skip
    return message(due, stream, Kind.OTHER, now, [row])


def encode_statistics(due: int, symbol: str, stream: str, day: DayStatistics) -> Frame:
    """The rolling 24 hours as the message of `tickers`."""
    sizes, quote = sizes_of(symbol), day.quote
    currency = sizes.quote_volume if sizes.kind == "SPOT" else sizes.base_volume
    row = {
        "instType": sizes.kind, "instId": symbol, "last": day.last, "lastSz": day.last_quantity,
        "askPx": quote.ask_price if quote else "", "askSz": quote.ask_quantity if quote else "",
        "bidPx": quote.bid_price if quote else "", "bidSz": quote.bid_quantity if quote else "",
        "open24h": day.open, "high24h": day.high, "low24h": day.low, "sodUtc0": day.open, "sodUtc8": day.open,
        "volCcy24h": _text(currency(day.volume, day.quote_volume)), "vol24h": _text(day.volume),
        "ts": str(day.time // _MILLI),
    }  # fmt: skip
    return message(due, stream, Kind.OTHER, day.time, [row])


def malform(frame: Frame) -> list[Frame]:
    """Broken copies of a trade, one of each kind that has been seen or must be expected on a wire."""
    body = msgspec.json.decode(frame.message)
    (row,) = body["data"][:1]
    broken = [frame.message[: len(frame.message) // 2], b"<html>502 Bad Gateway</html>"]
    for change in ({"px": "n/a"}, {"sz": "-1"}, {"instId": "NOSUCH-USDT"}, {"tradeId": None}):
        copy = {key: value for key, value in (row | change).items() if value is not None}
        broken.append(_encode(body | {"data": [copy]}))
    return [Frame(frame.due, frame.stream, frame.symbol, Kind.OTHER, 0, text, 0, len(text)) for text in broken]


_DAY = 86_400_000


def spoil(frame: Frame, value: str) -> Frame | None:
    """See `WireProtocol.spoil`. The frame keeps no event time: the simulator's own clock is not wrong."""
    traded = (Kind.TRADE, Kind.AGG_TRADE)
    kinds = {"zero-quantity": traded, "one-sided": (Kind.QUOTE,)}.get(value, (*traded, Kind.DIFF))
    if frame.kind not in kinds:
        return None
    body = msgspec.json.decode(frame.message)
    for row in body["data"]:
        match value:
            case "ahead" | "behind":
                row["ts"] = str(int(row["ts"]) + (_DAY if value == "ahead" else -_DAY))
            case "nanoseconds":
                row["ts"] += "000000"
            case "zero-quantity":
                row["sz"] = "0"
            case "one-sided":
                row["bids"] = []
    text = _encode(body)
    return Frame(frame.due, frame.stream, frame.symbol, Kind.OTHER, 0, text, 0, len(text))


def _book(
    due: int, symbol: str, time: int, sides: tuple[list[Any], list[Any]], previous: int, last: int, action: str
) -> Frame:
    row = {
        "asks": sides[1], "bids": sides[0], "ts": str(time // _MILLI), "checksum": NO_CHECKSUM,
        "seqId": last, "prevSeqId": previous,
    }  # fmt: skip
    kind = Kind.SNAPSHOT if action == "snapshot" else Kind.DIFF
    return message(due, f"books:{symbol}", kind, time, [row], action)


def _levels(levels: Levels, symbol: str) -> list[tuple[str, str, str, str]]:
    """Levels in base units as the wire has them. How many orders are in one is not simulated: 1."""
    count = sizes_of(symbol).of_base
    return _as_sent([(trimmed(price), count(quantity, price)) for price, quantity in levels])


def _as_sent(levels: Levels) -> list[tuple[str, str, str, str]]:
    return [(price, quantity, "0", "0" if quantity == "0" else "1") for price, quantity in levels]


def _text(number: Decimal) -> str:
    return trimmed(f"{number:.8f}")
