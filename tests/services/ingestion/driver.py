"""A session with everything around it played by the test: clock, connections, REST. The adapter is a real one."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from marketpipeline.ingestion.connection import Connection
from marketpipeline.ingestion.context import CloseConnection, Get, OpenConnection, Ping, Send
from marketpipeline.ingestion.handlers import Delivered
from marketpipeline.ingestion.session import Session
from marketpipeline.settings import IngestionSettings, KafkaSettings
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.binance.adapter import ADAPTER

from tests.services.ingestion.recorders import RecordingPublisher

__all__ = ["WALL", "Driver", "depth_frame", "quote_frame", "trade_frame"]

WALL = 1_800_000_000_000_000
"""Where the local clock starts, µs. The exchange's is elsewhere, so that a mix-up shows."""
EXCHANGE = 1_700_000_000_000
"""Where the exchange's clock starts, ms."""


class Driver:
    """Time passes only by `run`. `opened` and `sent` say what the session did on the wire."""

    def __init__(
        self,
        symbols: tuple[str, ...] = ("BTCUSDT",),
        feeds: tuple[Feed, ...] = (Feed.TRADES,),
        *,
        delivered: Delivered | None = None,
        max_streams: int = 1024,
        **settings: Any,
    ) -> None:
        self.publisher = RecordingPublisher()
        self.now = 0.0
        self.opened: list[int] = []
        self.closed: list[tuple[int, str]] = []
        self.sent: list[tuple[float, int, dict[str, Any]]] = []
        self.pings: list[tuple[float, int, bytes]] = []
        self.gets: list[Get] = []
        chosen = IngestionSettings(
            pipeline="test", kafka=KafkaSettings(bootstrap_servers="unused"), topic_prefix="test", exchange="binance",
            symbols=list(symbols), feeds=list(feeds), levels=5, websocket_url="ws://host", rest_url="http://host",
            **settings,
        )  # fmt: skip
        self.session = Session(
            chosen, [f"binance:{symbol}" for symbol in symbols], ADAPTER, self.publisher,
            max_streams=max_streams, delivered=delivered, random=Random(1),
        )  # fmt: skip
        self.session.exchange_clock.told(EXCHANGE * 1000, WALL)

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass in ticks, and take what the session wants."""
        until = self.now + seconds
        while True:
            self.session.tick(self.now, WALL + int(self.now * 1e6))
            self._take()
            if self.now >= until:
                return
            self.now = min(until, self.now + 0.05)

    def connect(self, *, acknowledge: bool = True) -> int:
        """Open the connection that is wanted; by default the exchange accepts what it asks for."""
        number = self.opened[-1]
        self.session.connected(number, self.now)
        self._take()
        if acknowledge:
            self.acknowledge(number)
        return number

    def start(self) -> int:
        """Run until the first connection carries everything."""
        self.run()
        return self.connect()

    def acknowledge(self, number: int) -> None:
        """Accept every subscription of a connection, also those that are sent later."""
        done = 0
        while True:
            messages = [message for _, connection, message in self.sent if connection == number]
            for message in messages[done:]:
                self.frame(json.dumps({"result": None, "id": message["id"]}).encode(), number)
            if self.session.connection(number) is None or self.connection(number).ready:
                return
            done = len(messages)
            self.run(0.25)

    def frame(self, payload: bytes, number: int | None = None) -> None:
        self.connection(self.opened[-1] if number is None else number).frame(payload, WALL + int(self.now * 1e6))
        self._take()

    def lose(self, number: int, reason: str = "the connection broke") -> None:
        self.session.closed(number, reason)
        self._take()

    def answer(self, body: object, *, status: int = 200, path: str = "", **headers: str) -> Get:
        """Answer the oldest request, or the oldest of a path."""
        get = next(get for get in self.gets if path in get.request.path)
        self.gets.remove(get)
        raw = json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.session.limiter.answered(get.call, status, names, raw, self.now, WALL)
        self._take()
        return get

    def pong(self) -> None:
        _, number, payload = self.pings[-1]
        self.connection(number).pong(payload, self.now)
        self._take()

    def connection(self, number: int) -> Connection:
        connection = self.session.connection(number)
        assert connection is not None
        return connection

    def events(self) -> list[tuple[str, str]]:
        return [(event.kind, event.feed) for event in self.publisher.of(TopicKind.EVENTS)]

    def _take(self) -> None:
        while self.session.commands:
            commands = self.session.commands[:]
            self.session.commands.clear()
            for command in commands:
                match command:
                    case OpenConnection(number, _):
                        self.opened.append(number)
                    case CloseConnection(number, reason):
                        self.closed.append((number, reason))
                        self.session.closed(number, reason)
                    case Send(number, message):
                        self.sent.append((self.now, number, json.loads(message)))
                    case Ping(number, payload):
                        self.pings.append((self.now, number, payload))
                    case Get():
                        self.gets.append(command)


def trade_frame(number: int, at: float = 0.0, symbol: str = "BTCUSDT") -> bytes:
    """Trade `number`, `at` seconds after the exchange's start."""
    time = EXCHANGE + int(at * 1000)
    data = {"e": "trade", "E": time, "s": symbol, "t": number, "p": "10.5", "q": "2", "T": time, "m": False, "M": True}
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": data}, separators=(",", ":")).encode()


def depth_frame(first: int, last: int, at: float = 0.0, symbol: str = "BTCUSDT", bid: str = "10.0") -> bytes:
    """Updates `first` to `last`."""
    data = {"e": "depthUpdate", "E": EXCHANGE + int(at * 1000), "s": symbol, "U": first, "u": last,
            "b": [[bid, "1.0"]], "a": [["11.0", "1.0"]]}  # fmt: skip
    return json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}, separators=(",", ":")).encode()


def quote_frame(number: int, symbol: str = "BTCUSDT") -> bytes:
    """The quote after update `number`."""
    data = {"u": number, "s": symbol, "b": "10.0", "B": "1.0", "a": "11.0", "A": "1.0"}
    return json.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": data}, separators=(",", ":")).encode()
