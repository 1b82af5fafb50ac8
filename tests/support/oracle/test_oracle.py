"""What must hold of the oracle whatever the market does, and a few cases small enough to be seen to be right."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.e2e import oracle
from tests.e2e.oracle import BookRow, TradeRow
from tests.support import captures
from tests.support.oracle.book_rules import imbalance_flips, liquidity_stress, normals, spread_widening
from tests.support.oracle.episodes import SECOND, Step, Told, episodes
from tests.support.oracle.patterns import Opening, sequences
from tests.support.oracle.statistics import book_statistics, reduced_book, trade_statistics
from tests.support.oracle.trade_rules import (
    MINUTE,
    outlier_alerts,
    outliers,
    price_spikes,
    trade_bursts,
    usual_trades,
    volume_spikes,
)

ONE, MEDIUM, HIGH = Decimal(1), Decimal("0.5"), Decimal("0.7")
LIMITS = (Decimal(1), Decimal(2))


def book(time: int, **changes: Decimal | None) -> BookRow:
    measures: dict[str, Decimal | None] = dict.fromkeys(
        ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity", *oracle.MEASURES), ONE
    )
    return BookRow(update_id=time, time=time, **(measures | changes))  # type: ignore[arg-type]


def trade(id: int, time: int, price: str = "100", quantity: str = "1") -> TradeRow:
    return TradeRow(id, time, Decimal(price), Decimal(quantity), buyer_is_taker=id % 2 == 0)


levels = some.lists(some.integers(0, 2), max_size=60)


@given(levels, some.integers(1, 20))
def test_an_episode_opens_once_closes_once_and_escalates_once(levels: list[int], cooldown: int) -> None:
    steps = [Step(time, "buy", Decimal(level), level, LIMITS) for time, level in enumerate(levels)]
    told = episodes("rule", steps, cooldown, max)
    by_start: dict[int, list[Told]] = defaultdict(list)
    for one in told:
        by_start[one.started_at].append(one)
    runs = sum(now > 0 and before == 0 for before, now in zip([0, *levels], levels, strict=False))
    assert len(by_start) == runs
    for start, messages in by_start.items():
        assert (messages[0].status, messages[0].event_time) == ("open", start)
        statuses = Counter(one.status for one in messages)
        assert statuses["closed"] <= 1
        assert messages[-1].status == "closed" or messages is by_start[max(by_start)]
        assert sorted(one.severity == "HIGH" for one in messages) == [one.severity == "HIGH" for one in messages]
        again = [one for one in messages[1:] if one.status != "closed"]
        for before, now in zip(messages, again, strict=False):
            assert now.event_time - before.event_time >= cooldown or now.severity != before.severity


@given(some.lists(some.tuples(some.integers(0, 900), some.integers(1, 50)), min_size=1, max_size=80))
def test_a_normal_lies_between_what_was_seen_and_knows_nothing_at_first(moves: list[tuple[int, int]]) -> None:
    rows, time = [], 0
    for step, spread in moves:
        time += step * SECOND // 10
        rows.append(book(time, spread_bps=Decimal(spread)))
    for place, (row, normal) in enumerate(zip(rows, normals(rows, "spread_bps"), strict=True)):
        before = [one.spread_bps for one in rows[:place] if one.time // SECOND < row.time // SECOND]
        recent = [one for one in rows[:place] if one.time // SECOND >= row.time // SECOND - 300]
        if normal is None:
            assert not recent or recent[0].time // SECOND > row.time // SECOND - 60
        else:
            assert min(before) <= normal <= max(before)


def test_a_spread_that_widens_is_held_against_the_median_of_five_minutes() -> None:
    rows = [book(n * SECOND, spread_bps=Decimal(1 + n % 3)) for n in range(300)]
    rows += [book(300 * SECOND + n, spread_bps=Decimal(s)) for n, s in enumerate(["3.9", "4", "9", "5", "3"])]
    opened, closed = spread_widening(rows, Decimal(2), MINUTE)
    assert (opened.started_at, opened.value, opened.status) == (300 * SECOND + 1, Decimal(2), "open")
    assert (closed.ended_at, closed.value, closed.extreme) == (300 * SECOND + 4, Decimal("1.5"), Decimal("4.5"))


def test_liquidity_is_under_stress_after_two_seconds_and_counts_from_the_first() -> None:
    rows = [book(n * SECOND, bid_depth=Decimal(100), ask_depth=None) for n in range(100)]
    thin = ["20", "10", "29", "29", "5", "40"]
    rows += [book((100 + n) * SECOND, bid_depth=Decimal(depth), ask_depth=None) for n, depth in enumerate(thin)]
    told = liquidity_stress(rows, Decimal("0.3"), MINUTE)
    assert [(one.status, one.severity, one.event_time // SECOND) for one in told] == [
        ("open", "HIGH", 103),
        ("closed", "HIGH", 105),
    ]
    assert {one.started_at // SECOND for one in told} == {100}
    assert [one.extreme for one in told] == [Decimal("0.1"), Decimal("0.05")]
    short = [*rows[:102], book(102 * SECOND, bid_depth=Decimal(50), ask_depth=None)]
    assert liquidity_stress(short, Decimal("0.3"), MINUTE) == []


@given(some.lists(some.sampled_from(["0.9", "0.6", "0.1", "-0.1", "-0.6", "-0.9"]), max_size=30), some.integers(1, 12))
def test_a_flip_is_told_where_the_sides_change_in_time(ratios: list[str], pause: int) -> None:
    rows = [book(n * pause * SECOND, imbalance=Decimal(ratio)) for n, ratio in enumerate(ratios)]
    leaning = [(row.time, row.imbalance) for row in rows if abs(row.imbalance) >= MEDIUM]
    changes = [
        (time, min(abs(a), abs(b)) >= HIGH)
        for (before, a), (time, b) in pairwise(leaning)
        if a * b < 0 and time - before <= 10 * SECOND
    ]
    told = imbalance_flips(rows, MEDIUM, HIGH)
    assert [(one.event_time, one.severity == "HIGH") for one in told if one.status == "open"] == changes
    assert len(told) == 2 * len(changes)


def test_a_minute_that_goes_on_is_one_alert_and_a_pause_ends_it() -> None:
    minutes = [0, 1, 3]
    rows = [trade(n * 10 + k, n * MINUTE + k * SECOND, quantity="6") for n in minutes for k in range(2)]
    told = volume_spikes(rows, Decimal(1_000), 10 * MINUTE, 4 * MINUTE)
    seen = [(one.status, one.started_at // MINUTE, one.event_time // SECOND) for one in told]
    assert seen == [("open", 0, 1), ("closed", 0, 120), ("open", 3, 181)]
    assert told[1].extreme == Decimal(1_200)
    again = volume_spikes(rows, Decimal(1_000), MINUTE, 5 * MINUTE)
    assert [one.event_time // SECOND for one in again] == [1, 61, 120, 181, 240]


def test_a_spike_is_the_furthest_from_the_first_price_of_its_minute() -> None:
    rows = [trade(1, SECOND), trade(2, 2 * SECOND, "97"), trade(3, 3 * SECOND, "101"), trade(4, 61 * SECOND, "110")]
    (opened,) = price_spikes(rows, Decimal("0.02"), MINUTE, MINUTE)
    assert (opened.side, opened.value, opened.severity) == ("sell", Decimal("-0.03"), "HIGH")


def test_a_burst_needs_a_usual_count() -> None:
    counts = [2, 2, 4, 2, 2, 2, 50, 11]
    rows = [trade(n * 100 + k, n * MINUTE + k * 1000) for n, count in enumerate(counts) for k in range(count)]
    told = trade_bursts(rows, Decimal(5), MINUTE, 7 * MINUTE)
    assert [(one.status, one.started_at // MINUTE, one.value, one.threshold) for one in told] == [
        ("open", 7, Decimal(11), Decimal(10))
    ], "of the minute before, only five others had closed when it began"


def test_an_outlier_is_far_by_both_measures() -> None:
    usual = [trade(n, n, str(100 + n % 5)) for n in range(30)]
    odd = [trade(30, 30, "113"), trade(31, 31, "111"), trade(32, 32, "80")]
    assert [(one.trade.id, one.median, one.limit) for one in outliers(usual + odd, Decimal(10))] == [
        (30, Decimal(102), Decimal(10)),
        (32, Decimal(102), Decimal(10)),
    ]
    still = [trade(n, n) for n in range(20)]
    assert [one.trade.id for one in outliers([*still, trade(20, 20, "100.4"), trade(21, 21, "100.5")], ONE)] == [21]
    assert outliers([*still[:19], trade(20, 20, "500")], ONE) == []
    assert usual_trades([*still, trade(20, 20)])[-2:] == [None, Decimal(100)]


openings = some.lists(some.tuples(some.integers(0, 40), some.sampled_from("abc")), max_size=12, unique=True)


@given(openings, some.sampled_from(["ab", "abc", "aa", "aba"]), some.integers(1, 20), some.randoms())
def test_sequences_are_in_order_in_time_and_do_not_depend_on_how_they_came(
    found: list[tuple[int, str]], rules: str, within: int, random: random.Random
) -> None:
    given_ = [Opening(time, f"{rule}:{time}", rule) for time, rule in found]
    told = sequences(given_, rules, within)
    shuffled = list(given_)
    random.shuffle(shuffled)
    assert sequences(shuffled, rules, within) == told
    assert len({chain[0] for chain in told}) == len(told)
    for chain in told:
        assert "".join(one.rule for one in chain) == rules
        assert list(chain) == sorted(chain)
        assert chain[-1].time - chain[0].time <= within
    more = sequences([*given_, Opening(41, "a:41", "a")], rules, within)
    assert {chain[0] for chain in told} <= {chain[0] for chain in more}, "another alert takes no sequence away"


@pytest.fixture(scope="module")
def market(capture: Callable[[str], Path]) -> tuple[list[BookRow], list[TradeRow]]:
    path = capture(captures.ALERTS)
    return oracle.book_rows(path, 20, 10, 2, "SOLUSDT"), oracle.trades(path, "SOLUSDT")


def test_the_capture_of_alerts_has_them_all(market: tuple[list[BookRow], list[TradeRow]]) -> None:
    rows, trades = market
    end = rows[-1].time
    told = [
        *imbalance_flips(rows, MEDIUM, HIGH),
        *spread_widening(rows, Decimal(2), MINUTE),
        *liquidity_stress(rows, Decimal("0.3"), MINUTE),
        *price_spikes(trades, Decimal("0.02"), MINUTE, end),
        *volume_spikes(trades, Decimal(1_000_000), MINUTE, end),
        *trade_bursts(trades, Decimal(5), MINUTE, end),
        *outlier_alerts(trades, Decimal(10)),
    ]
    closed = {one.rule for one in told if one.status == "closed"}
    assert closed == {one.rule for one in told}
    assert len(closed) == 7
    assert Counter(one.event_time - one.started_at > MINUTE for one in told if one.rule == "volume_spike")[True]


def test_statistics_of_windows_add_up(market: tuple[list[BookRow], list[TradeRow]]) -> None:
    rows, trades = market[0], market[1][:6_000]
    minutes, fives = (trade_statistics(trades, width, Decimal(10)) for width in (1, 5))
    assert sum(row.trades for row in minutes) == sum(row.trades for row in fives) == len(trades)
    assert sum(row.outliers for row in minutes) == len(outliers(trades, Decimal(10)))
    assert max(row.largest_trade for row in fives) == max(row.price * row.quantity for row in trades)
    squares = (sum((row.realised_volatility or 0) ** 2 for row in some) for some in (minutes, fives))
    assert next(squares) == pytest.approx(next(squares))
    reduced = reduced_book(rows)
    assert sum(row.events for row in reduced) == len(rows)
    flow = sum(row.order_flow_imbalance for row in reduced)
    assert flow == sum(row.order_flow_imbalance for row in book_statistics(reduced, 1))
    for row in reduced:
        assert row.imbalance_low <= row.last.imbalance <= row.imbalance_high
        assert row.open_time <= min(row.imbalance_low_time, row.spread_high_time) <= row.last.time
