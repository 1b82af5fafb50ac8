"""Connections come and go; what they carry does not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from marketpipeline.records import Heartbeat, Trade
from marketpipeline.topics import Feed, TopicKind

from tests.services.ingestion.driver import EXCHANGE, Driver, depth_frame, trade_frame


def ids(driver: Driver) -> list[int]:
    return [record.trade_id for record in driver.publisher.of(TopicKind.TRADES) if isinstance(record, Trade)]


def past(first: int, last: int) -> list[dict[str, object]]:
    """An answer of the exchange's trades by id."""
    return [
        {"id": n, "price": "10.5", "qty": "2", "quoteQty": "21", "time": EXCHANGE, "isBuyerMaker": False}
        for n in range(first, last + 1)
    ]


def test_a_lost_connection_is_replaced_and_what_was_missed_is_fetched_first() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1))
    driver.frame(trade_frame(2))
    driver.lose(1)
    driver.run(0.6)
    assert driver.opened == [1, 2]
    driver.connect()
    driver.frame(trade_frame(6, at=3.0))
    driver.run()
    assert ids(driver) == [1, 2]
    assert dict(driver.answer(past(3, 6), path="/historicalTrades").request.params)["fromId"] == "3"
    assert ids(driver) == [1, 2, 3, 4, 5, 6]
    assert driver.events() == [("disconnect", "connection"), ("reconnect", "connection"), ("backfill", "trades")]
    assert driver.session.managers[0].reconnects == 1


def test_no_heartbeat_while_something_missed_is_being_fetched() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1))
    beats = len(driver.publisher.of(TopicKind.TRADES)) - 1
    driver.lose(1)
    driver.run(0.6)
    driver.connect()
    for second in range(5):
        driver.frame(trade_frame(10 + second, at=10.0 + second))
    assert len(driver.publisher.of(TopicKind.TRADES)) == 1 + beats
    assert driver.session.pending == 1
    driver.run()
    driver.answer(past(2, 14), path="/historicalTrades")
    driver.frame(trade_frame(15, at=20.0))
    assert driver.publisher.of(TopicKind.TRADES)[-1].event_time == (EXCHANGE + 19_500) * 1000
    assert driver.session.pending == 0


def test_the_wait_grows_and_begins_again_after_a_stable_connection() -> None:
    driver = Driver(backoff_initial_ms=1000, backoff_max_ms=8000, stable_after_ms=20_000)
    driver.run()
    waits = []
    for _ in range(7):
        lost_at, count = driver.now, len(driver.opened)
        driver.lose(driver.opened[-1], "connection refused")
        while len(driver.opened) == count:
            driver.run(0.1)
        waits.append(driver.now - lost_at)
    for attempt, wait in enumerate(waits):
        full = min(8.0, 1.0 * 2**attempt)
        assert full / 2 <= wait <= full + 0.2
    driver.connect()
    driver.run(15.0)
    driver.lose(driver.opened[-1])
    lost_at, count = driver.now, len(driver.opened)
    while len(driver.opened) == count:
        driver.run(0.1)
    assert driver.now - lost_at >= 4.0, "15 s are not stable"
    driver.connect()
    while driver.now < lost_at + 60.0:
        driver.run(1.0)
        driver.frame(trade_frame(int(driver.now)))
    driver.lose(driver.opened[-1])
    driver.run(1.2)
    assert driver.opened[-1] != count


@pytest.mark.parametrize(
    "notice", [b'{"e":"serverShutdown","E":1}', b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}']
)
def test_before_a_shutdown_the_next_connection_is_opened_and_nothing_is_lost_or_double(notice: bytes) -> None:
    driver = Driver(feeds=(Feed.TRADES, Feed.BOOK))
    driver.start()
    driver.frame(depth_frame(1, 1))
    driver.run()
    driver.answer({"lastUpdateId": 1, "bids": [["9.0", "1"]], "asks": [["12.0", "1"]]}, path="/depth")
    driver.frame(trade_frame(1))
    driver.frame(depth_frame(2, 2))
    driver.frame(notice)
    driver.frame(notice)
    driver.run()
    assert driver.opened == [1, 2]
    driver.frame(trade_frame(2), 1)
    driver.connect()
    driver.frame(trade_frame(4), 2)
    driver.frame(depth_frame(3, 4), 2)
    driver.frame(trade_frame(3), 1)
    driver.frame(trade_frame(4), 1)
    driver.frame(depth_frame(3, 3), 1)
    driver.frame(depth_frame(4, 4), 1)
    driver.frame(trade_frame(5), 2)
    driver.frame(depth_frame(5, 5), 2)
    assert driver.closed == []
    driver.run(1.2)
    assert driver.closed == [(1, "replaced")]
    assert ids(driver) == [1, 2, 3, 4, 5]
    assert [book.update_id for book in driver.publisher.of(TopicKind.BOOK) if hasattr(book, "update_id")] == [2, 4, 5]
    assert driver.session.ready_connections == 1
    assert {kind for kind, _ in driver.events()} == {"synced"}


def test_a_connection_is_replaced_before_its_lifetime_ends() -> None:
    driver = Driver()
    driver.start()
    number = 0
    while len(driver.opened) == 1:
        driver.run(1.0)
        if driver.now % 300 == 0:
            driver.session.managers[0].excuse(driver.now)
        number += 1
        driver.frame(trade_frame(number, at=driver.now), 1)
        assert driver.now < 24 * 3600
    assert driver.now > 0.95 * 24 * 3600
    driver.connect()
    driver.frame(trade_frame(number + 1, at=driver.now))
    driver.run(1.5)
    assert driver.closed == [(1, "replaced")]
    assert ids(driver) == list(range(1, number + 2))
    assert driver.events() == []


def test_when_the_old_one_ends_first_what_was_missed_is_fetched() -> None:
    driver = Driver()
    driver.start()
    driver.frame(trade_frame(1))
    driver.frame(b'{"e":"serverShutdown","E":1}')
    driver.run()
    driver.lose(1, "closed by the exchange: 1001")
    driver.connect()
    driver.frame(trade_frame(3))
    driver.run()
    driver.answer(past(2, 2), path="/historicalTrades")
    assert ids(driver) == [1, 2, 3]


def test_a_silent_stream_is_told_asked_for_again_and_its_return_told() -> None:
    driver = Driver(("BTCUSDT", "ETHUSDT"), stale_after_ms=5000)
    driver.start()

    def chat(seconds: int, *symbols: str) -> None:
        for _ in range(seconds * 10):
            driver.run(0.1)
            for symbol in symbols:
                number = round(driver.now * 10)
                driver.frame(trade_frame(number, at=driver.now, symbol=symbol))

    chat(20, "BTCUSDT", "ETHUSDT")
    chat(8, "BTCUSDT")
    assert driver.events() == [("stale", "trades")]
    event = driver.publisher.of(TopicKind.EVENTS)[0]
    assert event.symbol == "binance:ETHUSDT"
    methods = [(message["method"], message["params"]) for _, _, message in driver.sent[1:]]
    assert methods == [("UNSUBSCRIBE", ["ethusdt@trade"]), ("SUBSCRIBE", ["ethusdt@trade"])]
    for _, _, message in driver.sent[1:]:
        driver.frame(b'{"result":null,"id":%d}' % message["id"])
    assert [stream.name for stream in driver.session.managers[0].stale] == ["ethusdt@trade"]
    chat(2, "BTCUSDT", "ETHUSDT")
    assert ("recovered", "trades") in driver.events()
    assert driver.session.managers[0].stale == []


def test_a_stream_that_was_acknowledged_and_never_speaks_is_told() -> None:
    driver = Driver(("BTCUSDT", "BTCUSD"), stale_after_ms=5000)
    driver.start()
    for second in range(8):
        driver.run(1.0)
        driver.frame(trade_frame(second))
    events = driver.publisher.of(TopicKind.EVENTS)
    assert [(event.kind, event.symbol) for event in events] == [("stale", "binance:BTCUSD")]
    assert "never spoke since it was subscribed" in events[0].detail


def test_streams_are_shared_out_over_connections_and_the_slowest_clock_counts() -> None:
    driver = Driver(("AAAUSDT", "BBBUSDT"), max_streams=1)
    driver.run()
    assert driver.opened == [1, 2]
    for number in (1, 2):
        driver.session.connected(number, driver.now)
        driver.run()
        driver.acknowledge(number)
    driver.frame(trade_frame(1, at=9.0, symbol="AAAUSDT"), 1)
    assert driver.session.synced_through == 0
    driver.frame(trade_frame(1, at=5.0, symbol="BBBUSDT"), 2)
    assert driver.session.synced_through == (EXCHANGE + 4500) * 1000
    driver.lose(2)
    driver.frame(trade_frame(2, at=10.0, symbol="AAAUSDT"), 1)
    assert driver.session.synced_through == (EXCHANGE + 4500) * 1000
    assert driver.session.ready_connections == 1
    assert [event.symbol for event in driver.publisher.of(TopicKind.EVENTS)] == ["binance:BBBUSDT"]


def test_attempts_to_connect_stay_within_the_exchanges_limit() -> None:
    driver = Driver(backoff_initial_ms=1, backoff_max_ms=1)
    driver.run()
    times = [0.0]
    while driver.now < 400.0:
        driver.lose(driver.opened[-1], "connection refused")
        count = len(driver.opened)
        driver.run(0.1)
        if len(driver.opened) > count:
            times.append(driver.now)
        elif driver.session.connection(driver.opened[-1]) is None:
            driver.run(1.0)
            times += [driver.now] * (len(driver.opened) - count)
    for start in times:
        assert sum(start <= time < start + 299.0 for time in times) <= 300


def test_a_replacement_that_cannot_connect_is_tried_less_and_less_while_the_old_one_is_stable() -> None:
    driver = Driver(backoff_initial_ms=1000, backoff_max_ms=8000, stable_after_ms=2000)
    driver.start()

    def chat(seconds: float) -> None:
        driver.run(seconds)
        driver.frame(trade_frame(int(driver.now * 100), at=driver.now), 1)

    for _ in range(4):
        chat(1.0)
    driver.frame(b'{"e":"serverShutdown","E":1}', 1)
    driver.run()
    waits = []
    for _ in range(6):
        lost_at, count = driver.now, len(driver.opened)
        driver.lose(driver.opened[-1], "connection refused")
        while len(driver.opened) == count:
            chat(0.1)
        waits.append(driver.now - lost_at)
    for attempt, wait in enumerate(waits):
        full = min(8.0, 1.0 * 2**attempt)
        assert full / 2 <= wait <= full + 0.2
    assert driver.session.ready_connections == 1
    number = driver.connect()
    for second in range(4):
        driver.run(1.0)
        driver.frame(trade_frame(100_000 + second, at=driver.now), number)
    driver.lose(number)
    count = len(driver.opened)
    driver.run(1.2)
    assert len(driver.opened) > count, "the new one was stable: the first wait again"


def test_a_trade_sent_while_its_stream_is_asked_for_again_comes_before_a_heartbeat() -> None:
    driver = Driver(("BTCUSDT", "ETHUSDT"), stale_after_ms=5000)
    driver.start()

    def of_eth() -> list[Trade | Heartbeat]:
        return [r for r in driver.publisher.of(TopicKind.TRADES) if r.symbol == "binance:ETHUSDT"]

    driver.frame(trade_frame(1, symbol="ETHUSDT"))
    for second in range(1, 7):
        driver.run(1.0)
        driver.frame(trade_frame(second, at=driver.now))
    assert ("stale", "trades") in driver.events()
    driver.answer([], path="/historicalTrades")
    before = of_eth()
    driver.frame(trade_frame(7, at=8.0))
    assert of_eth() == before, "the stream is not subscribed: what happens is not known"
    for _, _, message in driver.sent[1:]:
        driver.frame(b'{"result":null,"id":%d}' % message["id"])
    driver.frame(trade_frame(8, at=9.5))
    assert of_eth() == before
    driver.run()
    row = {"id": 2, "time": EXCHANGE + 7000, "price": "1", "qty": "1", "isBuyerMaker": True}
    driver.answer([row], path="/historicalTrades")
    driver.frame(trade_frame(9, at=11.0))
    assert [(type(r), getattr(r, "trade_id", 0)) for r in of_eth()[len(before) :]] == [(Trade, 2), (Heartbeat, 0)]


def test_stores_that_keep_nothing_of_a_feed_hear_once_a_minute_that_it_lives() -> None:
    """Heartbeats of a book travel with the books, which hardly a store reads."""
    driver = Driver(feeds=(Feed.BOOK,))
    driver.start()
    driver.frame(depth_frame(1, 2, at=1.0))
    driver.run(1.1)
    assert driver.publisher.alive() == [], "there is no book yet"
    driver.answer({"lastUpdateId": 2, "bids": [["1", "1"]], "asks": [["20", "1"]]}, path="/depth")
    for second in range(2, 130):
        driver.frame(depth_frame(second + 1, second + 1, at=float(second)))
        driver.run(1.0)
    times = [beat.event_time for beat in driver.publisher.alive()]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([60_000_000] * 2, abs=1_100_000)
