"""What seems to be missing is told only when the topic was asked, and only what no process has written."""

from __future__ import annotations

from marketpipeline.ingestion.context import Look
from marketpipeline.ingestion.examiner import LOOKS, UNREAD, Examiner
from marketpipeline.ingestion.written import LOOK_AGAIN, Written
from marketpipeline.records import FeedEvent

GAP = FeedEvent(
    symbol="a:B", id="", kind="gap", feed="book", event_time=1_000, receive_time=2_000, first_id=11, last_id=20
)


class Examined:
    """An examiner whose looks the test answers."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.told: list[FeedEvent] = []
        self.examiner = Examiner(self.looks.append, self.told.append)  # type: ignore[arg-type]  # it looks only
        self.now = 0.0

    def answer(self, written: Written | None) -> None:
        self.examiner.answered(self.looks.pop().call, written)

    @property
    def spans(self) -> list[tuple[int | None, int | None]]:
        return [(event.first_id, event.last_id) for event in self.told]

    def later(self) -> None:
        self.now += LOOK_AGAIN
        self.examiner.tick(self.now)


def test_a_gap_that_nobody_fills_is_told_as_it_is() -> None:
    examined = Examined()
    examined.examiner.doubt(GAP, since=500)
    assert examined.examiner.examines("a:B", "book")
    assert not examined.examiner.examines("a:B", "trades")
    assert [(look.after, look.since) for look in examined.looks] == [(10, 500)]
    examined.answer(Written([(20, 22)]))
    assert examined.told == [GAP]
    assert not examined.examiner.open


def test_what_another_wrote_is_no_gap_and_of_the_rest_only_the_rest_is_told() -> None:
    examined = Examined()
    for written in (Written([(4, 25)]), Written([(4, 15)])):
        examined.examiner.doubt(GAP, since=500)
        examined.answer(written)
    assert examined.spans == [(16, 20)]


def test_another_that_lives_is_waited_for_until_it_is_past_the_gap() -> None:
    examined = Examined()
    examined.examiner.doubt(GAP, since=500)
    examined.answer(Written([(4, 12)], others={"other": 999}))
    assert not examined.looks
    examined.later()
    examined.answer(Written([(4, 19)], others={"other": 1_000}))
    assert examined.spans == [(20, 20)]


def test_it_is_not_waited_for_ever_and_not_at_all_when_the_process_ends() -> None:
    slow = Written([], others={"other": 0})
    examined = Examined()
    examined.examiner.doubt(GAP, since=500)
    for _ in range(LOOKS):
        examined.answer(slow)
        examined.later()
    assert examined.spans == [(11, 20)]
    examined.examiner.doubt(GAP, since=500)
    examined.answer(None)
    examined.examiner.give_up()
    examined.answer(slow)
    assert examined.spans == [(11, 20)] * 2


def test_a_topic_that_cannot_be_read_is_asked_again() -> None:
    examined = Examined()
    examined.examiner.doubt(GAP, since=500)
    for _ in range(2 * LOOKS):
        examined.answer(None)
        assert not examined.told, "a broker that is away for a while has lost nothing"
        examined.later()
    examined.answer(Written([(10, 20)]))
    assert not examined.told
    assert not examined.examiner.open


def test_a_topic_that_cannot_be_read_for_minutes_is_waited_for_no_more() -> None:
    examined = Examined()
    examined.examiner.doubt(GAP, since=500)
    for _ in range(UNREAD + 1):
        examined.answer(None)
        examined.later()
    assert examined.spans == [(11, 20)]
