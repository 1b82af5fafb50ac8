"""Alerts of trades, patterns and statistics that the real job finds in the captures, against the oracle.

The job was killed within the replay and restarted, and every 50th trade was sent twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.topics import TopicKind

from tests.e2e import oracle
from tests.flink_jobs.conftest import ALERTS_SYMBOL, BTC, ETH, PATTERNS
from tests.flink_jobs.running import RunningJob
from tests.flink_jobs.test_tables import near
from tests.support import captures
from tests.support.oracle import patterns, statistics, trade_rules
from tests.support.oracle.book_rules import liquidity_stress, spread_widening
from tests.support.oracle.episodes import SECOND, Told
from tests.support.oracle.trade_rules import MINUTE

pytestmark = pytest.mark.timeout(900)  # the first test waits for a broker, and for the job to start twice

SYMBOLS = {"binance:BTCUSDT": BTC, "binance:ETHUSDT": ETH, ALERTS_SYMBOL: captures.ALERTS}
LATENESS = 2 * SECOND
WHALE, FACTOR = Decimal(50_000), Decimal(10)
symbols = pytest.mark.parametrize("symbol", SYMBOLS)

Find = Callable[[str], Path]


def wanted(rule: str, rows: list[oracle.TradeRow]) -> list[Told]:
    ends = max(row.time for row in rows) - LATENESS
    match rule:
        case "price_spike":
            return trade_rules.price_spikes(rows, Decimal("0.02"), MINUTE, ends)
        case "volume_spike":
            return trade_rules.volume_spikes(rows, Decimal(1_000_000), MINUTE, ends)
        case "trade_burst":
            return trade_rules.trade_bursts(rows, Decimal(5), MINUTE, ends)
    return trade_rules.outlier_alerts(rows, FACTOR)


@functools.cache
def rows_of(job: RunningJob, kind: TopicKind) -> list[Any]:
    """The rows of a topic, which no test of this file adds to."""
    return job.rows(kind)


def told(job: RunningJob, symbol: str, rule: str) -> list[Any]:
    """What the job told of a rule, in order; what the restart made it tell again counts once."""
    sent = [row for row in rows_of(job, TopicKind.ALERTS) if (row.symbol, row.rule) == (symbol, rule)]
    return list({(row.id, row.status, row.event_time): row for row in sent}.values())


def check(job: RunningJob, symbol: str, rule: str, right: Sequence[Told]) -> None:
    """Everything that was told of a rule, in its order."""
    found = told(job, symbol, rule)
    exact = ("status", "severity", "side", "started_at", "ended_at", "event_time", "trade_id")
    assert [[getattr(one, name) for name in exact] for one in found] == [
        [getattr(one, name) for name in exact] for one in right
    ]
    for row, one in zip(found, right, strict=True):
        suffix = "" if one.trade_id is None else f":{one.trade_id}"
        assert row.id == f"{rule}:{symbol}:{one.started_at}{suffix}"
        for name in ("value", "extreme", "threshold"):
            assert near(getattr(row, name), getattr(one, name)), f"{name} of {row}, not {getattr(one, name)}"


@symbols
@pytest.mark.parametrize("rule", ["price_spike", "volume_spike", "trade_burst", "outlier"])
def test_alerts_of_trades(replayed: RunningJob, capture: Find, symbol: str, rule: str) -> None:
    right = wanted(rule, oracle.trades(capture(SYMBOLS[symbol])))
    assert right or symbol != ALERTS_SYMBOL
    check(replayed, symbol, rule, right)


@symbols
def test_liquidity_stress(replayed: RunningJob, capture: Find, symbol: str) -> None:
    rows = oracle.book_rows(capture(SYMBOLS[symbol]), 20, 10, 1)
    right = liquidity_stress(rows, Decimal("0.3"), MINUTE)
    assert right or symbol != ALERTS_SYMBOL
    check(replayed, symbol, "liquidity_stress", right)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_of_alerts_of_both_feeds(replayed: RunningJob, capture: Find, pattern: str) -> None:
    path, symbol = capture(captures.ALERTS), ALERTS_SYMBOL
    name, severity, within, rules = pattern.split("|")
    opened = [
        *(
            patterns.Opening(one.event_time, f"spread_widening:{symbol}:{one.started_at}", one.rule)
            for one in spread_widening(oracle.book_rows(path, 20, 10, 1), Decimal(2), MINUTE)
            if one.status == "open" and one.event_time == one.started_at
        ),
        *(
            patterns.Opening(trade.time, f"whale_trade:{symbol}:{trade.time}:{trade.id}", "whale_trade")
            for trade in oracle.whales(oracle.trades(path), WHALE)
        ),
    ]
    right = {chain[0].id: chain for chain in patterns.sequences(opened, rules.split(","), int(within))}
    assert right

    found = {row.id: row for row in told(replayed, symbol, name) if row.status == "closed"}
    assert found.keys() == {first.replace("spread_widening", name) for first in right}
    for first, chain in right.items():
        row = found[first.replace("spread_widening", name)]
        assert row.made_of.split(" ") == [one.id for one in chain]
        assert (row.started_at, row.ended_at, row.severity) == (chain[0].time, chain[-1].time, severity)
        assert row.value == pytest.approx((chain[-1].time - chain[0].time) / SECOND)
        assert row.threshold == int(within) / SECOND


def compare(rows: Sequence[Any], right: Sequence[Any], names: Sequence[str]) -> None:
    for row, one in zip(rows, right, strict=True):
        for name in names:
            value, should = getattr(row, name), getattr(one, name)
            if isinstance(should, int):
                assert value == should, f"{name} of {row}, not {should}"
            else:
                should = Decimal(repr(should)) if isinstance(should, float) else should
                assert near(value, should), f"{name} of {row}, not {should}"


@symbols
@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("5m", 5)])
def test_statistics_of_trades(replayed: RunningJob, capture: Find, symbol: str, interval: str, minutes: int) -> None:
    trades = oracle.trades(capture(SYMBOLS[symbol]))
    clock = max(trade.time for trade in trades)
    right = [
        row
        for row in statistics.trade_statistics(trades, minutes, FACTOR)
        if row.open_time + minutes * MINUTE + LATENESS <= clock
    ]
    assert right
    sent = [
        row for row in rows_of(replayed, TopicKind.TRADE_STATISTICS) if (row.symbol, row.interval) == (symbol, interval)
    ]
    rows = {row.open_time: row for row in sent}
    names = [field.name for field in fields(statistics.TradeStatisticsRow)]
    compare([rows[key] for key in sorted(rows)], right, names)
    assert {row.complete for row in rows.values()} == {False, True} - ({True} if len(rows) == 1 else set())


@symbols
def test_the_reduced_book(replayed: RunningJob, capture: Find, symbol: str) -> None:
    right = statistics.reduced_book(oracle.book_rows(capture(SYMBOLS[symbol]), 20, 10, 1))[:-1]
    sent = [row for row in rows_of(replayed, TopicKind.BOOK_STATISTICS) if (row.symbol, row.interval) == (symbol, "1s")]
    rows = {row.open_time: row for row in sent}
    assert sorted(rows) == [row.open_time for row in right]
    ordered = [rows[key] for key in sorted(rows)]
    last = ("mid", "spread_bps", "imbalance", "weighted_imbalance", "bid_depth", "ask_depth", "bid_slope", "ask_slope")
    compare(ordered, [row.last for row in right], last)
    named = {"lowest": "low", "highest": "high"}
    for row, one in zip(ordered, right, strict=True):
        for ours, theirs in named.items():
            for measure in ("imbalance", "spread"):
                assert getattr(row, f"{ours}_{measure}_time") == getattr(one, f"{measure}_{theirs}_time"), row
                column = f"{ours}_{measure}" + ("_bps" if measure == "spread" else "")
                assert near(getattr(row, column), getattr(one, f"{measure}_{theirs}")), f"{column} of {row}"
    compare(ordered, right, ("events", "order_flow_imbalance", "normal_spread_bps"))


@symbols
@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("5m", 5)])
def test_statistics_of_the_book(replayed: RunningJob, capture: Find, symbol: str, interval: str, minutes: int) -> None:
    seconds = statistics.reduced_book(oracle.book_rows(capture(SYMBOLS[symbol]), 20, 10, 1))
    right = [
        row
        for row in statistics.book_statistics(seconds[:-1], minutes)
        if row.open_time + minutes * MINUTE <= seconds[-1].open_time
    ]
    assert right
    sent = [
        row for row in rows_of(replayed, TopicKind.BOOK_STATISTICS) if (row.symbol, row.interval) == (symbol, interval)
    ]
    rows = {row.open_time: row for row in sent}
    names = [field.name for field in fields(statistics.BookStatisticsRow)]
    compare([rows[key] for key in sorted(rows)], right, names)
