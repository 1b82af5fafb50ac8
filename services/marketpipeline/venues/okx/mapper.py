"""OKX's messages as records: bytes and a receive time in, the stream and what it says out.

Which channel and instrument a message is of stands at its front, `{"arg":{"channel":"trades","instId":"BTC-USDT"},…`,
so each is decoded once, straight into its type. A message of another form takes the slow way: an answer, an error, a
notice, a wrapper with its fields in another order. Quantities are as the exchange counts them; of a contract that is
in contracts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from marketpipeline.topics import Feed
from marketpipeline.venues.messages import (
    Acknowledged,
    BadRow,
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
from marketpipeline.venues.okx import convert, wire
from marketpipeline.venues.okx.convert import Nothing

__all__ = ["OkxMapper", "number_in", "unreadable"]

_Reader = Callable[[bytes, int], Data | FlawedData]

_CLOSING, _TOO_MANY = "64008", "60014"
_NAMED = re.compile(r"channel:([\w-]+),\s*instId:([\w-]+)")


@contextmanager
def unreadable(symbol: str) -> Iterator[None]:
    """What a decoder raises is a FrameError."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise FrameError(f"not as documented: {error}", symbol) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise FrameError(f"not JSON: {error}", symbol) from error
    except RecursionError as error:
        raise FrameError("nested too deeply", symbol) from error


def number_in(row: bytes | msgspec.Raw) -> int | None:
    """The id of a trade whose other fields may be wrong; None where it cannot be read either."""
    try:
        return msgspec.json.decode(row, type=wire.TradeNumber, strict=False).number
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class OkxMapper:
    """Reads the messages of `streams`; one of another stream is a FrameError."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._readers: dict[bytes, _Reader] = {}
        self._streams: dict[tuple[str, str], Stream] = {}
        for stream in streams:
            channel, _, name = stream.name.partition(":")
            self._readers[b'{"arg":{"channel":"%b","instId":"%b"' % (channel.encode(), name.encode())] = _reader(stream)
            self._streams[channel, name] = stream
        self._by_stream = dict(zip(streams, self._readers.values(), strict=True))
        self._other = msgspec.json.Decoder(wire.Anything)

    def map(self, payload: bytes, receive_time: int) -> Mapped:
        """What one message says; raises FrameError."""
        try:
            reader = self._readers.get(payload[: payload.find(b"}")])
            if reader is not None:
                return reader(payload, receive_time)
            return self._map_other(payload, receive_time)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            with unreadable(self._symbol_in(payload)):
                raise error

    def _map_other(self, payload: bytes, receive_time: int) -> Mapped:
        if payload == b"pong":
            return Pong()
        frame = self._other.decode(payload)
        stream = None if frame.arg is None else self._streams.get((frame.arg.channel, frame.arg.inst_id))
        match frame.event:
            case "":
                if frame.arg is None or not frame.data:
                    raise FrameError("neither an event nor data of a channel")
                if stream is None:
                    raise FrameError(f"unknown channel {frame.arg.channel}:{frame.arg.inst_id}: not asked for")
                return self._by_stream[stream](payload, receive_time)
            case "subscribe":
                return Acknowledged(stream=stream) if stream is not None else None
            case "notice" if frame.code == _CLOSING:
                return GoingDown(f"{frame.code}: {frame.msg}")
            case "error" if frame.code == _TOO_MANY:
                return GoingDown(f"{frame.code}: {frame.msg}")
            case "error":
                named = _NAMED.search(frame.msg)
                stream = stream or (self._streams.get((named[1], named[2])) if named else None)
                return Refused(None, f"{frame.code}: {frame.msg}", stream)
        return None

    def _symbol_in(self, payload: bytes) -> str:
        """The symbol of a message that cannot be read, as far as its beginning tells."""
        found = re.match(rb'\{"arg":\{"channel":"([\w-]+)","instId":"([\w-]+)"', payload)
        stream = self._streams.get((found[1].decode(), found[2].decode())) if found else None
        return "" if stream is None else stream.symbol


def _reader(stream: Stream) -> _Reader:
    """What decodes the messages of one stream and converts them."""
    channel, symbol = stream.name.partition(":")[0], stream.symbol
    types: dict[Feed, tuple[Any, Any, Callable[[Any, str, int], MarketData]]] = {
        Feed.BOOK: (wire.TopFrame, wire.TopRow, convert.top),
        Feed.TRADES: (wire.TradeFrame, wire.TradeRow, convert.trade),
        Feed.AGG_TRADES: (wire.TradeFrame, wire.TradeRow, convert.agg_trade),
        Feed.QUOTES: (wire.TopFrame, wire.TopRow, convert.quote),
        Feed.TICKERS: (wire.TickerFrame, wire.TickerRow, convert.ticker),
        Feed.CANDLES: (wire.CandleFrame, wire.CandleRow, convert.candle),
    }
    if channel == "books":
        return _book_reader(stream)
    frame_type, row_type, make = types[stream.feed]
    decode = msgspec.json.Decoder(frame_type, strict=False).decode
    numbered = stream.feed is Feed.TRADES

    def read(payload: bytes, receive_time: int) -> Data | FlawedData:
        try:
            rows = decode(payload).data
            if len(rows) == 1:
                return stream, (make(rows[0], symbol, receive_time),)
            return stream, [make(row, symbol, receive_time) for row in rows]
        except Nothing as why:
            return FlawedData(stream, nothing=str(why))
        except (FrameError, msgspec.ValidationError):
            return row_by_row(payload, receive_time)

    def row_by_row(payload: bytes, receive_time: int) -> FlawedData:
        """A row that cannot be used does not take the others with it."""
        rows = msgspec.json.decode(payload, type=wire.Rows).data
        records: list[MarketData] = []
        bad: list[BadRow] = []
        nothing = ""
        for row in rows:
            try:
                with unreadable(symbol):
                    records.append(make(msgspec.json.decode(row, type=row_type, strict=False), symbol, receive_time))
            except Nothing as why:
                nothing = str(why)
            except FrameError as error:
                number = number_in(row) if numbered and "`$.ts`" not in str(error) else None
                if len(rows) == 1 and number is None:
                    raise
                bad.append(BadRow(payload if len(rows) == 1 else bytes(row), str(error), number))
        return FlawedData(stream, records, bad, nothing)

    return read


def _book_reader(stream: Stream) -> _Reader:
    """Of changes to a book, which make no sense one without the other: a message that is wrong is wrong as a whole."""
    decode = msgspec.json.Decoder(wire.BookFrame, strict=False).decode
    decode_raw = msgspec.json.Decoder(wire.RawBookFrame).decode
    symbol = stream.symbol

    def read(payload: bytes, receive_time: int) -> Data:
        frame = decode(payload)
        make = convert.snapshot if frame.action == "snapshot" else convert.change
        if len(frame.data) == 1 and not frame.data[0].checksum:
            return stream, (make(frame.data[0], None, symbol, receive_time),)
        texts = decode_raw(payload).data
        return stream, [make(row, text, symbol, receive_time) for row, text in zip(frame.data, texts, strict=True)]

    return read
