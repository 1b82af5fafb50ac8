"""Binance's frames as records: bytes and a receive time in, one value out.

The wire's own one-letter names are kept in the structs of `wire`. Which of them a frame holds is told by the
name of its stream at the front, `{"stream":"btcusdt@trade","data":…}`, so each frame is decoded once, straight
into its type. A frame of another form takes the slow way: an answer to a control message, an error in
either form, a notice, an event without a wrapper, a wrapper with its fields in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import Acknowledged, FrameError, GoingDown, Mapped, MarketData, Refused, Stream
from marketpipeline.venues.binance import convert, wire

__all__ = ["BinanceMapper"]

_PREFIX = b'{"stream":"'
_START = len(_PREFIX)

_Reader = Callable[[bytes, int], MarketData]

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
        self._other = msgspec.json.Decoder(wire.Anything)

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        """What one frame says; raises FrameError."""
        try:
            if payload.startswith(_PREFIX):
                reader = self._readers.get(payload[_START : payload.index(b'"', _START)])
                if reader is not None:
                    return reader(payload, receive_time)
            return self._map_other(payload, receive_time)
        except FrameError:
            raise
        except msgspec.ValidationError as error:
            raise FrameError(f"not as documented: {error}", self._symbol_in(payload)) from error
        except (msgspec.DecodeError, ValueError) as error:
            raise FrameError(f"no JSON: {error}", self._symbol_in(payload)) from error

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
        return _reader(Stream("", symbol, feed))(b'{"data":' + payload + b"}", receive_time)

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

    def read(payload: bytes, receive_time: int) -> MarketData:
        return make(decode(payload).data, symbol, name, receive_time)

    return read
