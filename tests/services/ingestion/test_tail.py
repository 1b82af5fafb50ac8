"""What a restart learns from the topics."""

from __future__ import annotations

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.ingestion import tail
from marketpipeline.ingestion.lanes import Memory
from marketpipeline.ingestion.partition import partition_of
from marketpipeline.ingestion.producer import KafkaOutlet
from marketpipeline.ingestion.tail import read_memory
from marketpipeline.records import AggTrade, Book, Heartbeat, Trade
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.services.ingestion.platform import PARTITIONS, Platform

KINDS = [TopicKind.TRADES, TopicKind.AGG_TRADES, TopicKind.BOOK]
BUSY, QUIET, NEW = "exchange:BUSYUSDT", "exchange:QUIETUSDT", "exchange:NEWUSDT"


def trade(symbol: str, number: int) -> Trade:
    return Trade(symbol=symbol, event_time=1, trade_time=1, receive_time=1, trade_id=number, price=1.0, quantity=1.0,
                 taker_side="buy")  # fmt: skip


@pytest.fixture
def filled(platform: Platform) -> Platform:
    """A quiet symbol's records lie far behind a busy one's, and heartbeats are last."""
    outlet = KafkaOutlet(KafkaSettings(bootstrap_servers=platform.broker.address), platform.prefix, "test")
    outlet.connect(KINDS)
    book = Book(symbol=QUIET, event_time=1, receive_time=1, update_id=77, bids=[(1.0, 1.0)], asks=[])
    agg = AggTrade(symbol=QUIET, event_time=1, trade_time=1, receive_time=1, agg_trade_id=5, first_trade_id=1,
                   last_trade_id=2, price=1.0, quantity=1.0, taker_side="buy")  # fmt: skip
    outlet.lane(TopicKind.BOOK, QUIET)(book)
    outlet.lane(TopicKind.AGG_TRADES, QUIET)(agg)
    for number in (1, 2, 3):
        outlet.lane(TopicKind.TRADES, QUIET)(trade(QUIET, number))
    for number in range(30_000):
        outlet.lane(TopicKind.TRADES, BUSY)(trade(BUSY, number))
    for symbol in (BUSY, QUIET, NEW):
        for kind in (TopicKind.TRADES, TopicKind.BOOK):
            outlet.lane(kind, symbol)(Heartbeat(symbol=symbol, event_time=1, receive_time=1))
    assert outlet.flush(30) == 0
    return platform


def memory(platform: Platform, symbols: list[str]) -> Memory:
    """Read them; topics that were made a moment ago may have no leader yet, and then it is tried again."""
    kafka = KafkaSettings(bootstrap_servers=platform.broker.address)

    def attempt() -> Memory | None:
        try:
            return read_memory(kafka, platform.prefix, symbols, dict.fromkeys(KINDS, PARTITIONS))
        except RetryableError:
            return None

    found = wait_for(attempt, "the topics to be read")
    assert found is not None
    return found


def test_the_newest_record_of_each_symbol_is_found_however_far_back(filled: Platform) -> None:
    found = memory(filled, [BUSY, QUIET, NEW])
    assert {symbol: record.trade_id for symbol, record in found.trades.items()} == {BUSY: 29_999, QUIET: 3}
    assert {symbol: record.update_id for symbol, record in found.books.items()} == {QUIET: 77}
    assert {symbol: record.agg_trade_id for symbol, record in found.agg_trades.items()} == {QUIET: 5}


def test_how_far_back_is_bounded(filled: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST", 2_000)
    monkeypatch.setattr(tail, "partition_of", lambda key, count: _partition(filled))
    monkeypatch.setattr(tail, "KINDS", {TopicKind.TRADES: Trade})
    found = read_memory(
        KafkaSettings(bootstrap_servers=filled.broker.address),
        filled.prefix,
        [BUSY, NEW],
        {TopicKind.TRADES: PARTITIONS},
    )
    assert {symbol: record.trade_id for symbol, record in found.trades.items()} == {BUSY: 29_999}


def test_a_symbol_is_found_in_the_partition_that_it_was_in_before_there_were_more(
    filled: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "partition_of", lambda key, count: (partition_of(key, count) + 1) % count)
    found = memory(filled, [BUSY, QUIET])
    assert found.trades[BUSY].trade_id == 29_999
    assert found.books[QUIET].update_id == 77


def test_empty_topics_tell_nothing(platform: Platform) -> None:
    found = memory(platform, [BUSY])
    assert (found.trades, found.agg_trades, found.books) == ({}, {}, {})


def _partition(platform: Platform) -> int:
    """Where the busy symbol's records are."""
    return next(partition for partition, record in platform.records(TopicKind.TRADES) if record.symbol == BUSY)
