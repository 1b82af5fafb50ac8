"""Connections come and go; what they carry does not."""

from __future__ import annotations

import pytest
from marketpipeline.records import Trade
from marketpipeline.topics import Feed, TopicKind

from tests.services.ingestion.stage import EXCHANGE, Stage, depth_frame, trade_frame


def ids(stage: Stage) -> list[int]:
    return [record.trade_id for record in stage.outlet.of(TopicKind.TRADES) if isinstance(record, Trade)]


def past(first: int, last: int) -> list[dict[str, object]]:
    """An answer of the exchange's trades by id."""
    return [
        {"id": n, "price": "10.5", "qty": "2", "quoteQty": "21", "time": EXCHANGE, "isBuyerMaker": False}
        for n in range(first, last + 1)
    ]


def test_a_lost_connection_is_replaced_and_what_was_missed_is_fetched_first() -> None:
    stage = Stage()
    stage.start()
    stage.frame(trade_frame(1))
    stage.frame(trade_frame(2))
    stage.lose(1)
    stage.run(0.6)
    assert stage.opened == [1, 2]
    stage.connect()
    stage.frame(trade_frame(6, at=3.0))
    stage.run()
    assert ids(stage) == [1, 2]
    assert dict(stage.answer(past(3, 6), path="/historicalTrades").request.params)["fromId"] == "3"
    assert ids(stage) == [1, 2, 3, 4, 5, 6]
    assert stage.events() == [("disconnect", "connection"), ("reconnect", "connection"), ("backfill", "trades")]
    assert stage.session.shards[0].reconnects == 1


def test_no_heartbeat_while_something_missed_is_being_fetched() -> None:
    stage = Stage()
    stage.start()
    stage.frame(trade_frame(1))
    beats = len(stage.outlet.of(TopicKind.TRADES)) - 1
    stage.lose(1)
    stage.run(0.6)
    stage.connect()
    for second in range(5):
        stage.frame(trade_frame(10 + second, at=10.0 + second))
    assert len(stage.outlet.of(TopicKind.TRADES)) == 1 + beats
    assert stage.session.pending == 1
    stage.run()
    stage.answer(past(2, 14), path="/historicalTrades")
    stage.frame(trade_frame(15, at=20.0))
    assert stage.outlet.of(TopicKind.TRADES)[-1].event_time == (EXCHANGE + 19_500) * 1000
    assert stage.session.pending == 0


def test_the_wait_grows_and_begins_again_after_a_stable_connection() -> None:
    stage = Stage(backoff_initial_ms=1000, backoff_max_ms=8000, stable_after_ms=20_000)
    stage.run()
    waits = []
    for _ in range(7):
        lost_at, count = stage.now, len(stage.opened)
        stage.lose(stage.opened[-1], "connection refused")
        while len(stage.opened) == count:
            stage.run(0.1)
        waits.append(stage.now - lost_at)
    for attempt, wait in enumerate(waits):
        full = min(8.0, 1.0 * 2**attempt)
        assert full / 2 <= wait <= full + 0.2
    stage.connect()
    stage.run(15.0)
    stage.lose(stage.opened[-1])
    lost_at, count = stage.now, len(stage.opened)
    while len(stage.opened) == count:
        stage.run(0.1)
    assert stage.now - lost_at >= 4.0, "15 s are not stable"
    stage.connect()
    while stage.now < lost_at + 60.0:
        stage.run(1.0)
        stage.frame(trade_frame(int(stage.now)))
    stage.lose(stage.opened[-1])
    stage.run(1.2)
    assert stage.opened[-1] != count


@pytest.mark.parametrize(
    "notice", [b'{"e":"serverShutdown","E":1}', b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}']
)
def test_before_a_shutdown_the_next_connection_is_opened_and_nothing_is_lost_or_double(notice: bytes) -> None:
    stage = Stage(feeds=(Feed.TRADES, Feed.BOOK))
    stage.start()
    stage.frame(depth_frame(1, 1))
    stage.run()
    stage.answer({"lastUpdateId": 1, "bids": [["9.0", "1"]], "asks": [["12.0", "1"]]}, path="/depth")
    stage.frame(trade_frame(1))
    stage.frame(depth_frame(2, 2))
    stage.frame(notice)
    stage.frame(notice)
    stage.run()
    assert stage.opened == [1, 2]
    stage.frame(trade_frame(2), 1)
    stage.connect()
    stage.frame(trade_frame(4), 2)
    stage.frame(depth_frame(3, 4), 2)
    stage.frame(trade_frame(3), 1)
    stage.frame(trade_frame(4), 1)
    stage.frame(depth_frame(3, 3), 1)
    stage.frame(depth_frame(4, 4), 1)
    stage.frame(trade_frame(5), 2)
    stage.frame(depth_frame(5, 5), 2)
    assert stage.closed == []
    stage.run(1.2)
    assert stage.closed == [(1, "replaced")]
    assert ids(stage) == [1, 2, 3, 4, 5]
    assert [book.update_id for book in stage.outlet.of(TopicKind.BOOK) if hasattr(book, "update_id")] == [2, 4, 5]
    assert stage.session.connected_links == 1
    assert {kind for kind, _ in stage.events()} == {"synced"}


def test_a_connection_is_replaced_before_its_lifetime_ends() -> None:
    stage = Stage()
    stage.start()
    number = 0
    while len(stage.opened) == 1:
        stage.run(1.0)
        if stage.now % 300 == 0:
            stage.session.shards[0].excuse(stage.now)
        number += 1
        stage.frame(trade_frame(number, at=stage.now), 1)
        assert stage.now < 24 * 3600
    assert stage.now > 0.95 * 24 * 3600
    stage.connect()
    stage.frame(trade_frame(number + 1, at=stage.now))
    stage.run(1.5)
    assert stage.closed == [(1, "replaced")]
    assert ids(stage) == list(range(1, number + 2))
    assert stage.events() == []


def test_when_the_old_one_ends_first_what_was_missed_is_fetched() -> None:
    stage = Stage()
    stage.start()
    stage.frame(trade_frame(1))
    stage.frame(b'{"e":"serverShutdown","E":1}')
    stage.run()
    stage.lose(1, "closed by the exchange: 1001")
    stage.connect()
    stage.frame(trade_frame(3))
    stage.run()
    stage.answer(past(2, 2), path="/historicalTrades")
    assert ids(stage) == [1, 2, 3]


def test_a_silent_stream_is_told_asked_for_again_and_its_return_told() -> None:
    stage = Stage(("BTCUSDT", "ETHUSDT"), stale_after_ms=5000)
    stage.start()

    def chat(seconds: int, *symbols: str) -> None:
        for _ in range(seconds * 10):
            stage.run(0.1)
            for symbol in symbols:
                number = round(stage.now * 10)
                stage.frame(trade_frame(number, at=stage.now, symbol=symbol))

    chat(20, "BTCUSDT", "ETHUSDT")
    chat(8, "BTCUSDT")
    assert stage.events() == [("stale", "trades")]
    event = stage.outlet.of(TopicKind.EVENTS)[0]
    assert event.symbol == "binance:ETHUSDT"
    methods = [(message["method"], message["params"]) for _, _, message in stage.sent[1:]]
    assert methods == [("UNSUBSCRIBE", ["ethusdt@trade"]), ("SUBSCRIBE", ["ethusdt@trade"])]
    for _, _, message in stage.sent[1:]:
        stage.frame(b'{"result":null,"id":%d}' % message["id"])
    assert [stream.name for stream in stage.session.shards[0].stale] == ["ethusdt@trade"]
    chat(2, "BTCUSDT", "ETHUSDT")
    assert ("recovered", "trades") in stage.events()
    assert stage.session.shards[0].stale == []


def test_a_stream_that_was_acknowledged_and_never_speaks_is_told() -> None:
    stage = Stage(("BTCUSDT", "BTCUSD"), stale_after_ms=5000)
    stage.start()
    for second in range(8):
        stage.run(1.0)
        stage.frame(trade_frame(second))
    events = stage.outlet.of(TopicKind.EVENTS)
    assert [(event.kind, event.symbol) for event in events] == [("stale", "binance:BTCUSD")]
    assert "never spoke since it was subscribed" in events[0].detail


def test_streams_are_shared_out_over_connections_and_the_slowest_clock_counts() -> None:
    stage = Stage(("AAAUSDT", "BBBUSDT"), max_streams=1)
    stage.run()
    assert stage.opened == [1, 2]
    for number in (1, 2):
        stage.session.connected(number, stage.now)
        stage.run()
        stage.acknowledge(number)
    stage.frame(trade_frame(1, at=9.0, symbol="AAAUSDT"), 1)
    assert stage.session.synced_through == 0
    stage.frame(trade_frame(1, at=5.0, symbol="BBBUSDT"), 2)
    assert stage.session.synced_through == (EXCHANGE + 4500) * 1000
    stage.lose(2)
    stage.frame(trade_frame(2, at=10.0, symbol="AAAUSDT"), 1)
    assert stage.session.synced_through == (EXCHANGE + 4500) * 1000
    assert stage.session.connected_links == 1
    assert [event.symbol for event in stage.outlet.of(TopicKind.EVENTS)] == ["binance:BBBUSDT"]


def test_attempts_to_connect_stay_within_the_exchanges_limit() -> None:
    stage = Stage(backoff_initial_ms=1, backoff_max_ms=1)
    stage.run()
    times = [0.0]
    while stage.now < 400.0:
        stage.lose(stage.opened[-1], "connection refused")
        count = len(stage.opened)
        stage.run(0.1)
        if len(stage.opened) > count:
            times.append(stage.now)
        elif stage.session.link(stage.opened[-1]) is None:
            stage.run(1.0)
            times += [stage.now] * (len(stage.opened) - count)
    for start in times:
        assert sum(start <= time < start + 299.0 for time in times) <= 300


def test_a_replacement_that_cannot_connect_is_tried_less_and_less_while_the_old_one_is_stable() -> None:
    stage = Stage(backoff_initial_ms=1000, backoff_max_ms=8000, stable_after_ms=2000)
    stage.start()

    def chat(seconds: float) -> None:
        stage.run(seconds)
        stage.frame(trade_frame(int(stage.now * 100), at=stage.now), 1)

    for _ in range(4):
        chat(1.0)
    stage.frame(b'{"e":"serverShutdown","E":1}', 1)
    stage.run()
    waits = []
    for _ in range(6):
        lost_at, count = stage.now, len(stage.opened)
        stage.lose(stage.opened[-1], "connection refused")
        while len(stage.opened) == count:
            chat(0.1)
        waits.append(stage.now - lost_at)
    for attempt, wait in enumerate(waits):
        full = min(8.0, 1.0 * 2**attempt)
        assert full / 2 <= wait <= full + 0.2
    assert stage.session.connected_links == 1
    number = stage.connect()
    for second in range(4):
        stage.run(1.0)
        stage.frame(trade_frame(100_000 + second, at=stage.now), number)
    stage.lose(number)
    count = len(stage.opened)
    stage.run(1.2)
    assert len(stage.opened) > count, "the new one was stable: the first wait again"
