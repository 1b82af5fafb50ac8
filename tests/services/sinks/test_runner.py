"""The loop of every sink, against a real broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from marketpipeline.records import encode
from marketpipeline.sinks.base import Backpressure, Delivery, RowsRejected, Sink
from marketpipeline.sinks.memory import MemorySink
from marketpipeline.store import TABLES, TIMESCALE_TOPICS
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.services.sinks.running import RunningSink, Stubborn
from tests.services.sinks.samples import (
    BTC,
    ETH,
    book,
    candle,
    deliver,
    every_kind,
    feed_event,
    heartbeat,
    quote,
    trade,
)
from tests.services.sinks.stores import PostgresStore
from tests.services.sinks.topics import Topics
from tests.support.broker import RunningBroker
from tests.support.postgres import RunningPostgres


@pytest.fixture
def topics(broker: RunningBroker) -> Topics:
    return Topics(broker)


def trade_ids(sink: MemorySink) -> list[int]:
    rows: list = sink.rows("trades")  # type: ignore[type-arg]
    return sorted(row.trade_id for row in rows)


def test_everything_is_stored_and_committed_to_the_end(topics: Topics) -> None:
    sink = MemorySink()
    topics.put(*every_kind(BTC), *every_kind(ETH), heartbeat(), heartbeat(1))
    with RunningSink(sink, topics) as running:
        running.drained()
        assert {name: len(sink.rows(name)) for name in ("trades", "book_metrics", "alerts", "feed_events")} == {
            "trades": 2,
            "book_metrics": 2,
            "alerts": 2,
            "feed_events": 2,
        }
        topics.put(*(book(number) for number in range(2, 2_000)))
        running.drained()
        assert len(sink.rows("book_metrics")) == 2_000
        assert running.metrics.skipped == 2
        assert running.metrics.rows["book_metrics"] == 2_000
    assert running.left_nothing


def test_a_topic_that_appears_later_is_read(broker: RunningBroker) -> None:
    topics = Topics(broker, kinds=TIMESCALE_TOPICS - {TopicKind.CANDLES})
    sink = MemorySink()
    with RunningSink(sink, topics) as running:
        wait_for(lambda: running.runner.source.assigned, "the runner has partitions")
        topics.create(TopicKind.CANDLES)
        topics.put(candle())
        running.drained()
    assert len(sink.rows("candles")) == 1


def test_rows_that_come_while_dead_letters_wait_are_written_before_their_offsets_are_stored(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new partition brings rows while the flow is held; here it is not held at all, so that some surely come."""
    sink = MemorySink()
    gate, refused = threading.Event(), threading.Event()
    running = RunningSink(sink, topics)
    settle = running.runner._dead_letters.settle

    def settle_behind_gate() -> None:
        if not gate.is_set():
            refused.set()
            raise Backpressure("the broker does not take dead letters")
        settle()

    monkeypatch.setattr(running.runner._dead_letters, "settle", settle_behind_gate)
    monkeypatch.setattr(running.runner.source, "hold", lambda: None)
    topics.put(trade(1))
    topics.put_raw(TopicKind.TRADES, BTC.encode(), b"{not json")
    with running:
        assert refused.wait(30)
        topics.put(trade(2), candle())
        wait_for(lambda: sum(running.runner._batch.offsets.values()) >= 4, "the rows are read")
        gate.set()
        running.drained()
        topics.dead_letters(1)
    assert trade_ids(sink) == [1_001, 1_002]
    assert len(sink.rows("candles")) == 1


def test_tombstones_are_passed_over(topics: Topics) -> None:
    sink = MemorySink()
    topics.put_raw(TopicKind.CANDLES, BTC.encode(), None)
    topics.put(candle())
    with RunningSink(sink, topics) as running:
        running.drained()
    assert len(sink.rows("candles")) == 1
    assert running.metrics.dead_letters == 0


def test_nothing_is_committed_before_the_store_said_yes(topics: Topics) -> None:
    inner = MemorySink()
    sink = Stubborn(inner)
    topics.put(trade(1), trade(2))
    with RunningSink(sink, topics) as running:
        assert sink.refused.wait(30)
        wait_for(lambda: running.metrics.retries > 3, "several attempts")
        assert running.metrics.health().status == "starting" or running.metrics.away_since is not None
        assert not [offset for offset in topics.committed(running.group).values() if offset > 0]
        assert trade_ids(inner) == []
        sink.open_gate()
        running.drained()
    assert trade_ids(inner) == [1_001, 1_002]


def test_while_the_store_is_away_the_member_stays_in_the_group_and_reads_no_further(topics: Topics) -> None:
    inner = MemorySink()
    sink = Stubborn(inner)
    with RunningSink(sink, topics, batch_rows=100) as running:
        wait_for(lambda: running.runner.source.assigned, "the runner has partitions")
        members = topics.members(running.group)
        topics.put(*(trade(number) for number in range(5_000)))
        assert sink.refused.wait(30)
        wait_for(lambda: running.metrics.retries > 10, "ten attempts")
        assert running.metrics.health().status == "degraded"
        assert "not now" in str(running.metrics.health().details["error"])
        assert len(running.runner._batch.rows) <= 200
        assert topics.members(running.group) == members
        sink.open_gate()
        running.drained()
        assert running.metrics.health().status == "ok"
    assert trade_ids(inner) == [1_000 + number for number in range(5_000)]


class RefusedOnce(Stubborn):
    """Its store is away at the first attempt; before the second one something happens."""

    def __init__(self, inner: Sink, then: Callable[[], None]) -> None:
        super().__init__(inner)
        self._then = then
        self.open_gate()

    def write(self, deliveries: Sequence[Delivery]) -> None:
        if not self.refused.is_set():
            self.refused.set()
            self._then()
            raise Backpressure("not now")
        super().write(deliveries)


def test_a_sink_whose_rows_went_to_another_member_is_not_degraded(topics: Topics) -> None:
    def rebalance() -> None:
        running.runner._batch.lose(set(running.runner.source.assigned))

    topics.put(trade(1))
    sink = RefusedOnce(MemorySink(), rebalance)
    with RunningSink(sink, topics) as running:
        assert sink.refused.wait(30)
        wait_for(lambda: running.metrics.health().status == "ok", "it is well without a row to store")
        assert running.metrics.batches == 0


def test_a_sink_that_had_nothing_but_dead_letters_is_not_degraded(topics: Topics) -> None:
    class Picky(MemorySink):
        def write(self, deliveries: Sequence[Delivery]) -> None:
            raise RowsRejected("not this one")

    topics.put(trade(1))
    with RunningSink(RefusedOnce(Picky(), lambda: None), topics) as running:
        topics.dead_letters(1)
        wait_for(lambda: running.metrics.health().status == "ok", "it is well with nothing stored")
        assert (running.metrics.batches, running.metrics.dead_letters) == (0, 1)


def test_a_stop_stores_what_was_read(topics: Topics) -> None:
    sink = MemorySink()
    running = RunningSink(sink, topics, flush_interval_ms=60_000, batch_rows=10_000)
    with running:
        topics.put(*(trade(number) for number in range(50)))
        wait_for(lambda: len(running.runner._batch.rows) == 50, "the trades are read")
        assert trade_ids(sink) == []
    assert running.left_nothing
    assert len(trade_ids(sink)) == 50
    topics.wait_until_drained(running.group, [TopicKind.TRADES])


def test_a_stop_while_the_store_is_away_gives_up_in_time_and_the_next_process_goes_on(topics: Topics) -> None:
    inner = MemorySink()
    stubborn = Stubborn(inner)
    topics.put(trade(1))
    with RunningSink(stubborn, topics, drain_timeout_ms=300) as running:
        assert stubborn.refused.wait(30)
    assert running.left_nothing is False
    with RunningSink(inner, topics) as second:
        second.drained()
    assert trade_ids(inner) == [1_001]


def test_a_second_process_begins_where_the_first_one_ended(topics: Topics) -> None:
    first, second = MemorySink(), MemorySink()
    topics.put(trade(1))
    with RunningSink(first, topics) as running:
        running.drained()
    topics.put(trade(2))
    with RunningSink(second, topics) as running:
        running.drained()
    assert (trade_ids(first), trade_ids(second)) == ([1_001], [1_002])


def test_a_clock_that_jumps_loses_and_delays_nothing(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    with RunningSink(sink, topics, flush_interval_ms=50) as running:
        for number, jump in enumerate((0, 86_400, -7 * 86_400)):
            now = time.time()
            monkeypatch.setattr("time.time", lambda at=now + jump: at)
            monkeypatch.setattr("time.time_ns", lambda at=now + jump: int(at * 1e9))
            topics.put(trade(number))
            wait_for(lambda wanted=number + 1: len(trade_ids(sink)) == wanted, "the trade is stored")  # type: ignore[misc]
            monkeypatch.undo()
        running.drained()
    assert trade_ids(sink) == [1_000, 1_001, 1_002]


def test_two_members_share_the_partitions(topics: Topics) -> None:
    sinks = [MemorySink(), MemorySink()]
    symbols = [f"binance:COIN{number}" for number in range(40)]
    with RunningSink(sinks[0], topics) as first:
        topics.put(*(record for symbol in symbols[:20] for record in every_kind(symbol)))
        with RunningSink(sinks[1], topics) as second:
            wait_for(lambda: second.runner.source.assigned, "the second one has partitions", seconds=60)
            assert not first.runner.source.assigned & second.runner.source.assigned
            topics.put(*(record for symbol in symbols[20:] for record in every_kind(symbol)))
            first.drained()
            assert second.metrics.batches > 0
        first.drained()
    for table in TABLES:
        assert {row.symbol for sink in sinks for row in sink.rows(table.name)} == set(symbols)


def test_the_broker_may_be_killed(broker: RunningBroker, topics: Topics) -> None:
    sink = MemorySink()
    with RunningSink(sink, topics) as running:
        topics.put(trade(1))
        running.drained()
        broker.kill()
        broker.start()
        topics.put(trade(2), trade(3))
        running.drained()
    assert trade_ids(sink) == [1_001, 1_002, 1_003]


def test_messages_that_are_no_records_become_dead_letters(topics: Topics) -> None:
    sink = MemorySink()
    wrong_version = json.loads(encode(trade(2))) | {"v": 2}
    topics.put_raw(TopicKind.TRADES, BTC.encode(), b"{not json")
    topics.put_raw(TopicKind.TRADES, BTC.encode(), b"\xff\xfe\x00")
    topics.put_raw(TopicKind.TRADES, BTC.encode(), json.dumps(wrong_version).encode())
    topics.put_raw(TopicKind.TRADES, BTC.encode(), encode(quote()))
    topics.put_raw(TopicKind.TRADES, BTC.encode(), encode(trade(3)).replace(b'"price":', b'"cost":'))
    topics.put(trade(1), trade(4, trade_time=2**62))
    with RunningSink(sink, topics) as running:
        running.drained()
        letters = topics.dead_letters(6)
    assert trade_ids(sink) == [1_001]
    assert running.metrics.dead_letters == len(letters) == 6
    bodies = [json.loads(letter.value() or b"") for letter in letters]
    assert [body["symbol"] for body in bodies] == [BTC] * 6
    assert (bodies[0]["payload"], bodies[0]["encoding"]) == ("{not json", "utf-8")
    assert (bodies[1]["payload"], bodies[1]["encoding"]) == ("//4A", "base64")
    assert "`v` 1, got 2" in bodies[2]["error"]
    assert "type quote does not belong in" in bodies[3]["error"]
    assert "missing required field `price`" in bodies[4]["error"]
    assert "trade_time: 4611686018427387904 is not a time" in bodies[5]["error"]
    headers = topics.headers(letters[0])
    assert headers["__connect.errors.topic"] == topics.name(TopicKind.TRADES)
    assert headers["__connect.errors.offset"] == "0"
    assert headers["__connect.errors.connector.name"] == "memory"
    assert headers["__connect.errors.stage"] == "VALUE_CONVERTER"
    assert headers["__connect.errors.exception.class.name"].endswith("Undecodable")
    assert bodies[0]["source"] == f"{topics.name(TopicKind.TRADES)}[{headers['__connect.errors.partition']}]@0"


def test_rows_that_the_store_refuses_become_dead_letters_and_the_others_are_stored(
    topics: Topics, postgres: RunningPostgres, database: str
) -> None:
    store = PostgresStore(postgres, database)
    good = [trade(number) for number in range(200)]
    bad = [trade(900, trade_id=2**63), feed_event(first_id=2**70), book(5, update_id=2**70)]
    topics.put(*good[:70], bad[0], *good[70:71], bad[1], *good[71:], bad[2], book(6), feed_event(1))
    with RunningSink(store.sink(), topics) as running:
        running.drained()
        letters = topics.dead_letters(3)
    assert store.query("SELECT count(*) FROM trades") == [(200,)]
    assert store.query("SELECT update_id FROM book_metrics") == [(7_006,)]
    assert store.query("SELECT first_id FROM feed_events") == [(10,)]
    assert {topics.headers(letter)["__connect.errors.stage"] for letter in letters} == {"TASK_PUT"}
    assert sorted(json.loads(letter.value() or b"")["payload"] for letter in letters) == sorted(
        delivery.payload.decode() for delivery in deliver(*bad)
    )


def test_the_database_may_be_killed(topics: Topics, postgres: RunningPostgres, database: str) -> None:
    store = PostgresStore(postgres, database)
    with RunningSink(store.sink(), topics) as running:
        topics.put(*(trade(number) for number in range(1_000)))
        wait_for(lambda: running.metrics.rows["trade"] > 0, "the first rows are stored")
        postgres.kill()
        try:
            topics.put(*(trade(number) for number in range(1_000, 3_000)))
            wait_for(lambda: running.metrics.away_since is not None, "the runner notices")
        finally:
            postgres.start()
        running.drained()
    assert store.query("SELECT count(*), count(DISTINCT trade_id), max(trade_id) FROM trades") == [
        (3_000, 3_000, 3_999)
    ]
