"""What the real job makes of the real captures, against an oracle that shares no code with it.

The job was killed within the replay and restarted, and every 50th trade was sent twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from marketpipeline.records import Alert, Candle
from marketpipeline.topics import TopicKind

from tests.e2e import oracle
from tests.flink_jobs.conftest import BTC, ETH
from tests.flink_jobs.running import RunningJob
from tests.support.oracle.book_rules import imbalance_flips, spread_widening
from tests.support.oracle.episodes import SECOND

pytestmark = pytest.mark.timeout(900)  # the first test waits for a broker, and for the job to start twice

SYMBOLS = {"binance:BTCUSDT": BTC, "binance:ETHUSDT": ETH}
TOLERANCE = Decimal("1e-9")
symbols = pytest.mark.parametrize("symbol", SYMBOLS)

Find = Callable[[str], Path]


def near(value: float | None, wanted: Decimal | None) -> bool:
    if value is None or wanted is None:
        return value is None and wanted is None
    return abs(Decimal(repr(value)) - wanted) <= TOLERANCE * max(Decimal(1), abs(wanted))


@symbols
def test_book_metrics(replayed: RunningJob, capture: Find, symbol: str) -> None:
    wanted = {row.update_id: row for row in oracle.book_rows(capture(SYMBOLS[symbol]), 20, 10, 1)}
    rows = {row.update_id: row for row in replayed.rows(TopicKind.BOOK_METRICS) if row.symbol == symbol}
    assert rows.keys() == wanted.keys()
    for update_id, right in wanted.items():
        row = rows[update_id]
        assert row.event_time == right.time
        assert not row.event_time_estimated
        assert row.process_time > row.event_time
        for name in ("best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity"):
            assert Decimal(repr(getattr(row, name))) == getattr(right, name), f"{name} of {row}"
        for name in oracle.MEASURES:
            assert near(getattr(row, name), getattr(right, name)), f"{name} of {row}, not {getattr(right, name)}"


@symbols
@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("5m", 5), ("15m", 15), ("1h", 60)])
def test_candles(replayed: RunningJob, capture: Find, symbol: str, interval: str, minutes: int) -> None:
    trades = oracle.trades(capture(SYMBOLS[symbol]))
    wanted = oracle.candles(trades, minutes)
    sent = [row for row in replayed.rows(TopicKind.CANDLES) if (row.symbol, row.interval) == (symbol, interval)]
    rows = {row.open_time: row for row in sent}
    assert sorted(rows) == [candle.open_time for candle in wanted]
    for candle in wanted:
        row = rows[candle.open_time]
        for name in ("open", "high", "low", "close"):
            assert Decimal(repr(getattr(row, name))) == getattr(candle, name), f"{name} of {row}"
        for name in ("trades", "first_trade_id", "last_trade_id", "complete"):
            assert getattr(row, name) == getattr(candle, name), f"{name} of {row}"
        for name in ("volume", "quote_volume", "taker_buy_volume", "vwap", "buy_sell_ratio", "price_change"):
            assert near(getattr(row, name), getattr(candle, name)), f"{name} of {row}, not {getattr(candle, name)}"
        assert row.close_time == row.open_time + minutes * 60_000_000
        assert row.closed == (max(trade.time for trade in trades) >= row.close_time + 2_000_000), row


@symbols
def test_what_is_sent_as_closed_does_not_change(replayed: RunningJob, symbol: str) -> None:
    closed: dict[tuple[str, int], list[Candle]] = defaultdict(list)
    for row in replayed.rows(TopicKind.CANDLES):
        if row.symbol == symbol and row.closed:
            closed[row.interval, row.open_time].append(row)
    assert len(closed) >= 6
    for rows in closed.values():
        assert {(row.trades, row.close, row.volume) for row in rows} == {
            (rows[-1].trades, rows[-1].close, rows[-1].volume)
        }


@symbols
def test_extreme_imbalance(replayed: RunningJob, capture: Find, symbol: str) -> None:
    episodes = oracle.alerts(oracle.book_rows(capture(SYMBOLS[symbol]), 20, 10, 1), Decimal("0.5"), Decimal("0.7"))
    found: dict[str, dict[str, Alert]] = defaultdict(dict)
    for row in replayed.rows(TopicKind.ALERTS):
        if row.symbol == symbol and row.rule == "extreme_imbalance":
            found[row.id].setdefault(row.status, row)
    assert set(found) == {f"extreme_imbalance:{symbol}:{episode.started_at}" for episode in episodes}
    for episode in episodes:
        told = found[f"extreme_imbalance:{symbol}:{episode.started_at}"]
        assert set(told) <= {"open", "escalated", "closed"}
        assert told["open"].started_at == told["open"].event_time == episode.started_at
        assert {row.side for row in told.values()} == {"buy" if episode.buy_side else "sell"}
        assert ("closed" in told) == (episode.ended_at is not None)
        assert ("HIGH" in {row.severity for row in told.values()}) == episode.high
        assert ("escalated" in told) == (episode.high and told["open"].severity == "MEDIUM")
        if episode.ended_at is not None:
            assert told["closed"].ended_at == episode.ended_at
            assert near(told["closed"].extreme, episode.extreme)


@symbols
@pytest.mark.parametrize("rule", ["imbalance_flip", "spread_widening"])
def test_rules_of_the_book(replayed: RunningJob, capture: Find, symbol: str, rule: str) -> None:
    rows = oracle.book_rows(capture(SYMBOLS[symbol]), 20, 10, 1)
    if rule == "imbalance_flip":
        wanted = imbalance_flips(rows, Decimal("0.5"), Decimal("0.7"))
    else:
        wanted = spread_widening(rows, Decimal(2), 60 * SECOND)
    assert wanted
    sent = [row for row in replayed.rows(TopicKind.ALERTS) if (row.symbol, row.rule) == (symbol, rule)]
    found = list({(row.id, row.status, row.event_time): row for row in sent}.values())
    fields = ("status", "severity", "side", "started_at", "ended_at", "event_time")
    assert [tuple(getattr(one, name) for name in fields) for one in found] == [
        tuple(getattr(one, name) for name in fields) for one in wanted
    ]
    for row, right in zip(found, wanted, strict=True):
        assert row.id == f"{rule}:{symbol}:{right.started_at}"
        for name in ("value", "extreme", "threshold"):
            assert near(getattr(row, name), getattr(right, name)), f"{name} of {row}, not {getattr(right, name)}"


@symbols
def test_whale_trades(replayed: RunningJob, capture: Find, symbol: str) -> None:
    wanted = oracle.whales(oracle.trades(capture(SYMBOLS[symbol])), Decimal(50_000))
    assert wanted
    for status in ("open", "closed"):
        rows = {
            row.trade_id: row
            for row in replayed.rows(TopicKind.ALERTS)
            if (row.symbol, row.rule, row.status) == (symbol, "whale_trade", status)
        }
        assert sorted(rows) == [trade.id for trade in wanted]
        for trade in wanted:
            row = rows[trade.id]
            assert row.id == f"whale_trade:{symbol}:{trade.time}:{trade.id}"
            assert near(row.value, trade.price * trade.quantity)
            assert row.ended_at == (trade.time if status == "closed" else None)


def test_nothing_was_late_or_unusable(replayed: RunningJob) -> None:
    of_captures = set(SYMBOLS)
    assert [row for row in replayed.rows(TopicKind.LATE) if row.symbol in of_captures] == []
    assert [row for row in replayed.rows(TopicKind.DEAD_LETTERS) if row.symbol in of_captures] == []
