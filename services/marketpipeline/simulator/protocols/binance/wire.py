"""Binance spot's market-data messages: reading captured ones and telling what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from marketpipeline.simulator.candles import INTERVALS
from marketpipeline.simulator.derived import Derivation
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, Event, Quote, Trade
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.protocols.binance.messages import (
    AggTradeMessage,
    AggTradeRow,
    DiffMessage,
    OtherMessage,
    Peek,
    QuoteMessage,
    SnapshotMessage,
    TradeMessage,
    TradeRow,
)

__all__ = ["decode", "decode_page", "derive", "diff_symbol", "in_other_unit", "read", "read_rest"]

_trade = msgspec.json.Decoder(TradeMessage)
_agg_trade = msgspec.json.Decoder(AggTradeMessage)
_diff = msgspec.json.Decoder(DiffMessage)
_quote = msgspec.json.Decoder(QuoteMessage)
_snapshot = msgspec.json.Decoder(SnapshotMessage)
_other = msgspec.json.Decoder(OtherMessage)
_trade_rows = msgspec.json.Decoder(list[TradeRow])
_agg_trade_rows = msgspec.json.Decoder(list[AggTradeRow])
_peek = msgspec.json.Decoder(Peek)

_WRAPPER = b'{"stream":"'
_DATA = b'","data":'
_DIFF_STREAM = re.compile(r"([^@]+)@depth(@\d+ms)?")
_PARTIAL_STREAM = re.compile(r"([^@]+)@depth\d+(@\d+ms)?")
_IN_MICROSECONDS = 10**14
_EXPECTED = (
    "must be a message of Binance spot, the captures of other exchanges cannot be replayed: "
    'a combined stream\'s {"stream":…,"data":…}, a bare event, or a REST depth snapshot'
)
_FUTURES = "it is of Binance's futures, whose book changes continue by `pu`: another exchange, which is not known here"


def read(due: int, message: bytes) -> Frame | None:
    """See `WireProtocol.read`."""
    try:
        if not message.startswith(_WRAPPER):
            return _read_bare(due, message)
        end_of_name = message.find(_DATA, len(_WRAPPER))
        if end_of_name < 0 or not message.endswith(b"}"):
            raise ValueError("the wrapper is cut off")
        stream = message[len(_WRAPPER) : end_of_name].decode()
        start = end_of_name + len(_DATA)
        end = len(message) - 1
        return _frame(due, stream, message, start, end)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{_EXPECTED}: {error}") from error


def _frame(due: int, stream: str, message: bytes, start: int, end: int) -> Frame | None:
    payload = message[start:end]
    _, _, feed = stream.partition("@")
    if feed == "trade":
        trade = _trade.decode(payload)
        return _timed(due, stream, trade.s, Kind.TRADE, trade.E, message, start, end)
    if feed == "bookTicker":
        quote = _quote.decode(payload)
        return Frame(due, stream, quote.s, Kind.QUOTE, 0, message, start, end)
    if _DIFF_STREAM.fullmatch(stream):
        diff = _diff.decode(payload)
        if diff.pu is not None:
            raise ValueError(_FUTURES)
        return _timed(due, stream, diff.s, Kind.DIFF, diff.E, message, start, end)
    if feed == "aggTrade":
        agg = _agg_trade.decode(payload)
        return _timed(due, stream, agg.s, Kind.AGG_TRADE, agg.E, message, start, end)
    if _PARTIAL_STREAM.fullmatch(stream):
        _snapshot.decode(payload)
        symbol = stream.partition("@")[0].upper()
        return Frame(due, stream, symbol, Kind.OTHER, 0, message, start, end)
    if stream.startswith("!"):
        msgspec.json.decode(payload)
        return None
    other = _other.decode(payload)
    return _timed(due, stream, other.s, Kind.OTHER, other.E, message, start, end)


def _timed(due: int, stream: str, symbol: str, kind: Kind, time: int, message: bytes, start: int, end: int) -> Frame:
    return Frame(due, stream, symbol, kind, _time(time), message, start, end, time >= _IN_MICROSECONDS)


def _time(time: int) -> int:
    """A time of the wire in microseconds, whichever of its two units it is in."""
    return time if time >= _IN_MICROSECONDS else time * 1000


def _read_bare(due: int, message: bytes) -> Frame | None:
    peek = _peek.decode(message)
    if peek.last_update_id:
        _snapshot.decode(message)
        return Frame(due, "", "", Kind.SNAPSHOT, 0, message, 0, len(message))
    stream = _stream_of(peek)
    if stream:
        wrapped = b"".join((_WRAPPER, stream.encode(), _DATA, message.strip(), b"}"))
        return _frame(due, stream, wrapped, len(_WRAPPER) + len(stream) + len(_DATA), len(wrapped) - 1)
    control = peek.result is not msgspec.UNSET or peek.error is not None or peek.code is not None
    if control or peek.e == "serverShutdown":
        return None
    raise ValueError("the message is neither market data nor an answer to a request")


def _stream_of(peek: Peek) -> str:
    symbol = peek.s.lower()
    match peek.e:
        case "trade" | "aggTrade":
            return f"{symbol}@{peek.e}"
        case "depthUpdate":
            return f"{symbol}@depth@100ms"
        case "24hrTicker":
            return f"{symbol}@ticker"
        case "24hrMiniTicker":
            return f"{symbol}@miniTicker"
        case "kline" if isinstance(peek.k, dict):
            return f"{symbol}@kline_{peek.k.get('i')}"
        case "" if symbol and peek.u and peek.B is not None:
            return f"{symbol}@bookTicker"
        case _:
            return ""


def read_rest(due: int, url: str, body: bytes) -> Frame | None:
    """See `WireProtocol.read_rest`. Only depth and past trades matter."""
    parts = urlsplit(url)
    if parts.path.startswith(("/fapi/", "/dapi/")):
        raise ValueError(_FUTURES)
    known = _ANSWERS.get(parts.path.rpartition("/")[2])
    if known is None:
        return None
    kind, read_body, form = known
    symbol = parse_qs(parts.query).get("symbol", [""])[0]
    if not symbol:
        raise ValueError("the request's URL must have symbol=…")
    try:
        read_body(body)
    except msgspec.DecodeError as error:
        name = parts.path.rpartition("/")[2]
        raise ValueError(f"must be the {name} answer of {symbol}, {form}: {error}") from error
    return Frame(due, "", symbol.upper(), kind, 0, body, 0, len(body))


_ANSWERS: dict[str, tuple[Kind, Callable[[bytes], Any], str]] = {
    "depth": (Kind.SNAPSHOT, _snapshot.decode, "with lastUpdateId, bids and asks"),
    "historicalTrades": (Kind.TRADE, _trade_rows.decode, "a list of trades"),
    "aggTrades": (Kind.AGG_TRADE, _agg_trade_rows.decode, "a list of aggregate trades"),
}


def decode_page(frame: Frame) -> list[Event]:
    """The trades of a REST answer; when they were reported is not in it."""
    if frame.kind is Kind.AGG_TRADE:
        rows = _agg_trade_rows.decode(frame.message)
        return [AggTrade(row.a, row.p, row.q, row.f, row.last, *(_time(row.T),) * 2, row.m) for row in rows]
    found = _trade_rows.decode(frame.message)
    return [Trade(row.id, row.price, row.qty, *(_time(row.time),) * 2, row.is_buyer_maker) for row in found]


def decode(frame: Frame) -> Event:
    """What a frame of any kind but OTHER says."""
    payload = frame.payload
    if frame.kind is Kind.TRADE:
        trade = _trade.decode(payload)
        return Trade(trade.t, trade.p, trade.q, _time(trade.T), _time(trade.E), trade.m)
    if frame.kind is Kind.DIFF:
        diff = _diff.decode(payload)
        return BookDiff(diff.U, diff.u, _time(diff.E), diff.b, diff.a)
    if frame.kind is Kind.QUOTE:
        quote = _quote.decode(payload)
        return Quote(quote.u, quote.b, quote.B, quote.a, quote.A)
    if frame.kind is Kind.AGG_TRADE:
        agg = _agg_trade.decode(payload)
        return AggTrade(agg.a, agg.p, agg.q, agg.f, agg.last, _time(agg.T), _time(agg.E), agg.m)
    if frame.kind is Kind.SNAPSHOT:
        snapshot = _snapshot.decode(payload)
        return BookSnapshot(snapshot.last_update_id, snapshot.bids, snapshot.asks)
    raise ValueError(f"a frame of kind {frame.kind.name} carries no market event")


def diff_symbol(stream: str) -> str:
    """See `WireProtocol.diff_symbol`."""
    match = _DIFF_STREAM.fullmatch(stream)
    return match[1].upper() if match and match[1] == match[1].lower() else ""


def derive(stream: str) -> Derivation | None:
    """See `WireProtocol.derive`: partial depth, depth each second, klines and tickers follow from other streams."""
    name, _, feed = stream.partition("@")
    if name != name.lower() or not name or not feed:
        return None
    symbol = name.upper()
    if match := re.fullmatch(r"depth(5|10|20)?(@100ms|@1000ms)?", feed):
        every = 100_000 if match[2] == "@100ms" else 1_000_000
        if match[1]:
            return Derivation("partial", symbol, every, levels=int(match[1]))
        return None if match[2] == "@100ms" else Derivation("diff", symbol, every)
    if feed.startswith("kline_") and (length := INTERVALS.get(feed[6:])):
        every = 1_000_000 if feed == "kline_1s" else 2_000_000
        return Derivation("candle", symbol, every, interval=(feed[6:], length))
    return Derivation("statistics", symbol, 1_000_000) if feed == "ticker" else None


_MILLISECONDS = re.compile(rb'("(?:E|T|t|O|C)":)(\d{13})(?=[,}])')
_MICROSECONDS = re.compile(rb'("(?:E|T|t|O|C)":)(\d{13})\d{3}(?=[,}])')
_CANDLE_END = re.compile(rb'("T":\d{10}999)000')


def in_other_unit(frame: Frame) -> bytes:
    """The frame's message with its times in microseconds instead of milliseconds, or the other way round.

    A time is a number of 13 or 16 digits under one of the names that hold times. The messages that come by the
    thousand have theirs where they are found without a search through the whole message.
    """
    message = frame.message
    if frame.microseconds:
        return _MICROSECONDS.sub(rb"\g<1>\g<2>", message)
    if frame.kind not in _SIMPLE:
        return _CANDLE_END.sub(rb"\g<1>999", _MILLISECONDS.sub(rb"\g<1>\g<2>000", message))
    cut = message.index(b'"E":', frame.start) + 17
    if frame.kind is Kind.DIFF:
        return b"".join((message[:cut], b"000", message[cut:]))
    second = message.index(b'"T":', cut) + 17
    return b"".join((message[:cut], b"000", message[cut:second], b"000", message[second:]))


_SIMPLE = (Kind.DIFF, Kind.TRADE, Kind.AGG_TRADE)
