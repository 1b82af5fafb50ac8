"""A live book is renewed from a second snapshot when its best levels come near the end of what is known."""

from __future__ import annotations

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.order_book_builder import OrderBookBuilder
from marketpipeline.ingestion.snapshots import EVERY, RESERVE
from marketpipeline.records import Book, Level
from marketpipeline.venues.adapter import BookRules, SnapshotSource
from marketpipeline.venues.continuity import SPANNING
from marketpipeline.venues.messages import BookChange, BookSnapshot

from tests.services.ingestion.recorders import SYMBOL, RecordingContext, no_request

LEVELS = 2
ASKS: list[Level] = [(200.0 + tick, 1.0) for tick in range(50)]

RULES = BookRules(SnapshotSource.FETCHED, SPANNING)


def partial(last: int, best: int, depth: int) -> BookSnapshot:
    """A snapshot that tells `depth` bids from `best` down, of a book with a bid at every price down to 1."""
    bids = [(float(price), 1.0) for price in range(best, max(0, best - depth), -1)]
    return BookSnapshot(last, bids, ASKS, bids_whole=False, asks_whole=True)


class Falling:
    """A market whose best bid is removed with every update."""

    def __init__(self) -> None:
        self.context = RecordingContext()
        self.published: list[Book] = []
        self.handler = OrderBookBuilder(
            SYMBOL, self.published.append, self.context, RULES, no_request, levels=LEVELS, max_held=100
        )
        self.best, self.last, self.now = 100, 10, 0.0
        self.handler.resume()
        self.handler.accept(self._change())
        self.context.asked.popleft().done(partial(self.last, self.best, 15))

    def _change(self) -> BookChange:
        self.last += 1
        self.best -= 1
        return BookChange(SYMBOL, self.last, 0, self.last, self.last, [(self.best + 1.0, 0.0)], [])

    def fall(self, times: int = 1) -> None:
        for _ in range(times):
            self.handler.accept(self._change())

    def tick(self, seconds: float = 0.1) -> None:
        self.now += seconds
        self.handler.tick(self.now)

    def bids(self) -> list[Level]:
        return self.published[-1].bids


def test_it_is_renewed_before_levels_run_out_and_nothing_is_missed() -> None:
    market = Falling()
    market.tick()
    assert not market.context.asked
    market.fall(15 - LEVELS * RESERVE + 1)
    market.tick()
    assert len(market.context.asked) == 1, "fewer than the reserve are certain"
    asked_at, best_then = market.last, market.best
    market.fall(3)
    market.context.asked.popleft().done(partial(asked_at + 2, best_then - 2, 15))
    market.fall(11)
    assert market.bids() == [(float(market.best), 1.0), (market.best - 1.0, 1.0)], (
        "levels that only the second one told"
    )
    assert [record.update_id for record in market.published] == list(range(12, market.last + 1))
    assert [event.kind for event in market.context.events] == ["synced"]


def test_a_snapshot_ahead_of_the_stream_waits_for_it() -> None:
    market = Falling()
    market.fall(10)
    market.tick()
    ahead = partial(market.last + 3, market.best - 3, 15)
    market.context.asked.popleft().done(ahead)
    market.fall(1)
    assert len(market.bids()) == 2
    market.fall(5)
    assert market.bids() == [(float(market.best), 1.0), (market.best - 1.0, 1.0)]


def test_a_snapshot_that_is_too_old_changes_nothing_and_is_not_asked_for_at_once() -> None:
    market = Falling()
    market.fall(10)
    market.tick()
    market.fall(1)
    market.context.asked.popleft().done(partial(market.last - 5, market.best + 5, 15))
    market.fall(1)
    market.tick()
    assert not market.context.asked
    assert market.bids() == [(float(market.best), 1.0), (market.best - 1.0, 1.0)]
    market.tick(EVERY)
    assert len(market.context.asked) == 1


def test_a_book_that_was_lost_forgets_its_refresh() -> None:
    market = Falling()
    market.fall(10)
    market.tick()
    stale = market.context.asked.popleft()
    market.last += 5
    market.fall(2)
    stale.done(partial(market.last - 8, market.best, 15))
    market.context.asked.popleft().done(partial(market.last, market.best, 15))
    market.fall(1)
    assert market.bids() == [(float(market.best), 1.0), (market.best - 1.0, 1.0)]
    assert [event.kind for event in market.context.events] == ["synced", "gap", "resync"]


def test_a_refusal_leaves_the_book_as_it_is() -> None:
    market = Falling()
    market.fall(10)
    market.tick()
    market.context.asked.popleft().refused(PermanentError("HTTP 400"))
    market.fall(1)
    assert len(market.bids()) == 2
