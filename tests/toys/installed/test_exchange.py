"""The toy exchange: everything that knows exchanges knows it, and ingestion reads it whole without a socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from marketpipeline.errors import InvalidSpec
from marketpipeline.ingestion.context import CloseConnection, Command, OpenConnection, Send
from marketpipeline.ingestion.session import Session
from marketpipeline.local.options import RunOptions
from marketpipeline.local.prerequisites import Java
from marketpipeline.local.stack import assemble
from marketpipeline.local.state import StateFolder
from marketpipeline.plan import plan, plan_as_text
from marketpipeline.records import Book, Heartbeat, Trade
from marketpipeline.settings import IngestionSettings, SimulatorSettings
from marketpipeline.settings.local import LocalSettings
from marketpipeline.spec import MarketPipeline, load_object
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues import venues
from marketpipeline.venues.adapter import load_adapter
from marketpipeline.venues.values import text_id
from marketpipeline_operator.crd import custom_resource_definition
from toys.lamplight import VENUE

from tests.services.ingestion.recorders import RecordingPublisher

OIL, TEA = "lamplight:OIL-EUR", "lamplight:TEA-EUR"
NOW = 1_800_000_000_000_000
YAML = """apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {name: lights}
spec: {symbols: [%s], feeds: [book, trades, candles]}
"""


def pipeline(*symbols: str, feeds: tuple[str, ...] = ("book", "trades", "candles")) -> MarketPipeline:
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "lights"}}
    return load_object(head | {"spec": {"symbols": list(symbols), "feeds": list(feeds)}})


def refused(*symbols: str, feeds: tuple[str, ...] = ("book", "trades")) -> str:
    with pytest.raises(InvalidSpec) as caught:
        pipeline(*symbols, feeds=feeds)
    return str(caught.value)


class Wire:
    """A session, and everything around it played by the test."""

    def __init__(self, *symbols: str, feeds: tuple[Feed, ...] = (Feed.BOOK, Feed.TRADES, Feed.CANDLES)) -> None:
        found = plan(pipeline(*symbols, feeds=tuple(feed.value for feed in feeds)))
        settings = IngestionSettings(**found.workload("ingestion-lamplight").settings)
        self.publisher = RecordingPublisher()
        self.session = Session(
            settings,
            symbols,
            load_adapter("lamplight"),
            self.publisher,
            max_streams=VENUE.max_streams,
            random=Random(1),
        )
        self.now = 0.0
        self.urls: dict[int, str] = {}
        self.sent: list[tuple[int, bytes]] = []
        self.closed: list[tuple[int, str]] = []
        self.run(0.0)

    def run(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds * 10))):
            self.now += 0.1
            self.session.tick(self.now, NOW + int(self.now * 1e6))
            self.take()

    def take(self) -> None:
        commands: list[Command] = self.session.commands[:]
        self.session.commands.clear()
        for command in commands:
            match command:
                case OpenConnection(number, url):
                    self.urls[number] = url
                case Send(number, message):
                    self.sent.append((number, message))
                case CloseConnection(number, reason):
                    self.closed.append((number, reason))
                    self.session.closed(number, reason)

    def connect(self) -> None:
        for number in self.urls:
            self.session.connected(number, self.now)
        self.run(0.1)

    def subscribe(self) -> None:
        """Open what is wanted, and answer every stream by itself."""
        self.connect()
        for number, message in list(self.sent):
            for name in json.loads(message)["streams"]:
                self.frame(number, event="subscribed", stream=name)

    def frame(self, number: int, payload: bytes | None = None, **frame: Any) -> None:
        connection = self.session.connection(number)
        assert connection is not None
        connection.frame(payload or json.dumps(frame).encode(), NOW + int(self.now * 1e6))
        self.take()

    def events(self) -> list[str]:
        return [event.kind for event in self.publisher.of(TopicKind.EVENTS)]

    def books(self) -> list[int]:
        return [record.update_id for record in self.publisher.of(TopicKind.BOOK) if isinstance(record, Book)]


def row(**more: Any) -> dict[str, Any]:
    return {"ns": NOW * 1000 + 5_000_000} | more


def trade(name: str, **more: Any) -> dict[str, Any]:
    return row(id=name, price="10", quantity="2", side="buy") | more


def test_the_registry_has_it() -> None:
    assert venues()["lamplight"] is VENUE


def test_the_spec_knows_its_symbols_and_feeds() -> None:
    assert pipeline(OIL, "binance:BTCUSDT", feeds=("book", "trades")).spec.exchanges == ["binance", "lamplight"]
    assert "OIL-EUR" in refused("lamplight:oil")
    assert "quotes" in refused(OIL, feeds=("quotes",))
    assert "binance, lamplight" in refused("nowhere:OIL-EUR")


def test_the_plan_and_the_command_line_know_it(tmp_path: Path) -> None:
    workload = plan(pipeline(OIL)).workload("ingestion-lamplight")
    assert workload.settings["websocket_url"] == "wss://stream.lamplight.example"
    assert "ingestion-lamplight" in plan_as_text(plan(pipeline(OIL)))
    for symbol, status, says in ((OIL, 0, ""), ("lamplight:oil", 2, "OIL-EUR")):
        path = tmp_path / "pipeline.yaml"
        path.write_text(YAML % symbol)
        command = [sys.executable, "-m", "marketpipeline", "validate", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        assert says in done.stdout + done.stderr


def test_the_crd_knows_it() -> None:
    assert "lamplight" in json.dumps(custom_resource_definition())


def test_a_run_replays_captures_of_both_exchanges_each_by_a_simulator_of_its_own(tmp_path: Path) -> None:
    both = pipeline("binance:BTCUSDT", OIL, feeds=("book", "trades"))
    state = StateFolder.open(tmp_path / "state", "lights", "replay")
    places = LocalSettings(kafka_jars=Path("/jars"), flink_python=Path("/flink/bin/python"))
    java = Java(program="/java/bin/java", home="/java", version=17)
    options = RunOptions(replay=(tmp_path / "a.gz", tmp_path / "b.gz"))
    stack = assemble(both, plan(both), options, state, places, java)
    state.close()
    assert {exchange: service.name for exchange, service in stack.exchanges.items()} == {
        "binance": "simulator-binance",
        "lamplight": "simulator-lamplight",
    }
    for exchange, other in (("binance", "lamplight"), ("lamplight", "binance")):
        found = SimulatorSettings.load(tmp_path / "state" / "settings" / f"simulator-{exchange}.json")
        assert (found.exchange, found.other_exchanges) == (exchange, [other])
        assert found.captures == [str(tmp_path / "a.gz"), str(tmp_path / "b.gz")]
        (feeder,) = stack.ingestion[exchange]
        ingestion = IngestionSettings.load(tmp_path / "state" / "settings" / f"{feeder.name}.json")
        assert ingestion.rest_url == stack.exchanges[exchange].url


def test_each_endpoint_has_a_connection_of_its_own() -> None:
    wire = Wire(OIL, TEA)
    assert sorted(wire.urls.values()) == [
        "wss://slow.lamplight.example/candles",
        "wss://stream.lamplight.example/fast",
    ]
    wire.connect()
    asked = {wire.urls[number].rpartition("/")[2]: json.loads(message)["streams"] for number, message in wire.sent}
    assert asked == {
        "fast": ["book/OIL-EUR", "trades/OIL-EUR", "book/TEA-EUR", "trades/TEA-EUR"],
        "candles": ["minutes/OIL-EUR", "minutes/TEA-EUR"],
    }


def test_every_stream_is_answered_by_itself_and_a_refusal_names_one() -> None:
    wire = Wire(OIL, TEA, feeds=(Feed.TRADES,))
    wire.connect()
    wire.frame(1, event="refused", stream="trades/TEA-EUR", why="closed on Sundays")
    started = [wire.session.started]
    wire.frame(1, event="subscribed", stream="trades/OIL-EUR")
    started.append(wire.session.started)
    assert started == [False, True]
    (event,) = wire.publisher.of(TopicKind.EVENTS)
    assert (event.kind, event.symbol) == ("rejected", TEA)
    assert "closed on Sundays" in event.detail


def test_a_frame_gives_several_trades_once_each_and_a_bad_row_does_not_take_the_others_with_it() -> None:
    wire = Wire(OIL, feeds=(Feed.TRADES,))
    wire.subscribe()
    rows = [trade("a-1"), trade("b-2", quantity="0"), trade("c-3"), trade("a-1"), trade("d-4", ns=NOW)]
    wire.frame(1, stream="trades/OIL-EUR", rows=rows)
    ids = [record.trade_id for record in wire.publisher.of(TopicKind.TRADES) if isinstance(record, Trade)]
    assert ids == [text_id("a-1"), text_id("c-3")]
    letters = wire.publisher.of(TopicKind.DEAD_LETTERS)
    assert [(letter.symbol, json.loads(letter.payload)["id"]) for letter in letters] == [(OIL, "b-2"), (OIL, "d-4")]
    assert "is in microseconds; must be in nanoseconds" in letters[1].error
    beats = [record for record in wire.publisher.of(TopicKind.TRADES) if isinstance(record, Heartbeat)]
    assert beats[0].event_time == NOW + 5_000 - 100_000


def test_a_book_starts_from_what_is_pushed_and_asks_for_its_stream_when_it_is_lost() -> None:
    wire = Wire(OIL, feeds=(Feed.BOOK,))
    wire.subscribe()
    book = row(bids=[["9", "1"]], asks=[["11", "1"]])
    wire.frame(1, stream="book/OIL-EUR", rows=[book | {"number": 10}])
    wire.frame(1, stream="book/OIL-EUR", rows=[book | {"number": 17, "previous": 10, "bids": [["10", "2"]]}])
    assert wire.books() == [10, 17]
    assert wire.publisher.of(TopicKind.BOOK)[-1].bids == [(10.0, 2.0), (9.0, 1.0)]
    wire.sent.clear()
    wire.frame(1, stream="book/OIL-EUR", rows=[book | {"number": 30, "previous": 25}])
    assert [json.loads(message)["do"] for _, message in wire.sent] == ["unsubscribe", "subscribe"]
    wire.frame(1, stream="book/OIL-EUR", rows=[book | {"number": 40}])
    assert wire.books() == [10, 17, 40]
    assert wire.events() == ["synced", "gap", "resync"]


def test_candles_of_the_second_url_are_read() -> None:
    wire = Wire(OIL)
    wire.subscribe()
    candle = dict.fromkeys(("open", "high", "low", "close", "volume"), "10")
    (slow,) = [number for number, url in wire.urls.items() if "slow" in url]
    wire.frame(slow, stream="minutes/OIL-EUR", rows=[row(open_ns=NOW * 1000, closed=True) | candle])
    (record,) = wire.publisher.of(TopicKind.EXCHANGE_CANDLES)
    assert (record.open_time, record.closed, record.trades) == (NOW, True, None)


def test_it_is_pinged_by_a_message_and_its_answer_keeps_the_connection() -> None:
    wire = Wire(OIL, feeds=(Feed.TRADES,))
    wire.subscribe()
    wire.sent.clear()
    for second in range(65):
        wire.run(1.0)
        wire.frame(1, stream="trades/OIL-EUR", rows=[trade(str(second), ns=(NOW + second * 1_000_000) * 1000)])
        if wire.sent and second % 20 == 19:
            wire.frame(1, b"pong")
    assert wire.sent == [(1, b"ping")] * 3
    wire.run(30.2)
    assert wire.closed == [(1, "no pong within 10 s")]


def test_a_notice_opens_the_next_connection_before_this_one_ends() -> None:
    wire = Wire(OIL, feeds=(Feed.TRADES,))
    wire.subscribe()
    wire.frame(1, event="leaving")
    wire.run(0.5)
    assert len(wire.urls) == 2
    assert wire.session.ready_connections == 1
