"""A protocol from outside the package, as unlike Binance's as real ones are.

Streams are pairs of channel and instrument; candles have an address of their own; each argument of a subscription is
acknowledged; the client keeps its connection alive by a text ping; a book starts with a snapshot that is pushed, and
goes on by the id of the change before; a message holds several trades; ids and times are text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.derived import Derivation, Encoders
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, DayStatistics, Event, Quote, Trade
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.protocols import Answer, Limits, MarketView, Response

__all__ = ["PROTOCOL", "message"]

_PATHS = {"/v5/public": ("books", "trades", "tickers"), "/v5/business": ("candle1m",)}
_KINDS = {"books": Kind.DIFF, "trades": Kind.TRADE, "tickers": Kind.QUOTE}


def message(due: int, channel: str, symbol: str, data: list[dict[str, Any]], time: int, **more: str) -> Frame:
    """One message; `time` in microseconds."""
    kind = Kind.SNAPSHOT if more.get("action") == "snapshot" else _KINDS.get(channel, Kind.OTHER)
    text = json.dumps({"arg": {"channel": channel, "instId": symbol}, **more, "data": data}).encode()
    return Frame(due, f"{channel}:{symbol}", symbol, kind, time - time % 1000, text, 0, len(text))


class _Session:
    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = channels
        self.streams: dict[str, None] = {}

    def receive(self, message: bytes, now: float = 0.0) -> Response:
        """See `Session.receive`."""
        if message == b"ping":
            return Response((b"pong",))
        request = json.loads(message)
        replies, new = [], []
        for argument in request["args"]:
            if argument["channel"] in self._channels:
                new.append(f"{argument['channel']}:{argument['instId']}")
                replies.append({"event": "subscribe", "arg": argument, "connId": "a1"})
            else:
                replies.append({"event": "error", "code": "60018", "msg": f"no {argument['channel']} here"})
        self.streams.update(dict.fromkeys(new))
        return Response(tuple(json.dumps(reply).encode() for reply in replies), subscribe=tuple(new))

    def carries(self, stream: str, here: bool) -> None:
        """See `Session.carries`."""

    def render(self, frame: Frame) -> bytes:
        """See `Session.render`."""
        return frame.message


class PushingProtocol:
    """See `WireProtocol`."""

    name = "pushing"
    limits = Limits(None, 60.0, 86_400.0, 20, 480, 6_000, idle_timeout=0.5)

    @property
    def encoders(self) -> Encoders:
        """See `WireProtocol.encoders`; there are candles and nothing else that is derived."""
        return Encoders(_never, _never, _candle, _never)

    def accepts(self, symbol: str) -> bool:
        """See `WireProtocol.accepts`."""
        return "-" in symbol

    def names(self, bases: Sequence[str]) -> Sequence[str]:
        """See `WireProtocol.names`."""
        return [f"{base}-USDT" for base in bases]

    def encode(self, due: int, symbol: str, event: Event) -> Frame:
        """See `WireProtocol.encode`."""
        match event:
            case Trade():
                side = "sell" if event.buyer_is_maker else "buy"
                row = {"tradeId": str(event.trade_id), "px": event.price, "sz": event.quantity, "side": side}
                time = event.event_time
                return message(due, "trades", symbol, [row | {"ts": str(time // 1000)}], time)
            case BookDiff():
                ids = {"prevSeqId": event.first_id - 1, "seqId": event.last_id, "ts": str(event.event_time // 1000)}
                change: dict[str, Any] = {"bids": event.bids, "asks": event.asks, **ids}
                return message(due, "books", symbol, [change], event.event_time, action="update")
            case BookSnapshot():
                whole: dict[str, Any] = {
                    "bids": event.bids,
                    "asks": event.asks,
                    "prevSeqId": -1,
                    "seqId": event.last_id,
                }
                return message(due, "books", symbol, [whole], due // 1000, action="snapshot")
            case Quote():
                return message(due, "tickers", symbol, [{"bidPx": event.bid_price, "askPx": event.ask_price}], 0)
            case AggTrade():
                return Frame(due, "", symbol, Kind.OTHER, 0, b"", 0, 0)

    def derive(self, stream: str) -> Derivation | None:
        """See `WireProtocol.derive`."""
        channel, _, symbol = stream.partition(":")
        return Derivation("candle", symbol, 1_000_000, interval=("1m", 60_000_000)) if channel == "candle1m" else None

    def malform(self, frame: Frame) -> list[Frame]:
        """See `WireProtocol.malform`."""
        return []

    def spoil(self, frame: Frame, value: str) -> Frame | None:
        """See `WireProtocol.spoil`."""
        return None

    def read(self, due: int, message: bytes) -> Frame | None:
        """See `WireProtocol.read`."""
        body = json.loads(message)
        if not isinstance(body, dict) or "arg" not in body:
            raise ValueError("must be a message with arg and data")
        if "event" in body:
            return None
        channel, symbol = body["arg"]["channel"], body["arg"]["instId"]
        kind = Kind.SNAPSHOT if body.get("action") == "snapshot" else _KINDS.get(channel, Kind.OTHER)
        time = int(body["data"][-1].get("ts", 0)) * 1000
        return Frame(due, f"{channel}:{symbol}", symbol, kind, time, message, 0, len(message))

    def read_rest(self, due: int, url: str, body: bytes) -> Frame | None:
        """See `WireProtocol.read_rest`."""
        return None

    def events(self, frame: Frame) -> Sequence[Event]:
        """See `WireProtocol.events`."""
        rows = json.loads(frame.payload)["data"]
        return [self._event(frame.kind, row) for row in rows]

    def _event(self, kind: Kind, row: dict[str, Any]) -> Event:
        time = int(row.get("ts", 0)) * 1000
        if kind is Kind.TRADE:
            return Trade(int(row["tradeId"]), row["px"], row["sz"], time, time, row["side"] == "sell")
        if kind is Kind.QUOTE:
            return Quote(0, row["bidPx"], "1", row["askPx"], "1")
        bids, asks = ([(level[0], level[1]) for level in row[side]] for side in ("bids", "asks"))
        if kind is Kind.SNAPSHOT:
            return BookSnapshot(row["seqId"], bids, asks)
        return BookDiff(row["prevSeqId"] + 1, row["seqId"], time, bids, asks)

    def diff_symbol(self, stream: str) -> str:
        """See `WireProtocol.diff_symbol`: no reader asks REST for a book."""
        return ""

    def opening(self, stream: str, market: MarketView, now: int) -> Sequence[Frame]:
        """See `WireProtocol.opening`."""
        channel, _, symbol = stream.partition(":")
        if channel != "books" or symbol not in market.symbols():
            return ()
        return [self.encode(now * 1000, symbol, market.depth(symbol, 400))]

    def open(self, path: str, query: str, max_streams: int, market: MarketView) -> _Session | None:
        """See `WireProtocol.open`."""
        return _Session(_PATHS[path]) if path in _PATHS else None

    def shutdown_notice(self, now: int) -> Frame:
        """See `WireProtocol.shutdown_notice`."""
        text = b'{"event":"notice","code":"64008","msg":"The connection will soon be closed"}'
        return Frame(0, "", "", Kind.OTHER, 0, text, 0, len(text))

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """See `WireProtocol.weight`."""
        return 1

    def weight_headers(self, used: int) -> Mapping[str, str]:
        """See `WireProtocol.weight_headers`."""
        return {}

    def limited(self, banned: bool, retry_after: int, now: int) -> Answer:
        """See `WireProtocol.limited`."""
        return Answer(429, b'{"code":"50011"}')

    def answer(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], market: MarketView, now: int
    ) -> Answer:
        """See `WireProtocol.answer`."""
        if path != "/api/v5/market/history-trades":
            return Answer(404, b"{}")
        trades = market.trades(query["instId"], int(query["after"]), 100)
        return Answer(200, json.dumps({"code": "0", "data": [{"tradeId": str(t.trade_id)} for t in trades]}).encode())


def _candle(due: int, symbol: str, stream: str, interval: str, candle: Candle, closed: bool, now: int) -> Frame:
    row = {"ts": str(candle.open_time // 1000), "c": candle.close, "confirm": str(int(closed))}
    return message(due, f"candle{interval}", symbol, [row], now)


def _never(due: int, symbol: str, stream: str, what: BookSnapshot | BookDiff | DayStatistics) -> Frame:
    raise AssertionError(f"nobody asks for {stream}")


PROTOCOL = PushingProtocol()
