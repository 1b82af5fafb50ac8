"""A book kept from its changes: what is written, and what is written of what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.order_book_builder import LOOKS as BOOK_LOOKS
from marketpipeline.ingestion.order_book_builder import OLDER, PATIENCE, OrderBookBuilder
from marketpipeline.ingestion.snapshots import RETRY_AFTER, UNLISTED_AFTER
from marketpipeline.ingestion.written import LOOK_AGAIN, Written
from marketpipeline.records import Book, Heartbeat
from marketpipeline.venues.adapter import BookRules, SnapshotSource, UnknownSymbol
from marketpipeline.venues.continuity import SPANNING
from marketpipeline.venues.messages import BookChange, FrameError

from tests.services.ingestion.recorders import SYMBOL, RecordingContext, change, no_request, snapshot

RULES = BookRules(SnapshotSource.FETCHED, SPANNING)


@dataclass
class Scenario:
    handler: OrderBookBuilder
    context: RecordingContext
    published: list[Book | Heartbeat]
    now: float = 0.0

    def live(self, *changes: tuple[int, int]) -> None:
        for first, last in changes:
            self.handler.accept(change(first, last))

    def answer(self, last: int) -> None:
        self.context.asked.popleft().done(snapshot(last))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.handler.tick(self.now)

    @property
    def ids(self) -> list[int]:
        return [record.update_id for record in self.published if isinstance(record, Book)]

    def beats(self) -> bool:
        before = len(self.published)
        self.handler.beat(Heartbeat(symbol=SYMBOL, event_time=1, receive_time=1))
        return len(self.published) > before


def scenario(last: int | None = None, *, levels: int = 3, max_held: int = 100) -> Scenario:
    context = RecordingContext()
    published: list[Book | Heartbeat] = []
    had = None
    if last is not None:
        had = Book(symbol=SYMBOL, event_time=last * 1000, receive_time=0, update_id=last, bids=[], asks=[])
    handler = OrderBookBuilder(
        SYMBOL, published.append, context, RULES, no_request, levels=levels, max_held=max_held, last=had
    )
    return Scenario(handler, context, published)


def synced(last: int = 10) -> Scenario:
    """A handler that has written update `last` and is live."""
    b = scenario()
    b.handler.resume()
    b.live((last, last))
    b.answer(last)
    b.live((last + 1, last + 1))
    b.context.events.clear()
    b.published.clear()
    return b


def test_sync_as_the_exchange_documents_it() -> None:
    b = scenario()
    b.handler.resume()
    b.live((5, 8))
    assert len(b.context.asked) == 1, "the snapshot is asked for once a change is held"
    b.live((9, 9), (10, 14), (15, 15))
    b.answer(11)
    assert b.ids == [14, 15], "what ends before the snapshot is dropped, what spans it is the first"
    b.live((16, 20))
    assert b.ids == [14, 15, 20]
    assert b.context.told() == [("synced", 11, None)]
    assert b.handler.complete
    record = b.published[-1]
    assert isinstance(record, Book)
    assert (record.bids, record.asks) == ([(10.0, 20.0)], [(11.0, 1.0)])


def test_a_snapshot_older_than_the_first_change_is_asked_for_again() -> None:
    b = scenario()
    b.handler.resume()
    b.live((5, 8))
    for attempt in range(3):
        b.answer(3)
        assert not b.context.asked
        b.live((9 + attempt, 9 + attempt))
        assert not b.context.asked, "it waits before it asks again"
        b.tick(RETRY_AFTER[attempt])
        assert len(b.context.asked) == 1
    b.answer(9)
    assert b.ids == [10, 11]
    b.live((20, 20))
    b.answer(15)
    b.tick(RETRY_AFTER[0])
    assert len(b.context.asked) == 1, "what fitted in between ended the waits"


def test_a_snapshot_right_before_the_first_change_is_new_enough() -> None:
    """Of two that come swapped the later one comes when the exchange's book ends with the earlier."""
    b = scenario()
    b.handler.resume()
    b.live((5, 8))
    b.answer(4)
    assert b.ids == [8]
    b.live((11, 12))
    b.answer(10)
    b.live((9, 10), (13, 14))
    assert b.ids == [8, 12, 14]


def test_a_quiet_book_is_fetched_without_a_change() -> None:
    b = scenario()
    b.handler.resume()
    b.tick(PATIENCE / 2)
    assert not b.context.asked
    b.tick(PATIENCE / 2)
    b.answer(7)
    assert not b.beats(), "a first change may still follow at once"
    b.tick(PATIENCE)
    assert b.beats()
    assert b.context.told() == [("synced", 7, None)]
    b.live((8, 9))
    assert b.ids == [9]


def test_a_hole_resyncs_and_names_what_is_missing() -> None:
    b = synced(10)
    b.live((12, 13))
    b.live((15, 16))
    assert b.handler.pending
    assert not b.handler.complete
    assert len(b.context.asked) == 1
    b.live((17, 20), (21, 22))
    b.answer(18)
    assert b.ids == [13, 20, 22]
    assert b.context.told() == [("gap", 14, 19), ("resync", 18, None)]
    assert not b.handler.pending


def test_a_hole_while_synchronising_needs_a_newer_snapshot() -> None:
    b = scenario()
    b.handler.resume()
    b.live((5, 8), (20, 21))
    b.answer(8)
    assert b.ids == []
    b.tick(RETRY_AFTER[0])
    b.answer(20)
    assert b.ids == [21]


def test_what_was_had_is_dropped() -> None:
    b = synced(10)
    b.live((12, 13), (12, 13), (11, 12), (14, 14))
    assert b.ids == [13, 14]
    assert b.handler.duplicates == 2
    assert b.context.told() == []


def test_a_reconnect_that_missed_nothing_fetches_nothing() -> None:
    b = synced(10)
    b.handler.interrupt()
    assert not b.beats()
    b.handler.resume()
    assert not b.beats(), "whether something was missed is not known yet"
    b.live((12, 14))
    assert b.ids == [14]
    assert b.beats()
    b.tick(10.0)
    assert not b.context.asked
    assert b.context.told() == []


def test_a_reconnect_that_missed_something() -> None:
    b = synced(10)
    b.handler.interrupt()
    b.handler.resume()
    b.live((20, 21))
    b.answer(20)
    assert b.ids == [21]
    assert b.context.told() == [("gap", 12, 20), ("resync", 20, None)]


def test_a_reconnect_into_silence_asks_whether_something_was_missed() -> None:
    b = synced(10)
    for last, told in ((11, []), (17, [("gap", 12, 17), ("resync", 17, None)])):
        b.handler.interrupt()
        b.handler.resume()
        b.tick(PATIENCE)
        assert not b.beats()
        b.answer(last)
        b.tick(PATIENCE)
        assert b.beats()
        assert b.context.told() == told
        assert not b.handler.pending


def test_a_stream_in_doubt_is_compared_with_a_snapshot() -> None:
    b = synced(10)
    for last, told in ((11, []), (17, [("gap", 12, 17), ("resync", 17, None)])):
        b.handler.doubt()
        assert not b.beats()
        b.tick(0.1)
        b.answer(last)
        b.tick(PATIENCE)
        assert b.beats()
        assert b.context.told() == told


def test_after_a_restart_the_gap_is_exactly_what_was_not_delivered() -> None:
    b = scenario(last=30)
    b.handler.resume()
    b.live((41, 45))
    b.answer(50)
    assert b.handler.pending, "the gap is not written yet"
    b.live((46, 48), (49, 53))
    assert b.ids == [53]
    assert b.context.told() == [("gap", 31, 52), ("resync", 50, None)]


def test_what_is_missed_between_the_first_sync_and_the_first_change_is_named() -> None:
    b = scenario()
    b.handler.resume()
    b.tick(PATIENCE)
    b.answer(10)
    b.tick(PATIENCE)
    assert b.beats()
    b.handler.interrupt()
    b.handler.resume()
    b.live((15, 16))
    b.answer(16)
    b.live((17, 17))
    assert b.context.told() == [("synced", 10, None), ("gap", 11, 16), ("resync", 16, None)]


def test_after_a_restart_without_a_loss_there_is_no_gap() -> None:
    b = scenario(last=30)
    b.handler.resume()
    b.live((31, 35))
    b.answer(31)
    assert b.ids == [35]
    assert b.context.told() == [("resync", 31, None)]


def test_after_a_restart_into_silence_the_gap_is_written_before_a_heartbeat() -> None:
    b = scenario(last=30)
    b.handler.resume()
    b.tick(PATIENCE)
    b.answer(40)
    b.tick(PATIENCE)
    assert b.beats()
    assert b.context.told() == [("gap", 31, 40), ("resync", 40, None)]
    assert {event.event_time for event in b.context.events} == {1}, "the time that the heartbeat promises"
    b.live((41, 44))
    assert b.ids == [44]


def test_a_replay_of_what_the_topic_has_adds_nothing() -> None:
    b = scenario(last=30)
    b.handler.resume()
    b.live((11, 12))
    b.answer(11)
    b.live((13, 20), (21, 30), (31, 33))
    assert b.ids == [33]
    assert b.context.told() == [("resync", 11, None)]


def test_ids_that_begin_again() -> None:
    b = synced(1000)
    b.live((1002, 1002))
    later = 2_000_000_000
    for number in range(OLDER):
        b.handler.accept(change(5 + number, 5 + number, time=later + number))
    b.answer(4 + OLDER)
    b.handler.accept(change(5 + OLDER, 5 + OLDER, time=later + OLDER))
    assert b.ids == [1002, 5 + OLDER]
    assert b.context.told() == [("resync", 4 + OLDER, None)]


def test_two_connections_that_cut_changes_differently_are_no_new_numbering() -> None:
    b = synced(10)
    for last in range(12, 200, 2):
        b.handler.accept(change(last, last + 1, time=last * 1000))
        b.handler.accept(change(last - 1, last, time=last * 1000 + 500))
    assert b.ids == [*range(13, 201, 2)]
    assert b.context.told() == []
    assert not b.context.asked


def test_a_crossing_change_is_an_error_and_resyncs() -> None:
    b = synced(10)
    with pytest.raises(FrameError, match=r"best bid 12.0 is not below best ask 11.0"):
        b.handler.accept(change(12, 12, bid=12.0))
    assert b.handler.pending
    b.live((13, 13))
    b.tick(RETRY_AFTER[1])
    b.answer(13)
    b.live((14, 14))
    assert b.ids == [14]
    assert b.context.told() == [("gap", 12, 13), ("resync", 13, None)]


def test_a_held_change_that_crosses_is_kept_as_a_dead_letter() -> None:
    b = scenario()
    b.handler.resume()
    b.live((5, 8))
    b.handler.accept(change(9, 9, bid=12.0))
    b.answer(8)
    assert [error for _, error in b.context.letters] == ["best bid 12.0 is not below best ask 11.0"]
    assert b.handler.pending


def test_what_is_held_is_bounded_and_the_snapshot_must_be_newer() -> None:
    b = scenario(max_held=3)
    b.handler.resume()
    b.live(*((number, number) for number in range(1, 11)))
    b.answer(3)
    assert b.ids == []
    b.tick(1.0)
    b.answer(8)
    assert b.ids == [9, 10]


def test_a_refused_snapshot_is_asked_for_later() -> None:
    b = scenario()
    b.handler.resume()
    b.live((5, 8))
    b.context.asked.popleft().refused(PermanentError("HTTP 400"))
    b.tick(RETRY_AFTER[-1] / 2)
    assert not b.context.asked
    b.tick(RETRY_AFTER[-1] / 2)
    b.answer(7)
    assert b.ids == [8]


def test_a_symbol_that_is_not_listed_is_asked_for_rarely_and_after_all_others() -> None:
    b = scenario()
    b.handler.resume()
    b.tick(PATIENCE)
    b.context.asked.popleft().refused(UnknownSymbol("-1121"))
    assert b.context.unlisted_symbols == {SYMBOL: "-1121"}
    for _ in range(int(UNLISTED_AFTER) - 1):
        b.tick(1.0)
    assert not b.context.asked
    b.tick(1.0)
    assert b.context.asked[0].patient
    b.answer(7)
    assert b.context.unlisted_symbols == {}
    b.live((8, 8))
    assert b.ids == [8]


def test_a_symbol_that_speaks_again_is_asked_for_without_the_wait() -> None:
    b = scenario()
    b.handler.resume()
    b.tick(PATIENCE)
    b.context.asked.popleft().refused(UnknownSymbol("-1121"))
    b.tick(RETRY_AFTER[-1])
    b.live((5, 8))
    b.answer(7)
    assert b.ids == [8]


steps = st.lists(
    st.sampled_from(["change"] * 3 + ["lose", "double", "cut", "connect", "answer", "stale", "tick", "beat"]),
    max_size=120,
)  # fmt: skip


@settings(max_examples=300)
@given(steps, st.integers(1, 8), st.one_of(st.none(), st.just(0)))
def test_whatever_happens_a_missing_event_is_named_and_no_other(
    steps: list[str], max_held: int, last: int | None
) -> None:
    """A model of an exchange. After the start each of its events is either written or lies in a gap, never both."""
    b = scenario(last=last, max_held=max_held)
    happened: list[BookChange] = []
    position, connected = 0, False

    def happen() -> BookChange:
        nonlocal position
        event = change(position + 1, position + 1 + position % 3)
        position = event.last_id
        happened.append(event)
        return event

    def answer(last_id: int) -> None:
        b.context.asked.popleft().done(snapshot(last_id))

    for step in steps:
        match step:
            case "change" | "lose":
                event = happen()
                if connected and step == "change":
                    b.handler.accept(event)
            case "double" if connected and happened:
                b.handler.accept(happened[-1])
            case "cut" if connected:
                connected = False
                b.handler.interrupt()
            case "connect" if not connected:
                connected = True
                b.handler.resume()
            case "answer" if b.context.asked:
                answer(position)
            case "stale" if b.context.asked and happened:
                answer(happened[-1].first_id - 1)
            case "tick":
                b.tick(0.6)
            case "beat":
                b.beats()
    if not connected:
        b.handler.resume()
    for _ in range(20):
        b.handler.accept(happen())
        b.tick(6.0)
        while b.context.asked:
            answer(position)
        b.tick(6.0)
    assert not b.handler.pending
    assert b.ids == sorted(set(b.ids)), "in order, each once"
    gaps = [(event.first_id or 0, event.last_id or 0) for event in b.context.events if event.kind == "gap"]
    start = 0 if last is not None else min(e.first_id or 0 for e in b.context.events if e.kind == "synced")
    for event in happened:
        if event.last_id > start:
            missing = any(first <= event.last_id <= final for first, final in gaps)
            assert missing != (event.last_id in b.ids), (event.last_id, gaps, b.ids)


def beside_another(*, last: int = 10) -> Scenario:
    """A process that begins where another is at update `last`; it has synchronised at 20, and 21 and 22 have come."""
    b = scenario(last)
    b.context.looks = True
    b.handler.whole_at = 77
    b.handler.resume()
    b.live((20, 20), (21, 21))
    b.answer(20)
    b.live((22, 22))
    return b


def test_beside_another_process_nothing_is_written_before_the_topic_has_reached_the_snapshot() -> None:
    """Else the other, a moment slower, would write older updates behind newer ones."""
    b = beside_another()
    assert [(look.after, look.since) for look in b.context.looked] == [(10, 77)]
    b.context.looked.popleft().done(Written([(4, 18)], others={"other": 1}))
    assert b.ids == []
    assert b.handler.pending
    b.tick(1.0)
    assert not b.beats()
    b.tick(LOOK_AGAIN)
    b.context.looked.popleft().done(Written([(4, 20)], others={"other": 1}))
    assert b.ids == [21, 22]
    assert b.context.told() == [("resync", 20, None)]
    b.live((23, 23))
    assert b.ids == [21, 22, 23]
    assert b.beats()
    book = b.published[0]
    assert isinstance(book, Book)
    assert book.previous_id == 20


@pytest.mark.parametrize("written", [None, Written([(4, 15)])], ids=["not known", "nobody else lives"])
def test_what_nobody_wrote_is_missing(written: Written | None) -> None:
    b = beside_another()
    for _ in range(BOOK_LOOKS if written is None else 1):
        b.context.looked.popleft().done(written)
        b.tick(0.0)
        b.tick(LOOK_AGAIN)
    assert b.ids == [21, 22]
    assert b.context.told() == [("gap", 11, 20), ("resync", 20, None)]


def test_another_that_gets_nowhere_is_not_waited_for_for_ever_nor_at_the_end_of_the_process() -> None:
    b = beside_another()
    for _ in range(BOOK_LOOKS):
        b.context.looked.popleft().done(Written([(4, 15)], others={"other": 1}))
        b.tick(LOOK_AGAIN)
    assert b.ids == [21, 22]
    b = beside_another()
    b.handler.leave()
    assert b.ids == [21, 22]
    b.context.looked.popleft().done(Written([(4, 20)]))
    assert b.ids == [21, 22]


def test_what_waits_is_written_before_the_book_is_lost_again() -> None:
    b = beside_another()
    b.live((30, 30))
    assert b.ids == [21, 22]
    assert ("gap", 11, 20) in b.context.told()


def test_of_two_that_begin_at_once_the_slower_writes_nothing_that_is_older_than_what_is_there() -> None:
    b = scenario()
    b.context.looks = True
    b.handler.resume()
    b.live((20, 20), (21, 21))
    b.answer(20)
    b.live((22, 22), (23, 23))
    b.context.looked.popleft().done(Written([(20, 22)], others={"other": 1}))
    assert b.ids == [23]
    assert b.context.told() == [("synced", 20, None)]
    alone = scenario()
    alone.context.looks = True
    alone.handler.resume()
    alone.live((20, 20), (21, 21))
    alone.answer(20)
    alone.context.looked.popleft().done(Written())
    assert alone.ids == [21]
