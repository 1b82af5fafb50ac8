"""What is looked for elsewhere: it is found, and what is only quiet is left where it is."""

from __future__ import annotations

from marketpipeline.records import Trade
from marketpipeline.simulator import events
from marketpipeline.simulator.protocols.okx import PROTOCOL
from marketpipeline.topics import Feed, TopicKind

from tests.services.ingestion.played import SPOT, WALL, Played, of

HOME, AWAY = "ws://host/ws/v5/business", "ws://host/ws/v5/public"
ETH = "okx:ETH-USDT"


def trade(wire: Played, number: int | None, trade_id: int, symbol: str = SPOT) -> None:
    """A trade, told on connection `number`, if on any; REST knows it."""
    now = WALL + int(wire.now * 1e6)
    frame = PROTOCOL.encode(0, symbol.partition(":")[2], events.Trade(trade_id, "1", "1", now, now, False))
    wire.market.note(frame)
    if number is not None:
        wire.frame(number, frame.message)


def spoken(*symbols: str, fallbacks: tuple[str, ...] = ()) -> Played:
    """Trades of symbols, each of which has spoken for a minute at home."""
    wire = Played(*symbols, feeds=(Feed.TRADES,), fallbacks=fallbacks)
    wire.run(0.5)
    for second in range(60):
        for symbol in symbols:
            trade(wire, 1, second + 1, symbol)
        wire.run(1.0)
    return wire


def test_a_stream_that_was_moved_is_found_where_it_speaks_and_followed_there() -> None:
    wire = spoken(SPOT, ETH)
    for channel in ("trades-all", "trades"):
        wire.away[f"{channel}:BTC-USDT"] = "/public"
    wire.exchange[1].carries("trades-all:BTC-USDT", False)
    for second in range(60, 120):
        trade(wire, 1, second + 1, ETH)
        number = next((number for number, url in wire.opened if url == AWAY), None)
        trade(wire, number, second + 1)
        wire.run(1.0)
    told = wire.events("stale", "recovered", "rejected", "moved", "gap")
    assert told == [("stale", SPOT), ("rejected", SPOT), ("moved", SPOT)]
    (event,) = [event for event in wire.publisher.of(TopicKind.EVENTS) if event.kind == "moved"]
    assert event.detail == f"it speaks at {AWAY}, and not at {HOME}"
    ids = [one.trade_id for one in of(wire.publisher, TopicKind.TRADES, Trade) if one.symbol == SPOT]
    assert ids == list(range(1, 121))
    assert [sorted(one.name for one in manager.handlers) for manager in wire.session.managers] == [
        ["trades-all:ETH-USDT"],
        ["trades-all:BTC-USDT"],
    ]
    assert {stream.name: place for stream, place in wire.session.moved.items()} == {"trades-all:BTC-USDT": AWAY}


def test_where_it_moved_to_is_not_the_last_word_and_a_refusal_that_comes_late_is_nobodys() -> None:
    wire = spoken(SPOT, ETH, fallbacks=("ws://other",))
    home = wire.session.managers[0]
    (stream,) = [found for found in home.handlers if found.symbol == SPOT]
    for channel in ("trades-all", "trades"):
        wire.away[f"{channel}:BTC-USDT"] = "/public"
    wire.exchange[1].carries("trades-all:BTC-USDT", False)
    for second in range(60, 120):
        trade(wire, 1, second + 1, ETH)
        trade(wire, next((number for number, url in wire.opened if url == AWAY), None), second + 1)
        wire.run(1.0)
    moved = wire.session.managers[-1]
    assert (list(moved.handlers), moved.url) == ([stream], AWAY)
    home._reject(stream, "60018: it is not here")
    wire.run(1.0)
    assert home.rejected == {}
    wire.down.add(AWAY)
    assert moved.active is not None
    wire.session.closed(moved.active.number, "the connection broke")
    wire.run(10.0)
    assert moved.active is not None
    assert moved.url != AWAY, "the next of its places was taken, from which it is looked for again"


def test_a_home_that_is_away_is_no_home_that_is_silent() -> None:
    wire = spoken(SPOT)
    wire.away["trades-all:BTC-USDT"] = "/ws/v5"
    wire.down.add(HOME)
    wire.run(45.0)
    (elsewhere,) = [number for number, url in wire.opened if url == AWAY]
    assert wire.session.connection(elsewhere) is not None
    wire.session.closed(1, "the connection broke")
    for second in range(60, 66):
        trade(wire, elsewhere, second + 1)
        wire.run(1.0)
    assert wire.events("moved") == []
    wire.down.clear()
    wire.run(6.0)
    home = wire.session.managers[0].active
    assert home is not None
    for second in range(66, 72):
        trade(wire, elsewhere, second + 1)
        trade(wire, home.number, second + 1)
        wire.run(1.0)
    assert wire.events("moved") == []


def test_what_is_only_quiet_stays_although_it_is_heard_elsewhere_first() -> None:
    wire = spoken(SPOT)
    wire.away["trades-all:BTC-USDT"] = "/ws/v5"
    wire.run(45.0)
    (elsewhere,) = [number for number, url in wire.opened if url == AWAY]
    assert wire.session.connection(elsewhere) is not None, "it is carried there too, and listened to"
    trade(wire, elsewhere, 61)
    wire.run(0.5)
    trade(wire, 1, 61)
    wire.run(30.0)
    assert wire.session.connection(elsewhere) is None, "it is looked for no more"
    assert [stream.name for manager in wire.session.managers for stream in manager.handlers] == ["trades-all:BTC-USDT"]
    assert wire.events("moved", "gap") == []
    assert of(wire.publisher, TopicKind.TRADES, Trade)[-1].trade_id == 61


def test_what_speaks_nowhere_is_looked_for_at_each_place_and_ever_more_rarely() -> None:
    wire = Played(SPOT, ETH, feeds=(Feed.TRADES,), fallbacks=("ws://other",))
    wire.run(1200.0)
    places = [url for number, url in wire.opened if number > 1]
    assert set(places) == {AWAY, "ws://other/ws/v5/business", "ws://other/ws/v5/public"}
    assert places[:3] == [AWAY, "ws://other/ws/v5/business", "ws://other/ws/v5/public"]
    assert 6 <= len(places) <= 12
    assert len(wire.session.managers) == 1
    assert wire.events("moved") == []


def test_where_nobody_answers_the_next_address_is_taken() -> None:
    wire = Played(SPOT, feeds=(Feed.TRADES,), fallbacks=("ws://other",))
    number = wire.opened[-1][0]
    wire.down.add(HOME)
    wire.session.closed(number, "the connection broke")
    wire.run(10.0)
    (manager,) = wire.session.managers
    assert manager.active is not None
    assert manager.url == "ws://other/ws/v5/business"
    assert wire.events("reconnect") == [("reconnect", SPOT)]
