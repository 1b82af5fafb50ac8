"""Sessions as wholes: one over a real socket with a simulated exchange, others with everything around played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from marketpipeline.backoff import Backoff
from marketpipeline.ingestion.engine import Engine, now_us
from marketpipeline.ingestion.order_book_builder import OrderBookBuilder
from marketpipeline.ingestion.rest import RestClient
from marketpipeline.ingestion.route import Route
from marketpipeline.ingestion.session import RELIST_AFTER, Session
from marketpipeline.ingestion.symbol_validation import UNSIZED, choose_symbols
from marketpipeline.records import AggTrade, Book, Heartbeat, Trade
from marketpipeline.simulator import events
from marketpipeline.simulator.events import BookSnapshot
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols.okx import PROTOCOL
from marketpipeline.topics import Feed, TopicKind
from marketpipeline.venues.instruments import Contract, Instrument
from marketpipeline.venues.okx import VENUE
from marketpipeline.venues.okx.adapter import ADAPTER

from tests.services.ingestion.played import SPOT, SWAP, WALL, Played, of, settings
from tests.services.ingestion.recorders import RecordingPublisher
from tests.services.simulator.client import eventually, serving

CAPTURE = "okx_20220513.gz"


class EndlessPublisher(RecordingPublisher):
    """What an engine wants of a publisher, without a broker."""

    failure = None

    def poll(self) -> None:
        pass

    def pressed(self, paused: bool) -> bool:
        return False


@asynccontextmanager
async def following(
    exchange: SimulatedExchange, *symbols: str, feeds: tuple[Feed, ...] = tuple(Feed)
) -> AsyncIterator[tuple[Session, EndlessPublisher]]:
    """Ingestion of a simulated exchange, without a broker."""
    names = [symbol.partition(":")[2] for symbol in symbols]
    chosen, route, publisher = settings(*names, feeds=feeds, url=exchange.url), Route(), EndlessPublisher()
    rest = RestClient(exchange.url, "test", route)
    choice = await choose_symbols(list(symbols), ADAPTER, lambda request: rest.fetch(request, ADAPTER), Backoff(0.1, 1))
    session = Session(
        chosen, list(choice.instruments), ADAPTER, publisher, max_streams=VENUE.max_streams,
        instruments=choice.instruments, absent=choice.rejected,
    )  # fmt: skip
    session.wall = now_us()
    session.exchange_clock.told(await rest.fetch(ADAPTER.server_time(), ADAPTER), now_us())
    stop = asyncio.Event()
    running = asyncio.create_task(Engine(session, publisher, rest, route, None).run(stop))  # type: ignore[arg-type]
    try:
        yield session, publisher
    finally:
        stop.set()
        await running
        await rest.close()


async def test_every_checksum_of_a_capture_matches_and_every_trade_comes(real_capture: Callable[[str], Path]) -> None:
    """290 messages of three books with 290 checksums, through real sockets; two of the instruments are contracts."""
    symbols = [SPOT, "okx:BTC-USD-220527", "okx:UNI-USD-SWAP"]
    async with (
        serving(exchange="okx", captures=[str(real_capture(CAPTURE))], speed=None, settle_ms=300) as exchange,
        following(exchange, *symbols) as (session, publisher),
    ):
        books = [handler for handler in session.handlers.values() if isinstance(handler, OrderBookBuilder)]
        await eventually(lambda: sum(book.checksums for book in books) == 290, "290 checksums", 30)
        await eventually(lambda: len(of(publisher, TopicKind.TRADES, Trade)) == 74, "74 trades", 10)
    assert [book.resyncs for book in books] == [0, 0, 0]
    assert sorted(book.checksums for book in books) == [93, 98, 99]
    assert len(of(publisher, TopicKind.BOOK, Book)) == 290
    assert len(of(publisher, TopicKind.AGG_TRADES, AggTrade)) == 74
    assert not publisher.of(TopicKind.DEAD_LETTERS)
    future = next(trade for trade in of(publisher, TopicKind.TRADES, Trade) if trade.symbol == symbols[1])
    assert (future.contracts, future.price) == (1.0, 30218.8)
    assert future.quantity == pytest.approx(100 / 30218.8)


async def test_what_a_wire_does_to_its_readers_leaves_no_gap_but_what_is_lost(tmp_path: Path) -> None:
    """A lost connection, a notice of an end, lost messages: trades are fetched by id, books begin with a push."""
    faults = ["disconnect@2s", "gap:symbol=BTC-USDT-SWAP,count=4@5s", "shutdown:after=2@8s"]
    async with (
        serving(exchange="okx", symbols=["BTC-USDT", "BTC-USDT-SWAP"], faults=faults, speed=2.0) as exchange,
        following(exchange, SPOT, SWAP) as (session, publisher),
    ):
        await eventually(lambda: exchange.timeline.elapsed > 14, "the faults are over", 40)
        await eventually(lambda: session.ready_connections == 2 and not session.pending, "all is well", 20)
    for symbol in (SPOT, SWAP):
        ids = [trade.trade_id for trade in of(publisher, TopicKind.TRADES, Trade) if trade.symbol == symbol]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert len(ids) > 50
    events = publisher.of(TopicKind.EVENTS)
    gaps = [event for event in events if event.kind == "gap" and event.feed == "book"]
    assert {event.symbol for event in gaps} >= {SWAP}
    assert not [event for event in events if event.kind == "gap" and event.feed != "book"]
    assert not publisher.of(TopicKind.DEAD_LETTERS)


def test_a_book_whose_snapshot_is_not_pushed_starts_from_rest_and_goes_on_from_there() -> None:
    wire = Played(SPOT)
    wire.market.seed(PROTOCOL.encode(0, "BTC-USDT", BookSnapshot(5, [("99.0", "1.0")], [("101.0", "1.0")])))
    wire.run(1.0)
    wire.change(6, 8)
    wire.run(5.0)
    assert wire.books() == [], "it may still be pushed"
    wire.run(6.0)
    wire.change(9, 12)
    assert wire.books() == [12]
    wire.change(20, 22)
    wire.run(1.0)
    assert wire.gets.count("books") == 2, "once it was not pushed REST is asked at once"
    assert [op["op"] for _, op in wire.sent] == ["subscribe"]
    assert wire.events("synced", "gap", "resync")[0] == ("synced", SPOT)


def test_a_symbol_that_is_listed_later_is_followed_from_then_on() -> None:
    late = "okx:ETH-USDT-SWAP"
    wire = Played(SPOT, listed=(SPOT,), feeds=(Feed.TRADES, Feed.BOOK), absent={late: "not there"})
    wire.run(1.0)
    assert {stream.symbol for stream in wire.session.handlers} == {SPOT}
    wire.run(RELIST_AFTER + 1)
    assert list(wire.session.absent) == [late]
    wire.market = MarketState(PROTOCOL.events, ["BTC-USDT", "ETH-USDT-SWAP"], 1000)
    wire.run(RELIST_AFTER + 1)
    assert not wire.session.absent
    assert {stream.symbol for stream in wire.session.handlers} == {SPOT, late}
    assert wire.session.started
    assert ("recovered", late) in wire.events()
    asked = [(one["channel"], one["instId"]) for _, message in wire.sent for one in message["args"]]
    assert asked.count(("trades-all", "ETH-USDT-SWAP")) == asked.count(("books", "ETH-USDT-SWAP")) == 1
    time = str((WALL + int(wire.now * 1e6)) // 1000)
    row = {"instId": "ETH-USDT-SWAP", "tradeId": "7", "px": "2000", "sz": "30", "side": "buy", "ts": time}
    message = json.dumps({"arg": {"channel": "trades-all", "instId": "ETH-USDT-SWAP"}, "data": [row]}).encode()
    (business,) = {
        number for number, sent in wire.sent if {"channel": "trades-all", "instId": "ETH-USDT-SWAP"} in sent["args"]
    }
    wire.frame(business, message)
    (trade,) = of(wire.publisher, TopicKind.TRADES, Trade)
    assert (trade.quantity, trade.contracts) == (3.0, 30.0), "a contract is 0.1 of the base unit"


def test_a_trade_of_long_ago_that_comes_with_a_subscription_promises_nothing() -> None:
    """An exchange pushes the last trade there was: what came between it and the subscription was never received."""
    wire = Played(SPOT, feeds=(Feed.TRADES,))
    for number, ago in ((7, 26.0), (8, -0.5), (9, -1.5)):
        time = str((WALL + int((wire.now - ago) * 1e6)) // 1000)
        row = {"instId": "BTC-USDT", "tradeId": str(number), "px": "9", "sz": "3", "side": "buy", "ts": time}
        wire.frame(1, json.dumps({"arg": {"channel": "trades-all", "instId": "BTC-USDT"}, "data": [row]}).encode())
    assert [trade.trade_id for trade in of(wire.publisher, TopicKind.TRADES, Trade)] == [7, 8, 9]
    (beat,) = of(wire.publisher, TopicKind.TRADES, Heartbeat)
    assert beat.event_time >= WALL


def test_what_is_counted_in_contracts_is_not_followed_before_it_is_known_what_one_is() -> None:
    wire = Played(SPOT, SWAP, listed=(SPOT, SWAP))
    assert {stream.symbol for stream in wire.session.handlers} == {SPOT}
    assert wire.session.absent == {SWAP: UNSIZED}
    wire.run(RELIST_AFTER + 1)
    assert {stream.symbol for stream in wire.session.handlers} == {SPOT, SWAP}
    known = Played(SWAP, instruments={SWAP: Instrument(Contract(0.01))})
    assert not known.session.absent


def test_a_refused_stream_is_asked_for_again_once_its_symbol_is_listed() -> None:
    late = "okx:ETH-USDT"
    wire = Played(SPOT, late, listed=(SPOT,))
    wire.run(1.0)
    assert wire.events() == [("rejected", late)]
    assert wire.session.ready_connections == 1
    wire.market = MarketState(PROTOCOL.events, ["BTC-USDT", "ETH-USDT"], 1000)
    for session in wire.exchange.values():
        session._market = wire.market
    wire.run(RELIST_AFTER + 1)
    assert not wire.session.managers[0].rejected
    asked = [message["op"] for _, message in wire.sent if {"channel": "books", "instId": "ETH-USDT"} in message["args"]]
    assert asked[:2] == ["subscribe", "subscribe"]


def test_a_connection_that_may_subscribe_no_more_is_replaced_by_one_that_may() -> None:
    """480 in an hour: a book that is lost again and again must not stay lost for the rest of it."""
    wire = Played(SPOT)
    wire.market.seed(PROTOCOL.encode(0, "BTC-USDT", BookSnapshot(5, [("99.0", "1.0")], [("101.0", "1.0")])))
    wire.run(1.0)
    manager = wire.session.managers[0]
    for _ in range(240):
        manager.resubscribe(SPOT, Feed.BOOK)
        wire.run(0.5)
    first, second = [number for number, url in wire.opened if url == manager.url]
    assert manager.active is not None
    assert manager.active.number == second
    assert sum(number == first for number, _ in wire.sent) == 480
    assert wire.events("disconnect", "reconnect") == []


def test_silent_streams_are_asked_for_together_and_leave_half_of_the_subscriptions_for_books() -> None:
    """20 streams fall silent one after another; each is doubted at 1, 2, 4, … seconds of silence: 400 messages if each
    were asked for alone, of 480 in an hour."""
    names = [f"S{number}-USDT" for number in range(20)]
    wire = Played(*(f"okx:{name}" for name in names), feeds=(Feed.TRADES,), stale_after_ms=1_000)
    wire.run(0.5)
    (asked,) = wire.sent
    for number, name in enumerate(names):
        wire.frame(1, PROTOCOL.encode(0, name, events.Trade(number, "1", "1", WALL, WALL, False)).message)
        wire.run(0.3)
    wire.run(600.0)
    again = [message for number, message in wire.sent if number == 1 and message is not asked[1]]
    assert len(again) <= 240 * 600 / 3600 + 2
    assert [message["op"] for message in again] == ["unsubscribe", "subscribe"] * (len(again) // 2)
    assert {name for message in again for name in (argument["instId"] for argument in message["args"])} == set(names)
    assert [url for _, url in wire.opened].count("ws://host/ws/v5/business") == 1
    assert set(wire.events("stale")) == {("stale", f"okx:{name}") for name in names}


def test_pings_are_not_counted_among_subscriptions() -> None:
    wire = Played(SPOT)
    wire.run(3 * 3600.0)
    assert [url for _, url in wire.opened].count(wire.opened[0][1]) == 1, "it is looked for elsewhere, and stays"
