"""Binance's frames as records: bytes and a receive time in, the stream and what it says out.

The wire's own one-letter names are kept in the structs of `wire`. Which of them a frame holds is told by the
name of its stream at the front, `{"stream":"btcusdt@trade","data":…}`, so each frame is decoded once, straight
into its type. A frame of another form takes the slow way: an answer to a control message, an error in
either form, a notice, an event without a wrapper, a wrapper with its fields in another order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from marketpipeline.topics import Feed
from marketpipeline.venues.binance import convert, wire
from marketpipeline.venues.binance.convert import Nothing, number_in, unreadable
from marketpipeline.venues.messages import (
    Acknowledged,
    BadRow,
    Data,
    FlawedData,
    FrameError,
    GoingDown,
    Mapped,
    MarketData,
    Refused,
    Stream,
)

__all__ = ["BinanceMapper"]

_PREFIX = b'{"stream":"'
_START = len(_PREFIX)

_Reader = Callable[[bytes, int], Data | FlawedData]

_EVENT_FEEDS = {
    "depthUpdate": Feed.BOOK,
    "trade": Feed.TRADES,
    "aggTrade": Feed.AGG_TRADES,
    "24hrTicker": Feed.TICKERS,
    "kline": Feed.CANDLES,
}
_GOING_DOWN = "serverShutdown"


class BinanceMapper:
    """Reads the frames of `streams`; a frame of another stream is a FrameError."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._readers: dict[bytes, _Reader] = {}
        self._symbols: dict[str, str] = {}
        for stream in streams:
            self._readers[stream.name.encode()] = _reader(stream)
            self._symbols[stream.symbol.partition(":")[2]] = stream.symbol
        self._streams = {(stream.symbol, stream.feed): stream for stream in streams}
        self._other = msgspec.json.Decoder(wire.Anything)

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        """What one frame says; raises FrameError."""
        try:
            reader = self._readers.get(payload[_START : payload.find(b'"', _START)])
            if reader is not None:
                return reader(payload, receive_time)
            return self._map_other(payload, receive_time)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            with unreadable(self._symbol_in(payload)):
                raise error

    def _map_other(self, payload: bytes, receive_time: int) -> Mapped:
        frame = self._other.decode(payload)
        if frame.stream is not None:
            return self._map_wrapped(frame, receive_time)
        if frame.error is not None:
            return Refused(frame.id_number, f"{frame.error.code}: {frame.error.msg}")
        if frame.code is not None:
            return Refused(frame.id_number, f"{frame.code}: {frame.msg}")
        if frame.result is not msgspec.UNSET:
            return None if frame.id_number is None else Acknowledged(frame.id_number)
        if frame.e == _GOING_DOWN:
            return GoingDown(_GOING_DOWN)
        return self._map_bare(frame, payload, receive_time)

    def _map_wrapped(self, frame: wire.Anything, receive_time: int) -> Mapped:
        name = frame.stream or ""
        reader = self._readers.get(name.encode())
        if reader is not None and frame.data:
            return reader(b'{"data":' + bytes(frame.data) + b"}", receive_time)
        if name == f"!{_GOING_DOWN}":
            return GoingDown(_GOING_DOWN)
        raise FrameError(f"unknown stream {name!r}: not among those asked for" if frame.data else "no data in it")

    def _map_bare(self, frame: wire.Anything, payload: bytes, receive_time: int) -> Mapped:
        feed = _EVENT_FEEDS.get(frame.e or "")
        if feed is None and frame.e is None and frame.has_quote:
            feed = Feed.QUOTES
        if feed is None or frame.s is None:
            raise FrameError(f"unknown event {frame.e!r}" if frame.e else "neither a stream, an answer nor an event")
        symbol = self._symbols.get(frame.s)
        if symbol is None:
            raise FrameError(f"unknown symbol {frame.s!r}: not among those asked for")
        stream = self._streams.get((symbol, feed))
        if stream is None:
            raise FrameError(f"unknown event {frame.e!r}: not among those asked for", symbol)
        return self._readers[stream.name.encode()](b'{"data":' + payload + b"}", receive_time)

    def _symbol_in(self, payload: bytes) -> str:
        """The symbol of a frame that cannot be read, as far as its stream's name tells."""
        if not payload.startswith(_PREFIX):
            return ""
        name = payload[_START : _START + 64].partition(b"@")[0].decode("utf-8", "replace").upper()
        return self._symbols.get(name, "")


def _reader(stream: Stream) -> _Reader:
    """What decodes the frames of one stream and converts them, with the symbol bound in."""
    types: dict[Feed, tuple[type[Any], Callable[[Any, str, str, int], MarketData]]] = {
        Feed.BOOK: (wire.DepthFrame, convert.change),
        Feed.TRADES: (wire.TradeFrame, convert.trade),
        Feed.AGG_TRADES: (wire.AggTradeFrame, convert.agg_trade),
        Feed.QUOTES: (wire.QuoteFrame, convert.quote),
        Feed.TICKERS: (wire.TickerFrame, convert.ticker),
        Feed.CANDLES: (wire.KlineFrame, convert.candle),
    }
    frame_type, make = types[stream.feed]
    if stream.feed is Feed.BOOK and wire.is_partial(stream.name):
        frame_type, make = wire.PartialFrame, convert.partial
    decode = msgspec.json.Decoder(frame_type, strict=False).decode
    symbol, name = stream.symbol, stream.symbol.partition(":")[2]

    number_type = {Feed.TRADES: wire.TradeNumber, Feed.AGG_TRADES: wire.AggTradeNumber}.get(stream.feed)

    def read(payload: bytes, receive_time: int) -> Data | FlawedData:
        try:
            return stream, (make(decode(payload).data, symbol, name, receive_time),)
        except Nothing as why:
            return FlawedData(stream, nothing=str(why))
        except msgspec.ValidationError as error:
            number = None if number_type is None else _trade_number(payload, name, number_type, error)
            if number is None:
                raise
            return FlawedData(stream, bad=(BadRow(payload, f"not as documented: {error}", number),))

    return read


def _trade_number(payload: bytes, name: str, number_type: Any, error: msgspec.ValidationError) -> int | None:
    """The id of a trade that is not as documented; None where REST may have it right, as when just a time is wrong."""
    if re.search(r"`\$\.data\.[ET]`", str(error)):
        return None
    try:
        row = msgspec.json.decode(payload, type=wire.RawFrame).data
        return number_in(row, number_type) if msgspec.json.decode(row, type=number_type).s == name else None
    except msgspec.MsgspecError:
        return None
