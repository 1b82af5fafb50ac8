"""What happens on a market as Binance spot's messages; fields and their order as the real ones have them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, DayStatistics, Event, Quote, Trade
from marketpipeline.simulator.frames import Frame, Kind

__all__ = ["encode", "encode_candle", "encode_diff", "encode_partial", "encode_statistics", "malform", "spoil", "wrap"]

_MILLI = 1000
_encode = msgspec.json.Encoder().encode


def wrap(due: int, stream: str, symbol: str, kind: Kind, event_time: int, payload: bytes) -> Frame:
    """A payload as the frame of a stream; `event_time` in microseconds, cut to what the message tells."""
    wrapper = b'{"stream":"' + stream.encode() + b'","data":'
    message = wrapper + payload + b"}"
    event_time -= event_time % _MILLI
    return Frame(due, stream, symbol, kind, event_time, message, len(wrapper), len(message) - 1)


def encode(due: int, symbol: str, event: Event) -> Frame:
    """A trade, an aggregate trade, a quote, a book change of 100 ms or a snapshot. See `WireProtocol.encode`."""
    name = symbol.lower()
    match event:
        case Trade():
            body: dict[str, Any] = {
                "e": "trade", "E": event.event_time // _MILLI, "s": symbol, "t": event.trade_id,
                "p": event.price, "q": event.quantity, "T": event.time // _MILLI,
                "m": event.buyer_is_maker, "M": True,
            }  # fmt: skip
            return wrap(due, f"{name}@trade", symbol, Kind.TRADE, event.event_time, _encode(body))
        case AggTrade():
            body = {
                "e": "aggTrade", "E": event.event_time // _MILLI, "s": symbol, "a": event.agg_trade_id,
                "p": event.price, "q": event.quantity, "f": event.first_trade_id, "l": event.last_trade_id,
                "T": event.time // _MILLI, "m": event.buyer_is_maker, "M": True,
            }  # fmt: skip
            return wrap(due, f"{name}@aggTrade", symbol, Kind.AGG_TRADE, event.event_time, _encode(body))
        case Quote():
            body = {
                "u": event.update_id, "s": symbol, "b": event.bid_price, "B": event.bid_quantity,
                "a": event.ask_price, "A": event.ask_quantity,
            }  # fmt: skip
            return wrap(due, f"{name}@bookTicker", symbol, Kind.QUOTE, 0, _encode(body))
        case BookDiff():
            return encode_diff(due, symbol, f"{name}@depth@100ms", event)
        case BookSnapshot():
            payload = _snapshot(event)
            return Frame(due, "", symbol, Kind.SNAPSHOT, 0, payload, 0, len(payload))


def encode_diff(due: int, symbol: str, stream: str, diff: BookDiff) -> Frame:
    """Book changes as the message of a diff stream of any speed."""
    body = {
        "e": "depthUpdate", "E": diff.event_time // _MILLI, "s": symbol, "U": diff.first_id, "u": diff.last_id,
        "b": diff.bids, "a": diff.asks,
    }  # fmt: skip
    return wrap(due, stream, symbol, Kind.DIFF, diff.event_time, _encode(body))


def encode_partial(due: int, symbol: str, stream: str, top: BookSnapshot) -> Frame:
    """The best levels as the message of a partial-depth stream."""
    return wrap(due, stream, symbol, Kind.OTHER, 0, _snapshot(top))


def _snapshot(snapshot: BookSnapshot) -> bytes:
    return _encode({"lastUpdateId": snapshot.last_id, "bids": snapshot.bids, "asks": snapshot.asks})


def encode_candle(due: int, symbol: str, stream: str, interval: str, candle: Candle, closed: bool, now: int) -> Frame:
    """A candle as the message of a kline stream; `now` in microseconds."""
    body = {
        "e": "kline", "E": now // _MILLI, "s": symbol,
        "k": {
            "t": candle.open_time // _MILLI, "T": candle.close_time // _MILLI - 1, "s": symbol, "i": interval,
            "f": candle.first_trade_id, "L": candle.last_trade_id,
            "o": candle.open, "c": candle.close, "h": candle.high, "l": candle.low,
            "v": _text(candle.volume), "n": candle.trades, "x": closed, "q": _text(candle.quote_volume),
            "V": _text(candle.taker_buy_volume), "Q": _text(candle.taker_buy_quote_volume), "B": "0",
        },
    }  # fmt: skip
    return wrap(due, stream, symbol, Kind.OTHER, now, _encode(body))


def encode_statistics(due: int, symbol: str, stream: str, day: DayStatistics) -> Frame:
    """The rolling 24 hours as the message of a ticker stream."""
    none = "0.00000000"
    quote = day.quote or Quote(0, none, none, none, none)
    change = Decimal(day.last) - Decimal(day.open)
    body = {
        "e": "24hrTicker", "E": day.time // _MILLI, "s": symbol, "p": _text(change),
        "P": f"{change / Decimal(day.open) * 100:.3f}", "w": _text(day.quote_volume / day.volume), "x": day.open,
        "c": day.last, "Q": day.last_quantity, "b": quote.bid_price, "B": quote.bid_quantity,
        "a": quote.ask_price, "A": quote.ask_quantity, "o": day.open, "h": day.high, "l": day.low,
        "v": _text(day.volume), "q": _text(day.quote_volume), "O": day.open_time // _MILLI, "C": day.time // _MILLI,
        "F": day.first_trade_id, "L": day.last_trade_id, "n": day.trades,
    }  # fmt: skip
    return wrap(due, stream, symbol, Kind.OTHER, day.time, _encode(body))


def _text(number: Decimal) -> str:
    return f"{number:.8f}"


def malform(frame: Frame) -> list[Frame]:
    """Broken copies of a trade, one of each kind that has been seen or must be expected on a wire.

    Cut off, not JSON at all, a price that is not a number, a quantity below zero, a symbol that was not asked for,
    a field missing.
    """
    payload = frame.payload
    trade = msgspec.json.decode(payload)
    broken = [payload[: len(payload) // 2], b"<html>502 Bad Gateway</html>"]
    for change in ({"p": "n/a"}, {"q": "-1.00000000"}, {"s": "NOSUCHUSDT"}, {"t": None}):
        copy = {key: value for key, value in (trade | change).items() if value is not None}
        broken.append(_encode(copy))
    made = [wrap(frame.due, frame.stream, frame.symbol, Kind.OTHER, 0, payload) for payload in broken]
    cut = made[0]
    cut.message = cut.message[: cut.end]
    return made


_DAY = 86_400_000
_ZERO = "0.00000000"


def spoil(frame: Frame, value: str) -> Frame | None:
    """See `WireProtocol.spoil`. The frame keeps its event time for the simulator, whose own clock is not wrong."""
    timed, traded = (Kind.DIFF, Kind.TRADE, Kind.AGG_TRADE), (Kind.TRADE, Kind.AGG_TRADE)
    kinds = {"zero-quantity": traded, "one-sided": (Kind.QUOTE,)}.get(value, timed)
    if frame.kind not in kinds:
        return None
    body = msgspec.json.decode(frame.payload)
    match value:
        case "ahead" | "behind":
            unit = _MILLI if frame.microseconds else 1
            body["E"] += (_DAY if value == "ahead" else -_DAY) * unit
        case "nanoseconds":
            for name in body.keys() & {"E", "T"}:
                body[name] *= _MILLI if frame.microseconds else _MILLI * _MILLI
        case "zero-quantity":
            body["q"] = _ZERO
        case "one-sided":
            body |= {"b": _ZERO, "B": _ZERO}
    return wrap(frame.due, frame.stream, frame.symbol, Kind.OTHER, 0, _encode(body))
