"""A session whose exchange is played by a protocol of the simulator, without sockets and in no time."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from marketpipeline.ingestion.context import CloseConnection, Get, OpenConnection, Send
from marketpipeline.ingestion.session import Session
from marketpipeline.records import Book
from marketpipeline.settings import IngestionSettings, KafkaSettings
from marketpipeline.simulator.events import BookDiff
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols.okx import PROTOCOL
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.okx.adapter import ADAPTER

from tests.services.ingestion.recorders import RecordingPublisher

__all__ = ["SPOT", "SWAP", "WALL", "Played", "of", "settings"]

SPOT, SWAP = "okx:BTC-USDT", "okx:BTC-USDT-SWAP"
WALL = 1_800_000_000_000_000


def settings(*names: str, feeds: tuple[Feed, ...], url: str = "http://host") -> IngestionSettings:
    return IngestionSettings(
        pipeline="test", kafka=KafkaSettings(bootstrap_servers="unused"), topic_prefix="test", exchange="okx",
        symbols=list(names), feeds=list(feeds), levels=20, websocket_url=url.replace("http", "ws"), rest_url=url,
    )  # fmt: skip


def of(publisher: RecordingPublisher, kind: TopicKind, record: type[Any]) -> list[Any]:
    return [found for found in publisher.of(kind) if isinstance(found, record)]


class Played:
    """Time passes only by `run`. `away` are parts of URLs by the streams that are carried there alone, `down` URLs that
    do not answer."""

    def __init__(
        self,
        *symbols: str,
        feeds: tuple[Feed, ...] = (Feed.BOOK,),
        listed: tuple[str, ...] = (),
        stale_after_ms: int = 30_000,
        fallbacks: tuple[str, ...] = (),
        **more: Any,
    ) -> None:
        self.publisher = RecordingPublisher()
        self.market = MarketState(PROTOCOL.events, [symbol.partition(":")[2] for symbol in listed or symbols], 1000)
        self.now = 0.0
        self.opened: list[tuple[int, str]] = []
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.gets: list[str] = []
        self.exchange: dict[int, Any] = {}
        names = [symbol.partition(":")[2] for symbol in symbols]
        chosen = settings(*names, feeds=feeds).model_copy(
            update={"stale_after_ms": stale_after_ms, "websocket_fallbacks": list(fallbacks)}
        )
        self.away: dict[str, str] = {}
        self.down: set[str] = set()
        self.session = Session(chosen, symbols, ADAPTER, self.publisher, max_streams=300, random=Random(1), **more)
        self.session.exchange_clock.told(WALL, WALL)
        self.run(0.1)

    def run(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds * 10))):
            self.now += 0.1
            self.session.tick(self.now, WALL + int(self.now * 1e6))
            self._take()

    def _take(self) -> None:
        while self.session.commands:
            commands = self.session.commands[:]
            self.session.commands.clear()
            for command in commands:
                match command:
                    case OpenConnection(number, url):
                        self.opened.append((number, url))
                        if url in self.down:
                            self.session.closed(number, "nobody answers")
                            continue
                        self.exchange[number] = PROTOCOL.open("/ws/v5" + url.partition("/ws/v5")[2], "", 0, self.market)
                        for stream, place in self.away.items():
                            self.exchange[number].carries(stream, place in url)
                        self.session.connected(number, self.now)
                    case CloseConnection(number, reason):
                        self.session.closed(number, reason)
                    case Send(number, message):
                        if message != b"ping":
                            self.sent.append((number, json.loads(message)))
                        response = self.exchange[number].receive(message, self.now)
                        for reply in response.replies:
                            self.frame(number, reply)
                    case Get(call, request):
                        self.gets.append(request.path.rpartition("/")[2])
                        answer = PROTOCOL.answer(
                            request.path, dict(request.params), {}, self.market, WALL + int(self.now * 1e6)
                        )
                        self.session.limiter.answered(
                            call, answer.status, {}, answer.body, self.now, WALL + int(self.now * 1e6)
                        )

    def frame(self, number: int, payload: bytes) -> None:
        if (connection := self.session.connection(number)) is not None:
            connection.frame(payload, WALL + int(self.now * 1e6))

    def change(self, first: int, last: int, number: int = 1) -> None:
        diff = BookDiff(first, last, WALL + int(self.now * 1e6), [("99.0", str(last))], [])
        frame = PROTOCOL.encode(0, "BTC-USDT", diff)
        self.market.note(frame)
        self.frame(number, frame.message)
        self._take()

    def books(self) -> list[int]:
        return [record.update_id for record in of(self.publisher, TopicKind.BOOK, Book)]

    def events(self, *kinds: str) -> list[tuple[str, str]]:
        found = self.publisher.of(TopicKind.EVENTS)
        return [(event.kind, event.symbol) for event in found if not kinds or event.kind in kinds]
