"""What is kept of a connection and of REST, whatever it means."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from marketpipeline.ingestion.context import Publish
from marketpipeline.ingestion.raw import RawFrames
from marketpipeline.records import RawFrame, decode, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.simulator.recording.from_topic import TopicSpan, record_topic
from marketpipeline.topics import EXCHANGE_FEEDS, Feed, TopicKind
from marketpipeline.venues.adapter import StreamOptions
from marketpipeline.venues.binance.adapter import ADAPTER
from marketpipeline.venues.messages import FrameError

from tests.conftest import wait_for
from tests.services.ingestion.processes import Processes
from tests.support import captures
from tests.support.broker import RunningBroker

SYMBOL = "binance:BTCUSDT"
QUOTE = b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}}'


class Kept:
    """What was written, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, list[RawFrame]] = defaultdict(list)
        self.frames = RawFrames("binance", "host/7", "http://rest/", self.writer)

    def writer(self, kind: TopicKind, key: str) -> Publish:
        assert kind is TopicKind.RAW
        return lambda record: self.by_key[key].append(self.read(record))

    @staticmethod
    def read(record: Any) -> RawFrame:
        """As it comes back from the topic."""
        found = decode(encode(record))
        assert isinstance(found, RawFrame)
        return found


def test_each_message_is_kept_with_its_stream_and_handed_on() -> None:
    kept = Kept()
    mapper = ADAPTER.mapper(ADAPTER.streams([SYMBOL], EXCHANGE_FEEDS, StreamOptions()))
    tap = kept.frames.tap(3, mapper)
    held: list[bytes] = []

    def take(payload: bytes, receive_time: int) -> None:
        """As a connection that reads what it is given, and what it held before."""
        for one in (*held, payload):
            try:
                tap.map(one, receive_time)
            except FrameError:
                """It has become a dead letter."""

    tap.connect(take)
    payloads = [QUOTE, b'{"result":null,"id":1}', b"\xff\x00 no text", QUOTE.replace(b'"u":1', b'"u":2')]
    for time, payload in enumerate(payloads):
        tap.take(payload, time)
        held.append(payload)
    assert [frame.data for frame in kept.by_key[SYMBOL]] == [payloads[0], payloads[3]]
    assert {frame.stream for frame in kept.by_key[SYMBOL]} == {"btcusdt@bookTicker"}
    others = kept.by_key["binance/host/7"]
    assert [frame.data for frame in others] == payloads[1:3]
    assert [frame.encoding for frame in others] == ["utf-8", "base64"]
    everything = [frame for frames in kept.by_key.values() for frame in frames]
    assert sorted((frame.sequence, frame.receive_time) for frame in everything) == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert {frame.connection for frame in everything} == {"host/7/3"}


def test_of_rest_the_answers_about_a_symbol() -> None:
    kept = Kept()
    kept.frames.answer(ADAPTER.snapshot(SYMBOL), b"{}", 5)
    kept.frames.answer(ADAPTER.trades(SYMBOL, 7, 10), b"[]", 6)
    kept.frames.answer(ADAPTER.server_time(), b"{}", 7)
    snapshot, trades = kept.by_key.pop(SYMBOL)
    assert snapshot.request == "http://rest/api/v3/depth?symbol=BTCUSDT&limit=1000"
    assert trades.request == "http://rest/api/v3/historicalTrades?symbol=BTCUSDT&limit=10&fromId=7"
    assert (snapshot.sequence, trades.sequence) == (1, 2)
    assert not kept.by_key


def test_a_replay_of_what_was_kept_has_the_same_books_and_gaps_also_around_holes(
    processes: Processes, broker: RunningBroker, tmp_path: Path
) -> None:
    """Through the broker: a capture with two holes in its books, read once with the feed `raw`, and once from that."""
    names = [name.rpartition(":")[2] for name in captures.SIMULATED_SYMBOLS]
    first = followed(processes, str(captures.find(captures.SIMULATED)), names, Feed.RAW)
    kept = tmp_path / "kept.gz"
    record_topic(
        KafkaSettings(bootstrap_servers=broker.address),
        processes.prefix,
        TopicSpan(["binance"]),
        kept,
        lambda count: None,
    )
    (tmp_path / "again").mkdir()
    again = Processes(broker, tmp_path / "again")
    try:
        second = followed(again, str(kept), names)
    finally:
        again.close()
    assert sum(len(gaps) for _, gaps in first) >= 2
    for (books, gaps), (wanted, wanted_gaps) in zip(second, first, strict=True):
        begin = max(books[0][0], wanted[0][0])
        assert [book for book in books if book[0] >= begin] == [book for book in wanted if book[0] >= begin]
        assert abs(len(books) - len(wanted)) < 10, "they begin with the snapshot that was asked for, each in its moment"
        assert gaps == wanted_gaps


def followed(processes: Processes, capture: str, names: list[str], *more: Feed) -> list[tuple[list[Any], list[Any]]]:
    """Of each symbol its books and gaps once a capture was replayed."""
    processes.start_exchange("--replay", capture, "--speed", "max")
    processes.start_ingestion(processes.settings(*names, feeds=(Feed.BOOK, Feed.TRADES, *more)))

    def done() -> bool:
        health = processes.health()
        return bool(processes.exchange().get("finished") and not health.get("pending") and not health.get("in_flight"))

    wait_for(done, "the capture is replayed", seconds=120)
    assert processes.stop_ingestion() == 0
    found: list[tuple[list[Any], list[Any]]] = []
    for symbol in (f"binance:{name}" for name in names):
        books = [(book.update_id, book.bids, book.asks) for book in processes.books(symbol)]
        gaps = [(e.feed, e.first_id, e.last_id) for e in processes.events(symbol) if e.kind == "gap"]
        found.append((books, sorted(gaps)))
    return found
