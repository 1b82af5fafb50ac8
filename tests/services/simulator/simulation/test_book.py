"""The matching engine against a slow one that keeps a plain list of orders."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from marketpipeline.simulator.simulation.book import BUY, SELL, Fill, OrderBook


@dataclass
class Plain:
    """Orders as [sign, tick, lots] in the order of their arrival."""

    orders: list[list[int]] = field(default_factory=list)

    def side(self, sign: int) -> list[list[int]]:
        """Best price first, then by arrival."""
        return sorted((o for o in self.orders if o[0] == sign), key=lambda o: -sign * o[1])

    def rest(self, sign: int, tick: int, lots: int) -> None:
        against = self.side(-sign)
        if against and (tick - against[0][1]) * sign >= 0:
            tick = against[0][1] - sign
        self.orders.append([sign, tick, lots])

    def take(self, sign: int, lots: int, limit: int | None) -> list[tuple[int, int]]:
        fills = []
        for order in self.side(-sign):
            if not lots or (limit is not None and (limit - order[1]) * sign < 0):
                break
            matched = min(lots, order[2])
            fills.append((order[1], matched))
            order[2] -= matched
            lots -= matched
        self.orders = [order for order in self.orders if order[2]]
        return fills

    def levels(self, sign: int) -> list[tuple[int, int]]:
        totals: dict[int, int] = {}
        for _, tick, lots in self.side(sign):
            totals[tick] = totals.get(tick, 0) + lots
        return list(totals.items())


SIGNS = st.sampled_from([BUY, SELL])
TICKS = st.integers(90, 110)
LOTS = st.integers(1, 9)
ACTIONS = st.one_of(
    st.tuples(st.just("rest"), SIGNS, TICKS, LOTS),
    st.tuples(st.just("take"), SIGNS, st.one_of(st.none(), TICKS), st.integers(1, 30)),
    st.tuples(st.just("clear"), SIGNS, TICKS, LOTS),
)


@given(st.lists(ACTIONS, max_size=60))
def test_it_matches_as_a_plain_one_does(actions: list[tuple[str, int, int | None, int]]) -> None:
    book, plain = OrderBook(1000), Plain()
    for action, sign, tick, lots in actions:
        before = {s: dict(plain.levels(s)) for s in (BUY, SELL)}
        first = book.update_id
        for touched in book.touched.values():
            touched.clear()
        if action == "rest":
            assert tick is not None
            book.rest(sign, tick, lots)
            plain.rest(sign, tick, lots)
        elif action == "take":
            assert [tuple(fill) for fill in book.take(sign, lots, tick)] == plain.take(sign, lots, tick)
        elif tick in book.sides[sign].queues:
            assert tick is not None
            book.clear_level(sign, tick)
            plain.orders = [o for o in plain.orders if o[:2] != [sign, tick]]
        changed = 0
        for s in (BUY, SELL):
            side, levels = book.sides[s], plain.levels(s)
            assert [(t, side.totals[t]) for t in side.ticks(100)] == levels
            assert side.best == (levels[0][0] if levels else None)
            assert side.orders() == len(plain.side(s))
            different = {t for t in {*before[s], *dict(levels)} if before[s].get(t) != dict(levels).get(t)}
            assert different <= book.touched[s], "what changed is told"
            changed += len(different)
        assert book.update_id - first >= changed, "an id for each change of a level"
        bid, ask = book.sides[BUY].best, book.sides[SELL].best
        assert bid is None or ask is None or bid < ask


def test_time_priority() -> None:
    book = OrderBook(0)
    book.rest(SELL, 101, 5)
    book.rest(SELL, 101, 7)
    book.rest(SELL, 100, 1)
    assert book.take(BUY, 8) == [Fill(100, 1), Fill(101, 5), Fill(101, 2)]
    assert book.take(BUY, 100) == [Fill(101, 5)]
    assert book.take(BUY, 1) == []
