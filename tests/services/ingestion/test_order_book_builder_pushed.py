"""Books whose snapshot the stream pushes: they start without REST, and ask for the stream again when they are lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from marketpipeline.ingestion.order_book_builder import OLDER, OrderBookBuilder
from marketpipeline.ingestion.snapshots import PUSHED_WITHIN
from marketpipeline.records import Book, Heartbeat
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import BookRules, SnapshotSource
from marketpipeline.venues.continuity import GAPLESS, PREVIOUS_SEQUENCE, Continuity, InterleavedCrc32
from marketpipeline.venues.messages import BookChange, BookSnapshot, FrameError

from tests.services.ingestion.recorders import SYMBOL, RecordingContext
from tests.services.venues.pushed_books import read_books


class Scenario:
    def __init__(self, rule: Continuity = PREVIOUS_SEQUENCE, symbol: str = SYMBOL) -> None:
        self.context = RecordingContext()
        self.published: list[Book | Heartbeat] = []
        self.now = 0.0
        self.handler = OrderBookBuilder(
            symbol, self.published.append, self.context, BookRules(SnapshotSource.PUSHED, rule, InterleavedCrc32),
            lambda: None, levels=3, max_held=10,
        )  # fmt: skip

    def push(self, last: int, *, time: int | None = None) -> None:
        time = last * 1000 if time is None else time
        self.handler.accept(BookSnapshot(last, [(10.0, float(last))], [(11.0, 1.0)], True, True, SYMBOL, time, 0))

    def change(self, previous: int, last: int, *, time: int | None = None) -> None:
        time = last * 1000 if time is None else time
        bids = [(10.0, float(last))] if last != previous else []
        self.handler.accept(BookChange(SYMBOL, time, 0, previous + 1, last, bids, [], previous))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.handler.tick(self.now)

    def pending(self) -> bool:
        return self.handler.pending

    @property
    def ids(self) -> list[int]:
        return [record.update_id for record in self.published if isinstance(record, Book)]


def live(last: int = 10) -> Scenario:
    s = Scenario()
    s.handler.resume()
    s.push(last)
    s.change(last, last + 5)
    assert s.ids == [last, last + 5]
    s.context.events.clear()
    s.published.clear()
    return s


def test_a_snapshot_that_is_pushed_starts_the_book_and_is_its_first_record() -> None:
    s = Scenario()
    s.handler.resume()
    s.push(10)
    s.change(10, 17)
    assert s.ids == [10, 17]
    assert s.context.told() == [("synced", 10, None)]
    assert s.handler.complete
    assert not s.context.asked
    assert not s.context.resubscribed


def test_a_snapshot_before_the_last_answer_of_a_subscription_needs_no_second() -> None:
    s = Scenario()
    s.push(10)
    s.handler.resume()
    assert s.handler.complete
    s.tick(PUSHED_WITHIN + 1)
    assert s.context.resubscribed == []


def test_one_that_does_not_come_is_asked_for() -> None:
    s = Scenario()
    s.handler.resume()
    s.tick(PUSHED_WITHIN - 1)
    assert s.context.resubscribed == []
    for times in range(1, 4):
        s.tick(PUSHED_WITHIN)
        assert s.context.resubscribed == [(SYMBOL, Feed.BOOK)] * times
    s.push(10)
    assert s.handler.complete


def test_a_gap_asks_for_the_stream_again_and_names_what_is_missing() -> None:
    s = live(10)
    s.change(20, 25)
    assert s.context.resubscribed == [(SYMBOL, Feed.BOOK)]
    assert s.handler.pending
    s.change(25, 27)
    assert s.context.resubscribed == [(SYMBOL, Feed.BOOK)], "once"
    s.push(40)
    s.change(40, 41)
    assert s.ids == [40, 41]
    assert s.context.told() == [("gap", 16, 39), ("resync", 40, None)]


def test_a_heartbeat_changes_nothing_and_proves_that_nothing_was_missed() -> None:
    s = live(10)
    s.handler.interrupt()
    s.handler.resume()
    assert s.pending()
    s.change(15, 15)
    assert not s.pending()
    assert (s.ids, s.context.told()) == ([], [])


def test_after_a_reset_ids_go_on_from_a_smaller_one() -> None:
    s = live(1000)
    s.change(1005, 3, time=2_000_000)
    s.change(3, 9, time=2_001_000)
    assert s.ids == [3, 9]
    assert (s.context.told(), s.context.resubscribed) == ([], [])


def test_a_connection_that_replaces_another_costs_nothing() -> None:
    """The second one pushes its snapshot while the first still speaks; then its changes come twice."""
    s = live(10)
    s.change(15, 20)
    s.push(20)
    s.change(20, 22)
    s.handler.resume()
    s.change(20, 22)
    s.change(22, 24)
    assert s.ids == [20, 22, 24]
    assert s.handler.duplicates == 1
    assert (s.context.told(), s.context.resubscribed, s.handler.complete) == ([], [], True)


def test_a_second_connection_that_is_ahead_takes_over_with_the_gap_named() -> None:
    s = live(10)
    s.push(40)
    s.change(40, 44)
    assert s.ids == [40, 44]
    assert s.context.told() == [("gap", 16, 39), ("resync", 40, None)]


def test_a_service_that_starts_again_pushes_a_book_with_smaller_ids() -> None:
    s = Scenario(GAPLESS)
    s.handler.resume()
    s.push(1000)
    s.push(1, time=9_000_000)
    s.change(1, 2, time=9_001_000)
    assert s.ids == [1000, 1, 2]
    assert [kind for kind, _, _ in s.context.told()] == ["synced", "resync"]
    assert OLDER > 1


def test_after_a_reconnect_the_snapshot_tells_whether_something_was_missed() -> None:
    for last, told in ((15, []), (30, [("gap", 16, 29), ("resync", 30, None)])):
        s = live(10)
        s.handler.interrupt()
        s.push(last)
        s.handler.resume()
        s.change(last, last + 1)
        assert s.context.told() == told
        assert s.handler.complete


def test_a_capture_with_checksums_gives_a_book_for_every_message(capture: Callable[[str], Path]) -> None:
    scenarios: dict[str, Scenario] = {}
    counts: defaultdict[str, int] = defaultdict(int)
    for _, message in read_books(capture("okx_20220513.gz")):
        if message.symbol not in scenarios:
            scenarios[message.symbol] = Scenario(symbol=message.symbol)
            scenarios[message.symbol].handler.resume()
        scenarios[message.symbol].handler.accept(message)
        counts[message.symbol] += 1
    assert sum(counts.values()) == 290
    for symbol, s in scenarios.items():
        assert len(s.ids) == counts[symbol]
        assert (s.handler.resyncs, s.context.resubscribed) == (0, [])


def test_a_book_that_is_wrong_is_told_by_its_checksum(capture: Callable[[str], Path]) -> None:
    """One level of one update is lost on the way, with its sequence number in order."""
    messages = [message for _, message in read_books(capture("okx_20220513.gz"))]
    symbol = messages[0].symbol
    snapshot, first, *rest = [message for message in messages if message.symbol == symbol]
    assert isinstance(first, BookChange)
    assert first.raw is not None
    s = Scenario(symbol=symbol)
    s.handler.resume()
    s.handler.accept(snapshot)
    with pytest.raises(
        FrameError, match=rf"checksum {first.checksum} of update {first.last_id} is not that of the book"
    ):
        s.handler.accept(msgspec.structs.replace(first, raw=(first.raw[0][1:], first.raw[1])))
    s.tick(1.0)
    assert s.context.resubscribed == [(symbol, Feed.BOOK)]
    dead = next(message for message in rest if isinstance(message, BookChange))
    s.handler.accept(msgspec.structs.replace(snapshot, last_id=dead.previous_id))
    assert not s.handler.pending, "the snapshot's own checksum matches"
    s.handler.accept(msgspec.structs.replace(dead, checksum=0))
    assert s.ids[-1] == dead.last_id, "a checksum of 0 is none"
