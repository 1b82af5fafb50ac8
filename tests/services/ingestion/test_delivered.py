"""What a restart learns from the topics."""

from __future__ import annotations

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.ingestion import delivered as module
from marketpipeline.ingestion.delivered import read_delivered
from marketpipeline.ingestion.handlers import Delivered
from marketpipeline.ingestion.partition import partition_of
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.records import AggTrade, Book, Heartbeat, Trade
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.services.ingestion.processes import PARTITIONS, Processes

KINDS = [TopicKind.TRADES, TopicKind.AGG_TRADES, TopicKind.BOOK]
BUSY, QUIET, NEW = "exchange:BUSYUSDT", "exchange:QUIETUSDT", "exchange:NEWUSDT"


def trade(symbol: str, number: int) -> Trade:
    return Trade(symbol=symbol, event_time=1, trade_time=1, receive_time=1, trade_id=number, price=1.0, quantity=1.0,
                 taker_side="buy")  # fmt: skip


@pytest.fixture
def filled(processes: Processes) -> Processes:
    """A quiet symbol's records lie far behind a busy one's, and heartbeats are last."""
    publisher = KafkaPublisher(KafkaSettings(bootstrap_servers=processes.broker.address), processes.prefix, "test")
    publisher.connect(KINDS)
    book = Book(symbol=QUIET, event_time=1, receive_time=1, update_id=77, bids=[(1.0, 1.0)], asks=[])
    agg = AggTrade(symbol=QUIET, event_time=1, trade_time=1, receive_time=1, agg_trade_id=5, first_trade_id=1,
                   last_trade_id=2, price=1.0, quantity=1.0, taker_side="buy")  # fmt: skip
    publisher.writer(TopicKind.BOOK, QUIET)(book)
    publisher.writer(TopicKind.AGG_TRADES, QUIET)(agg)
    for number in (1, 2, 3):
        publisher.writer(TopicKind.TRADES, QUIET)(trade(QUIET, number))
    for number in range(30_000):
        publisher.writer(TopicKind.TRADES, BUSY)(trade(BUSY, number))
    for symbol in (BUSY, QUIET, NEW):
        for kind in (TopicKind.TRADES, TopicKind.BOOK):
            publisher.writer(kind, symbol)(Heartbeat(symbol=symbol, event_time=1, receive_time=1))
    assert publisher.flush(30) == 0
    return processes


def newest(processes: Processes, symbols: list[str]) -> Delivered:
    """Read them; topics that were made a moment ago may have no leader yet, and then it is tried again."""
    kafka = KafkaSettings(bootstrap_servers=processes.broker.address)

    def attempt() -> Delivered | None:
        try:
            return read_delivered(kafka, processes.prefix, symbols, dict.fromkeys(KINDS, PARTITIONS))
        except RetryableError:
            return None

    found = wait_for(attempt, "the topics to be read")
    assert found is not None
    return found


def test_the_newest_record_of_each_symbol_is_found_however_far_back(filled: Processes) -> None:
    found = newest(filled, [BUSY, QUIET, NEW])
    assert {symbol: record.trade_id for symbol, record in found.trades.items()} == {BUSY: 29_999, QUIET: 3}
    assert {symbol: record.update_id for symbol, record in found.books.items()} == {QUIET: 77}
    assert {symbol: record.agg_trade_id for symbol, record in found.agg_trades.items()} == {QUIET: 5}


def test_how_far_back_is_bounded(filled: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2_000)
    monkeypatch.setattr(module, "partition_of", lambda key, count: _partition(filled))
    monkeypatch.setattr(module, "KINDS", {TopicKind.TRADES: Trade})
    found = read_delivered(
        KafkaSettings(bootstrap_servers=filled.broker.address),
        filled.prefix,
        [BUSY, NEW],
        {TopicKind.TRADES: PARTITIONS},
    )
    assert {symbol: record.trade_id for symbol, record in found.trades.items()} == {BUSY: 29_999}


def test_a_symbol_is_found_in_the_partition_that_it_was_in_before_there_were_more(
    filled: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "partition_of", lambda key, count: (partition_of(key, count) + 1) % count)
    found = newest(filled, [BUSY, QUIET])
    assert found.trades[BUSY].trade_id == 29_999
    assert found.books[QUIET].update_id == 77


def test_empty_topics_tell_nothing(processes: Processes) -> None:
    found = newest(processes, [BUSY])
    assert (found.trades, found.agg_trades, found.books) == ({}, {}, {})


def _partition(processes: Processes) -> int:
    """Where the busy symbol's records are."""
    return next(partition for partition, record in processes.records(TopicKind.TRADES) if record.symbol == BUSY)
