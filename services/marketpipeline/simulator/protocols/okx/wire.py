"""OKX's market-data messages: reading captured ones and telling what they say.

Messages of before 2023 have no sequence numbers: their time, which grows, takes the place of one. Before trades were
told together (`count`), `trades` had each alone, as `trades-all` has.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import msgspec

from marketpipeline.simulator.candles import INTERVALS
from marketpipeline.simulator.derived import Derivation
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, Event, Levels, Quote, Trade
from marketpipeline.simulator.frames import Frame, Kind

__all__ = ["CHANNELS", "decode", "derive", "read", "read_rest"]

CHANNELS = {
    "public": re.compile(r"tickers|trades|books|books5|bbo-tbt"),
    "business": re.compile(r"trades-all|candle(1s|1m|3m|5m|15m|30m|1H|2H|4H|6H|12H|1D)"),
}
"""What each address serves."""
_EXPECTED = (
    "must be a message of OKX v5, the captures of other exchanges cannot be replayed: "
    '{"arg":{"channel":…,"instId":…},"data":[…]}, an event, or a text ping or pong'
)


class _Argument(msgspec.Struct):
    channel: str = ""
    inst_id: str = msgspec.field(name="instId", default="")


class _Row(msgspec.Struct, gc=False):
    """The fields of all channels' rows that are objects."""

    ts: str
    inst_id: str = msgspec.field(name="instId", default="")
    trade_id: str = msgspec.field(name="tradeId", default="")
    px: str = ""
    sz: str = ""
    side: str = ""
    count: str = ""
    asks: list[list[str]] = []
    bids: list[list[str]] = []
    seq_id: int | None = msgspec.field(name="seqId", default=None)
    prev_seq_id: int | None = msgspec.field(name="prevSeqId", default=None)


class _Message(msgspec.Struct):
    arg: _Argument | None = None
    event: str | None = None
    action: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Answer(msgspec.Struct):
    code: str
    data: list[_Row]


_message = msgspec.json.Decoder(_Message)
_rows = msgspec.json.Decoder(list[_Row])
_lists = msgspec.json.Decoder(list[list[str]])
_answer = msgspec.json.Decoder(_Answer)


def read(due: int, message: bytes) -> Frame | None:
    """See `WireProtocol.read`."""
    if message in (b"ping", b"pong"):
        return None
    try:
        body = _message.decode(message)
        if body.event is not None:
            return None
        if body.arg is None or not body.arg.channel or not body.data:
            raise ValueError("it has neither an event nor arg and data")
        return _frame(due, body.arg, body, message)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{_EXPECTED}: {error}") from error


def _frame(due: int, arg: _Argument, body: _Message, message: bytes) -> Frame:
    channel, name = arg.channel, arg.inst_id
    if channel.startswith("candle"):
        _lists.decode(body.data)
        return Frame(due, f"{channel}:{name}", name, Kind.OTHER, 0, message, 0, len(message))
    rows = _rows.decode(body.data)
    time = max((int(row.ts) for row in rows), default=0) * 1000
    kind = {"bbo-tbt": Kind.QUOTE, "trades-all": Kind.TRADE}.get(channel, Kind.OTHER)
    if channel == "trades":
        kind = Kind.AGG_TRADE if any(row.count for row in rows) else Kind.TRADE
    elif channel == "books":
        kind = Kind.SNAPSHOT if body.action == "snapshot" else Kind.DIFF
    elif kind is Kind.QUOTE and not all(row.bids and row.asks for row in rows):
        kind = Kind.OTHER
    return Frame(due, f"{channel}:{name}", name, kind, time, message, 0, len(message))


def read_rest(due: int, url: str, body: bytes) -> Frame | None:
    """See `WireProtocol.read_rest`. Only books and past trades matter."""
    parts = urlsplit(url)
    if not parts.path.startswith("/api/v5/"):
        raise ValueError("must be an answer of OKX v5: a path below /api/v5/")
    kind = {"books": Kind.SNAPSHOT, "history-trades": Kind.TRADE}.get(parts.path.rpartition("/")[2])
    if kind is None:
        return None
    name = parse_qs(parts.query).get("instId", [""])[0]
    try:
        _answer.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"must be the answer for {name}, with code and data: {error}") from error
    return Frame(due, "", name, kind, 0, body, 0, len(body))


def decode(frame: Frame) -> list[Event]:
    """What a frame of any kind but OTHER says."""
    body = _message.decode(frame.message)
    rows = _rows.decode(body.data)
    match frame.kind:
        case Kind.TRADE:
            return [_trade(row) for row in rows]
        case Kind.AGG_TRADE:
            return [_agg_trade(row) for row in rows]
        case Kind.DIFF:
            return [_diff(row) for row in rows]
        case Kind.SNAPSHOT:
            return [BookSnapshot(_number(row), _levels(row.bids), _levels(row.asks)) for row in rows]
        case Kind.QUOTE:
            return [Quote(_number(row), *row.bids[0][:2], *row.asks[0][:2]) for row in rows]
    raise ValueError(f"a frame of kind {frame.kind.name} carries no market event")


def _trade(row: _Row) -> Trade:
    time = int(row.ts) * 1000
    return Trade(int(row.trade_id), row.px, row.sz, time, time, row.side == "sell")


def _agg_trade(row: _Row) -> AggTrade:
    last, time = int(row.trade_id), int(row.ts) * 1000
    return AggTrade(last, row.px, row.sz, last - int(row.count or 1) + 1, last, time, time, row.side == "sell")


def _diff(row: _Row) -> BookDiff:
    last = _number(row)
    first = last if row.prev_seq_id is None else row.prev_seq_id + 1
    return BookDiff(first, last, int(row.ts) * 1000, _levels(row.bids), _levels(row.asks))


def _number(row: _Row) -> int:
    return int(row.ts) if row.seq_id is None else row.seq_id


def _levels(levels: list[list[str]]) -> Levels:
    return [(level[0], level[1]) for level in levels]


def derive(stream: str) -> Derivation | None:
    """See `WireProtocol.derive`: top levels, candles and tickers follow from other streams, and each trade alone from a
    capture that has it under another name."""
    channel, _, name = stream.partition(":")
    if not name:
        return None
    if channel in ("books5", "bbo-tbt"):
        return Derivation(
            "partial", name, 100_000 if channel == "books5" else 10_000, levels=5 if "5" in channel else 1
        )
    if channel == "trades-all":
        return Derivation("trade", name, 0)
    if channel == "tickers":
        return Derivation("statistics", name, 1_000_000)
    interval = channel.removeprefix("candle").lower()
    if CHANNELS["business"].fullmatch(channel) and (length := INTERVALS.get(interval)):
        return Derivation("candle", name, 1_000_000, interval=(interval, length))
    return None
