"""Trades in order, each once, whatever is lost, late or double."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.trades import (
    LOOKS,
    OLDER,
    RETRIES,
    TradeBounds,
    TradeHandler,
    trade_id,
)
from marketpipeline.ingestion.written import Written
from marketpipeline.records import Heartbeat, Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import Page, UnknownSymbol
from marketpipeline.venues.messages import BadRow

from tests.services.ingestion.recorders import SYMBOL, RecordingContext, no_request, trade


@dataclass
class Scenario:
    """A handler, its context, and what it published. `history` is what the exchange's REST would give."""

    handler: TradeHandler[Trade]
    context: RecordingContext
    published: list[Trade | Heartbeat]

    def live(self, *numbers: int) -> None:
        for number in numbers:
            self.handler.accept(trade(number))

    def answer(self, *numbers: int, since: int = 0) -> None:
        """Answer the oldest request with these trades; `since` is the time at which new numbers begin."""
        rows = [trade(number, backfilled=True, time=since + number if since else None) for number in numbers]
        self.context.asked.popleft().done(Page(rows, []))

    def params(self) -> dict[str, str]:
        return dict(self.context.asked[0].request.params)

    @property
    def ids(self) -> list[int]:
        return [record.trade_id for record in self.published if isinstance(record, Trade)]

    @property
    def backfilled(self) -> list[int]:
        return [record.trade_id for record in self.published if isinstance(record, Trade) and record.backfilled]

    def pending(self) -> bool:
        return self.handler.pending

    def deaf(self) -> bool:
        return self.handler.deaf

    def beats(self) -> bool:
        before = len(self.published)
        self.handler.beat(Heartbeat(symbol=SYMBOL, event_time=1, receive_time=1))
        return len(self.published) > before


def scenario(
    last: int | None = None, *, page: int = 5, max_backfill: int = 100, max_held: int = 50, past: bool = True
) -> Scenario:
    context = RecordingContext()
    published: list[Trade | Heartbeat] = []
    handler: TradeHandler[Trade] = TradeHandler(
        SYMBOL, Feed.TRADES, published.append, context, trade_id, no_request if past else lambda *_: None, page=page,
        bounds=TradeBounds(max_backfill, max_held), last=None if last is None else trade(last),
    )  # fmt: skip
    return Scenario(handler, context, published)


def test_without_a_past_it_begins_with_the_first() -> None:
    b = scenario()
    b.handler.resume()
    assert b.beats()
    b.live(7, 8, 8, 7, 9)
    assert b.ids == [7, 8, 9]
    assert (b.handler.duplicates, b.handler.last_id, b.context.asked) == (2, 9, b.context.asked)
    assert not b.context.asked


def test_after_a_restart_what_was_missed_comes_first_in_order_and_marked() -> None:
    b = scenario(last=10)
    b.handler.resume()
    assert b.pending()
    assert not b.beats()
    b.live(14, 15)
    assert b.ids == []
    assert b.params() == {"first": "11", "limit": "5"}
    b.answer(11, 12, 13, 14)
    assert b.ids == [11, 12, 13, 14, 15]
    assert b.backfilled == [11, 12, 13], "14 came live too: that one tells more"
    assert b.context.told() == [("backfill", 11, 13)]
    assert not b.pending()
    assert b.beats()


def test_a_quiet_market_is_asked_too_and_then_complete() -> None:
    b = scenario(last=10)
    b.handler.resume()
    assert not b.beats()
    b.answer()
    assert b.beats()
    assert b.context.told() == []


def test_a_live_trade_that_continues_ends_the_backfill() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.live(11)
    assert not b.pending()
    b.answer(11)
    b.live(12)
    assert b.ids == [11, 12]
    assert b.backfilled == []


def test_pages_follow_each_other() -> None:
    b = scenario(last=0)
    b.handler.resume()
    b.live(13)
    b.answer(1, 2, 3, 4, 5)
    assert b.params() == {"first": "6", "limit": "5"}
    b.answer(6, 7, 8, 9, 10)
    b.live(14)
    b.answer(11, 12)
    assert b.ids == list(range(1, 15))
    assert b.context.told() == [("backfill", 1, 12)]


def test_a_hole_in_the_stream_is_backfilled_without_a_reconnect() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1, 2, 5, 6)
    assert b.ids == [1, 2]
    b.answer(3, 4, 5, 6, 7)
    assert b.ids == [1, 2, 3, 4, 5, 6, 7]


def test_a_second_connection_that_is_ahead_waits_for_the_first() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1, 3, 2, 4)
    assert b.ids == [1, 2, 3, 4]
    assert not b.pending()
    b.answer(2, 3)
    assert b.ids == [1, 2, 3, 4]
    assert b.backfilled == []


def test_what_was_asked_before_the_subscription_proves_nothing() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.handler.interrupt()
    b.handler.resume()
    b.answer(11)
    assert b.pending(), "12 may have happened between the answer and the second subscription"
    assert b.params()["first"] == "12"
    b.answer()
    assert not b.pending()


def test_rest_that_lags_is_asked_again_then_the_hole_is_a_gap() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.live(13)
    now = 0.0
    for _ in range(RETRIES):
        b.answer(11) if b.ids == [] else b.answer()
        assert not b.context.asked
        b.handler.tick(now)
        b.handler.tick(now + 1)
        now += 1
        assert len(b.context.asked) == 1
    b.answer()
    assert b.ids == [11, 13]
    assert b.context.told() == [("gap", 12, 12), ("backfill", 11, 11)]


def test_rest_that_catches_up_leaves_no_gap() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.live(13)
    b.answer(11)
    b.handler.tick(1.0)
    b.handler.tick(2.0)
    b.answer(12, 13)
    assert b.ids == [11, 12, 13]
    assert b.context.told() == [("backfill", 11, 12)]


def test_more_than_may_be_backfilled_is_a_gap_and_the_newest_are_fetched() -> None:
    b = scenario(last=0, max_backfill=8)
    b.handler.resume()
    b.live(21)
    b.answer(1, 2, 3, 4, 5)
    assert b.params() == {"first": "18", "limit": "3"}
    b.answer(18, 19, 20)
    assert b.ids == [1, 2, 3, 4, 5, 18, 19, 20, 21]
    assert b.context.told() == [("gap", 6, 17), ("backfill", 1, 20)]


def test_in_a_quiet_market_the_newest_id_tells_how_much_is_too_much() -> None:
    b = scenario(last=0, max_backfill=8)
    b.handler.resume()
    b.answer(1, 2, 3, 4, 5)
    assert b.params() == {"first": "None", "limit": "1"}
    b.answer(20)
    assert b.params() == {"first": "18", "limit": "3"}
    b.answer(18, 19, 20)
    assert not b.pending()
    assert b.context.told() == [("gap", 6, 17), ("backfill", 1, 20)]


def test_nothing_may_be_backfilled() -> None:
    b = scenario(last=10, max_backfill=0)
    b.handler.resume()
    assert b.params()["first"] == "None"
    b.answer(15)
    b.live(16)
    assert b.ids == [16]
    assert b.context.told() == [("gap", 11, 15)]


def test_ids_that_the_exchange_has_not_are_a_gap() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.answer(13, 14)
    assert b.ids == [13, 14]
    assert b.context.told() == [("gap", 11, 12), ("backfill", 13, 14)]


def test_a_refusal_for_good_is_a_gap_up_to_the_next_live_one() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.context.asked.popleft().refused(PermanentError("HTTP 400"))
    assert not b.pending()
    b.live(15, 16)
    assert b.ids == [15, 16]
    assert b.context.told() == [("gap", 11, 14)]
    assert b.context.events[0].detail == "HTTP 400"


def test_a_refusal_is_over_when_the_stream_continues() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.context.asked.popleft().refused(PermanentError("HTTP 400"))
    b.live(11, 12, 15)
    assert b.ids == [11, 12]
    assert b.params()["first"] == "13", "a later hole is asked for"
    b.answer(13, 14, 15)
    assert b.ids == [11, 12, 13, 14, 15]
    assert b.context.told() == [("backfill", 13, 14)]


def test_a_refusal_of_the_old_numbers_says_nothing_of_the_new() -> None:
    b = scenario(last=1000)
    b.handler.resume()
    b.context.asked.popleft().refused(PermanentError("HTTP 400"))
    for number in range(5, 5 + OLDER):
        b.handler.accept(trade(number + (number == 4 + OLDER), time=2_000_000_000 + number))
    assert b.context.told() == [("resync", 5, None)]
    assert b.params()["first"] == str(4 + OLDER)


def test_a_refusal_with_live_ones_held_lets_them_go() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.live(13, 14, 17)
    b.context.asked.popleft().refused(PermanentError("HTTP 400"))
    assert b.ids == [13, 14, 17]
    assert b.context.told() == [("gap", 11, 12), ("gap", 15, 16)]


def test_what_is_more_than_may_be_held_is_fetched() -> None:
    b = scenario(last=0, max_held=2)
    b.handler.resume()
    b.live(4, 5, 6, 7)
    b.answer(1, 2, 3)
    assert b.ids == [1, 2, 3, 4, 5]
    assert not b.beats(), "6 and 7 were dropped"
    b.answer(6, 7)
    b.live(8)
    assert b.ids == list(range(1, 9))
    assert b.context.told() == [("backfill", 1, 7)]


def test_what_was_dropped_after_the_newest_was_asked_for_is_fetched_too() -> None:
    b = scenario(last=0, page=1, max_held=1)
    b.handler.resume()
    b.answer(1)
    b.answer(3)
    b.live(3, 4)
    b.answer(2)
    assert b.pending(), "4 was dropped"
    assert b.params()["first"] == "None"
    b.answer(4)
    b.answer(4)
    assert b.ids == [1, 2, 3, 4]
    assert not b.pending()


def test_ids_that_begin_again_are_told() -> None:
    b = scenario(last=1000)
    b.handler.resume()
    b.answer()
    for number in range(5, 5 + OLDER):
        assert b.ids == []
        b.handler.accept(trade(number, time=2_000_000_000 + number))
        b.handler.accept(trade(number, time=2_000_000_000 + number))
    b.handler.accept(trade(5 + OLDER, time=2_001_000_000))
    assert b.ids == [*range(5, 6 + OLDER)], "those that told it are not lost"
    assert b.context.told() == [("resync", 5, None)]
    assert b.handler.duplicates == OLDER


def test_new_numbers_with_a_hole_are_backfilled_by_their_new_ids() -> None:
    b = scenario(last=1000)
    b.handler.resume()
    b.answer()
    for number in [5, 6, *range(9, 7 + OLDER)]:
        b.handler.accept(trade(number, time=2_000_000_000 + number))
    assert b.ids == [5, 6]
    assert b.params()["first"] == "7"
    b.answer(7, 8, 9, 10, since=2_000_000_000)
    assert b.ids == [*range(5, 7 + OLDER)]
    assert b.context.told() == [("resync", 5, None), ("backfill", 7, 8)]


def test_single_older_ids_at_later_times_change_nothing() -> None:
    b = scenario()
    b.handler.resume()
    b.live(100)
    for number in range(101, 101 + 2 * OLDER):
        b.handler.accept(trade(number - 5, time=(number - 1) * 1_000_000 + 500))
        b.live(number)
    b.live(50)
    assert b.ids == [*range(100, 101 + 2 * OLDER)]
    assert b.context.told() == []
    assert not b.pending()
    b.handler.accept(trade(1, time=2_000_000_000))
    assert b.handler.duplicates == 2 * OLDER + 1, "the last one may still be the first of new numbers"


def test_an_odd_id_before_new_numbers_is_not_among_them() -> None:
    b = scenario(last=1000)
    b.handler.resume()
    b.answer()
    b.handler.accept(trade(900, time=1_999_000_000))
    for number in range(1, 1 + OLDER):
        b.handler.accept(trade(number, time=2_000_000_000 + number))
    assert b.ids == [*range(1, 1 + OLDER)]
    assert not b.pending()


def test_a_replay_of_what_the_topic_has_adds_nothing() -> None:
    b = scenario(last=1000)
    b.handler.resume()
    b.answer()
    b.live(*range(990, 1001))
    b.live(1001)
    assert b.ids == [1001]
    assert b.context.told() == []


def test_a_stream_in_doubt_that_missed_nothing() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1)
    b.handler.doubt()
    assert not b.beats()
    b.answer()
    assert b.beats()
    assert not b.deaf()


def test_a_deaf_stream_is_backfilled_and_promises_nothing_until_it_speaks() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1)
    b.handler.doubt()
    b.answer(2, 3)
    assert b.ids == [1, 2, 3]
    assert b.deaf()
    assert not b.beats(), "4 may have happened"
    b.live(4)
    assert not b.deaf()
    assert b.beats()


def test_one_that_cannot_be_used_is_a_gap_of_one_without_asking() -> None:
    b = scenario()
    b.handler.resume()
    b.live(3)
    b.handler.skip(4)
    b.live(5, 6)
    assert b.ids == [3, 5, 6]
    assert b.context.told() == [("gap", 4, 4)]
    assert "cannot be used" in b.context.events[0].detail
    assert not b.context.asked


def test_one_that_comes_again_and_right_is_no_gap() -> None:
    b = scenario()
    b.handler.resume()
    b.live(3)
    b.handler.skip(4)
    b.live(4, 5)
    b.handler.skip(5)
    assert b.ids == [3, 4, 5]
    assert b.context.told() == []


def test_one_that_cannot_be_used_is_told_before_a_heartbeat_promises_all() -> None:
    b = scenario()
    b.handler.resume()
    b.live(3)
    b.handler.skip(4)
    assert b.beats()
    assert b.context.told() == [("gap", 4, 4)]
    b.live(5)
    assert b.ids == [3, 5]


def test_beyond_a_hole_it_is_known_while_the_hole_is_fetched() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1)
    b.handler.skip(4)
    b.live(6)
    b.answer(2, 3, 5, 6)
    assert b.ids == [1, 2, 3, 5, 6]
    assert b.context.told() == [("gap", 4, 4), ("backfill", 2, 5)]
    assert not b.pending()


def test_what_never_can_be_used_is_bounded() -> None:
    b = scenario(max_held=5)
    b.handler.resume()
    b.live(0)
    for number in range(1, 100):
        b.handler.skip(number)
        assert len(b.handler.held) <= 5
    b.live(100)
    assert b.ids == [0, 100]
    assert sum((last or 0) - (first or 0) + 1 for _, first, last in b.context.told()) == 99


def test_a_bad_row_of_a_page_is_one_dead_letter_and_one_gap_at_once() -> None:
    b = scenario(last=2)
    b.handler.resume()
    b.live(7)
    rows = [trade(number, backfilled=True) for number in (3, 5, 6)]
    b.context.asked.popleft().done(Page(rows, [BadRow(b"{4}", "not as documented", 4)]))
    assert b.ids == [3, 5, 6, 7]
    assert b.context.told() == [("gap", 4, 4), ("backfill", 3, 6)]
    assert b.context.letters == [(b"{4}", "not as documented")]
    assert not b.context.asked


def test_bad_rows_at_the_end_and_of_no_known_id() -> None:
    b = scenario(last=2)
    b.handler.resume()
    bad = [BadRow(b"{4}", "bad", 4), BadRow(b"{?}", "bad")]
    b.context.asked.popleft().done(Page([trade(3, backfilled=True)], bad))
    assert not b.pending()
    b.live(6)
    b.answer(5)
    assert b.ids == [3, 5, 6]
    assert b.context.told() == [("gap", 4, 4), ("backfill", 3, 3), ("backfill", 5, 5)]


def test_a_page_of_nothing_that_can_be_used_is_not_asked_for_again() -> None:
    b = scenario(last=2)
    b.handler.resume()
    b.live(9)
    b.context.asked.popleft().done(Page([], [BadRow(b"{?}", "bad")] * 5))
    assert b.ids == [9]
    assert b.context.told() == [("gap", 3, 8)]
    assert len(b.context.letters) == 5
    assert not b.context.asked


def test_an_exchange_without_past_trades_names_the_gap() -> None:
    b = scenario(last=10, past=False)
    b.handler.resume()
    assert not b.pending()
    b.live(13)
    for second in range(2 * RETRIES):
        b.handler.tick(float(second))
    assert b.ids == [13]
    assert b.context.told() == [("gap", 11, 12)]


def test_a_symbol_that_is_not_listed_is_told() -> None:
    b = scenario(last=10)
    b.handler.resume()
    b.context.asked.popleft().refused(UnknownSymbol("-1121"))
    assert b.context.unlisted_symbols == {SYMBOL: "-1121"}


steps = st.lists(
    st.sampled_from(["trade", "trade", "trade", "lose", "disconnect", "connect", "answer", "lag", "tick"]), max_size=150
)


@settings(max_examples=300)
@given(steps, st.integers(1, 7), st.integers(1, 6))
def test_whatever_happens_every_trade_is_put_once_in_order(steps: list[str], page: int, max_held: int) -> None:
    """A model of an exchange: trades happen, the stream is cut or loses one, REST answers late or lags."""
    b = scenario(last=0, page=page, max_backfill=10_000, max_held=max_held)
    happened, now, lag, connected = 0, 0.0, 0, False

    def answer() -> None:
        asked = b.context.asked.popleft()
        params = dict(asked.request.params)
        known = happened - lag
        if params["first"] == "None":
            asked.done(Page([trade(known, backfilled=True)] if known else [], []))
        else:
            first = int(params["first"])
            last = min(known, first + int(params["limit"]) - 1)
            asked.done(Page([trade(number, backfilled=True) for number in range(first, last + 1)], []))

    for step in steps:
        lag = 0
        match step:
            case "trade" | "lose":
                happened += 1
                if connected and step == "trade":
                    b.live(happened)
            case "disconnect" if connected:
                connected = False
                b.handler.interrupt()
            case "connect" if not connected:
                connected = True
                b.handler.resume()
            case "answer" | "lag" if b.context.asked:
                lag = min(1, happened) if step == "lag" else 0
                answer()
            case "tick":
                now += 1.0
                b.handler.tick(now)
        assert b.ids == list(range(1, len(b.ids) + 1))
        if connected and "lose" not in steps and "lag" not in steps and b.handler.complete:
            assert len(b.ids) == happened, "a heartbeat would have lied"
    lag = 0
    if not connected:
        b.handler.resume()
    happened += 1
    b.live(happened)
    for _ in range(400):
        if b.context.asked:
            answer()
        now += 1.0
        b.handler.tick(now)
    assert b.ids == list(range(1, happened + 1))
    assert not b.pending()
    assert "gap" not in {event.kind for event in b.context.events}


def test_what_is_sent_between_the_end_of_a_stream_and_its_new_subscription_is_fetched_before_a_heartbeat() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1)
    b.handler.doubt()
    b.handler.pause()
    b.answer()
    assert not b.beats(), "2 may be sent now"
    b.handler.unpause()
    assert not b.beats()
    b.answer(2)
    assert b.ids == [1, 2]
    assert not b.deaf(), "it was not subscribed"
    assert b.beats()


def test_what_was_lost_before_one_that_cannot_be_used_is_fetched_before_a_heartbeat() -> None:
    b = scenario()
    b.handler.resume()
    b.live(1)
    b.handler.skip(4)
    b.handler.skip(5)
    assert not b.beats()
    b.answer(2, 3)
    b.live(6)
    assert b.ids == [1, 2, 3, 6]
    assert [event for event in b.context.told() if event[0] == "gap"] == [("gap", 4, 4), ("gap", 5, 5)]
    assert b.beats()


def test_what_another_process_wrote_is_not_fetched() -> None:
    """After an interruption the topic is asked first: REST only for what is not in it."""
    s = scenario(last=9)
    s.context.looks = True
    s.handler.whole_at = 77
    s.handler.resume()
    s.live(15)
    assert [(look.after, look.since) for look in s.context.looked] == [(9, 77)]
    assert not s.context.asked
    s.context.looked.popleft().done(Written([(9, 14)], trade(14)))
    assert s.ids == [15]
    assert (s.pending(), s.context.events, list(s.context.asked)) == (False, [], [])
    assert s.beats()


def test_what_another_process_may_be_about_to_write_is_waited_for_and_then_fetched() -> None:
    s = scenario(last=9)
    s.context.looks = True
    s.handler.resume()
    s.live(15)
    lives = {"other": 1}
    for look in range(LOOKS):
        assert s.pending()
        assert not s.beats()
        s.context.looked.popleft().done(Written([(9, 10 + look)], trade(10 + look), lives))
        for now in (100.0 * look, 100.0 * look + 1.0):
            s.handler.tick(now)
    assert s.params()["first"] == "14"
    s.answer(14)
    assert s.ids == [14, 15]
    assert [(event.kind, event.first_id, event.last_id) for event in s.context.events] == [("backfill", 14, 14)]


def test_what_a_silent_stream_missed_and_another_wrote_shows_that_it_is_deaf() -> None:
    s = scenario()
    s.context.looks = True
    s.handler.resume()
    s.live(1, 2)
    s.handler.doubt()
    s.context.looked.popleft().done(Written([(1, 3)], trade(3)))
    s.answer()
    assert s.deaf()
    assert not s.beats()
    s.live(3, 4)
    assert s.ids == [1, 2, 4]
    assert not s.deaf()
