"""What others have written, read back from a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from marketpipeline.ingestion.context import Look
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.topic_reader import TopicReader
from marketpipeline.ingestion.written import Written
from marketpipeline.records import Book, Heartbeat, Record, Trade
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import Feed, TopicKind

from tests.services.ingestion.processes import PARTITIONS, Processes

KINDS = [TopicKind.TRADES, TopicKind.BOOK]
A, B = "exchange:AUSDT", "exchange:BUSDT"


def trade(number: int, symbol: str = A) -> Trade:
    return Trade(symbol=symbol, event_time=1, trade_time=1, receive_time=1, trade_id=number, price=1.0, quantity=1.0,
                 taker_side="buy")  # fmt: skip


def book(previous: int | None, last: int) -> Book:
    return Book(
        symbol=A, event_time=1, receive_time=1, update_id=last, previous_id=previous, bids=[(1.0, 1.0)], asks=[]
    )


def beat(process: str, at: int) -> Heartbeat:
    return Heartbeat(symbol=A, event_time=at, receive_time=at, process=process)


class Topics:
    """Topics that a test writes to, and a reader of them."""

    def __init__(self, processes: Processes) -> None:
        kafka = KafkaSettings(bootstrap_servers=processes.broker.address)
        self.publisher = KafkaPublisher(kafka, processes.prefix, "test")
        self.publisher.connect(KINDS)
        self.reader = TopicReader(kafka, processes.prefix, "this", dict.fromkeys(KINDS, PARTITIONS))

    def write(self, kind: TopicKind, *records: Record) -> None:
        for record in records:
            self.publisher.writer(kind, record.symbol)(record)
        assert self.publisher.flush(30) == 0

    def look(self, feed: Feed, after: int, since: float = 0.0, symbol: str = A) -> Written:
        return self.reader.look([Look(1, symbol, feed, after, int(since * 1e6))])[1]


@pytest.fixture
def topics(processes: Processes) -> Iterator[Topics]:
    made = Topics(processes)
    yield made
    made.reader.close()


def test_trades_books_and_who_else_lives(topics: Topics) -> None:
    topics.write(TopicKind.TRADES, *map(trade, (3, 4, 5, 7)), trade(6, B), beat("other", 70), beat("this", 80))
    topics.write(TopicKind.BOOK, book(10, 12), book(12, 15), book(None, 99), book(20, 22), beat("", 90))
    found = topics.look(Feed.TRADES, after=3)
    assert found.spans == [(2, 5), (6, 7)]
    assert found.reached == trade(5)
    assert found.others == {"other": 70}
    assert topics.look(Feed.TRADES, after=5).reached is None
    books = topics.look(Feed.BOOK, after=11)
    assert (books.spans, books.reached, books.others) == ([(10, 15), (20, 22)], None, {})
    assert topics.look(Feed.TRADES, 0, symbol="exchange:NEW") == Written()


def test_it_reads_what_came_since_and_a_process_that_is_silent_counts_as_gone(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics.write(TopicKind.TRADES, trade(1), beat("other", 70))
    monkeypatch.setattr("marketpipeline.ingestion.topic_reader.EARLIER", 0)
    monkeypatch.setattr("marketpipeline.ingestion.topic_reader.ALIVE", 0)
    time.sleep(0.01)
    since = time.time()
    assert topics.look(Feed.TRADES, 0, since) == Written()
    topics.write(TopicKind.TRADES, trade(2))
    assert topics.look(Feed.TRADES, 0, since).spans == [(1, 2)]
    assert topics.look(Feed.TRADES, 0, 0.0) == Written([(0, 2)], trade(2), {})


def test_how_far_back_is_bounded(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    topics.write(TopicKind.TRADES, *map(trade, range(1, 2_001)))
    monkeypatch.setattr("marketpipeline.ingestion.topic_reader.MOST", 1_500)
    assert topics.look(Feed.TRADES, 0).spans == [(500, 2_000)]
    assert topics.look(Feed.TRADES, 600).reached == trade(2_000)
