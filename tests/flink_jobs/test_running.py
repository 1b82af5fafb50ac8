"""What happens to a running job: quiet markets, late trades, changed thresholds, bad records, and its end."""

from __future__ import annotations

import json
import threading
import time

import pytest
from marketpipeline.records import Book, Heartbeat, SymbolThresholds, Trade
from marketpipeline.topics import TopicKind

from tests.conftest import PROJECT, wait_for
from tests.flink_jobs.running import RunningJob, is_alive

pytestmark = pytest.mark.timeout(900)  # the first test waits for a broker, and for the job to start twice

PLANS = PROJECT / ".cache" / "jars" / "plans"
MINUTE = 60_000_000
T0 = 1_699_999_200_000_000
"""A full hour."""


def trade(symbol: str, at: int, trade_id: int, *, price: float = 10.0, quantity: float = 1.0) -> Trade:
    return Trade(
        symbol=symbol,
        event_time=at,
        trade_time=at,
        receive_time=at + 1_000,
        trade_id=trade_id,
        price=price,
        quantity=quantity,
        taker_side="buy",
    )


def beat(symbol: str, at: int) -> Heartbeat:
    return Heartbeat(symbol=symbol, event_time=at, receive_time=at + 1_000)


def book(symbol: str, at: int | None, update_id: int, bid: float, ask: float) -> Book:
    return Book(
        symbol=symbol,
        event_time=at,
        receive_time=T0 + update_id,
        update_id=update_id,
        bids=[(10.0, bid)] if bid else [],
        asks=[(10.1, ask)] if ask else [],
    )


def test_a_quiet_market_closes_by_heartbeats(replayed: RunningJob) -> None:
    symbol = "test:QUIET"
    replayed.send(TopicKind.TRADES, [trade(symbol, T0 + 1, 1), beat(symbol, T0 + MINUTE + 1_999_999)])
    candles = replayed.wait_rows(
        TopicKind.CANDLES, lambda rows: any(row.symbol == symbol for row in rows), "the forming candle"
    )
    assert not any(row.closed for row in candles if row.symbol == symbol)
    replayed.send(TopicKind.TRADES, [beat(symbol, T0 + MINUTE + 2_000_000)])

    def closed() -> set[str]:
        return {row.interval for row in replayed.rows(TopicKind.CANDLES) if row.symbol == symbol and row.closed}

    assert wait_for(closed, "the 1m candle to close") == {"1m"}
    replayed.send(TopicKind.TRADES, [beat(symbol, T0 + 5 * MINUTE + 2_500_000)])
    wait_for(lambda: closed() == {"1m", "5m"}, "the 5m candle to close")
    # Hours pass without a trade: no candle is made of nothing.
    replayed.send(TopicKind.TRADES, [beat(symbol, T0 + 300 * MINUTE)])
    wait_for(lambda: closed() == {"1m", "5m", "15m", "1h"}, "the longer candles to close")
    assert len({(r.interval, r.open_time) for r in replayed.rows(TopicKind.CANDLES) if r.symbol == symbol}) == 4


def test_two_candles_close_at_once(replayed: RunningJob) -> None:
    symbol = "test:TWO"
    end = T0 + MINUTE
    replayed.send(
        TopicKind.TRADES,
        [trade(symbol, end - 1, 1), trade(symbol, end + 500_000, 2), trade(symbol, end + 3 * MINUTE, 3)],
    )

    def closed() -> dict[int, int]:
        rows = [row for row in replayed.rows(TopicKind.CANDLES) if row.symbol == symbol and row.interval == "1m"]
        return {row.open_time: row.trades for row in rows if row.closed}

    wait_for(lambda: closed() == {T0: 1, T0 + MINUTE: 1}, "both candles to close")


def test_a_late_trade_is_told_and_changes_nothing(replayed: RunningJob) -> None:
    symbol = "test:LATE"
    clock = T0 + MINUTE + 2_000_000
    replayed.send(
        TopicKind.TRADES,
        [
            trade(symbol, T0 + 10, 1),
            trade(symbol, T0 + MINUTE + 1_900_000, 5),
            # Older than the newest, and in time: the candle is open for as long as lateness is allowed.
            trade(symbol, T0 + 20, 2, price=11.0),
            trade(symbol, clock, 6),
            trade(symbol, T0 + 30, 3, price=99.0),
            trade(symbol, T0 + 30, 3, price=99.0),
        ],
    )
    late = replayed.wait_rows(TopicKind.LATE, lambda rows: any(row.symbol == symbol for row in rows), "the late trade")
    replayed.caught_up(TopicKind.TRADES)
    late = [row for row in replayed.rows(TopicKind.LATE) if row.symbol == symbol]
    assert [(row.trade_id, row.price, row.clock) for row in late] == [(3, 99.0, clock)]
    rows = {(row.interval, row.open_time): row for row in replayed.rows(TopicKind.CANDLES) if row.symbol == symbol}
    assert rows["1m", T0].closed
    assert (rows["1m", T0].trades, rows["1m", T0].close, rows["1m", T0].high) == (2, 11.0, 11.0)
    assert (rows["5m", T0].trades, rows["5m", T0].high) == (4, 11.0)
    wait_for(lambda: replayed.health()[1].get("late"), "the late trade to be counted")
    assert "marketpipeline_stream_job_late_total 1.0" in replayed.metrics()


def test_a_dead_symbol_holds_up_no_other(replayed: RunningJob) -> None:
    replayed.send(TopicKind.TRADES, [trade("test:DEAD", T0, 1)])
    replayed.send(TopicKind.TRADES, [trade("test:ALIVE", T0, 1), beat("test:ALIVE", T0 + 2 * MINUTE)])
    replayed.wait_rows(
        TopicKind.CANDLES,
        lambda rows: any(row.symbol == "test:ALIVE" and row.closed for row in rows),
        "the candle of the living",
    )


def test_a_changed_threshold_is_in_force_within_seconds(replayed: RunningJob) -> None:
    symbol, interruptions = "test:RULES", replayed.health()[1]["interruptions"]
    stop = threading.Event()

    def keep_sending() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            # Imbalance (8 - 2) / (8 + 2) = 0.6.
            replayed.send(TopicKind.BOOK, [book(symbol, T0 + number * 50_000, number, 8.0, 2.0)])

    def statuses() -> list[tuple[str, str, float]]:
        rows = [row for row in replayed.rows(TopicKind.ALERTS) if row.symbol == symbol]
        return [(row.status, row.severity, row.threshold) for row in rows]

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        wait_for(lambda: statuses() == [("open", "MEDIUM", 0.5)], "the alert to open")
        thresholds = SymbolThresholds(
            symbol=symbol,
            effective_from=T0,
            values={
                "imbalance_medium": 0.65,
                "imbalance_high": 0.7,
                "spread_widening": 2.0,
                "price_spike": 0.02,
                "whale_trade": 5.0,
                "volume_spike": 1e6,
            },
        )
        replayed.send(TopicKind.THRESHOLDS, [thresholds])
        began = time.monotonic()
        wait_for(lambda: statuses()[1:2] == [("closed", "MEDIUM", 0.65)], "the alert to close", seconds=10)
        assert time.monotonic() - began < 10
    finally:
        stop.set()
        sender.join()
    replayed.send(TopicKind.TRADES, [trade(symbol, T0, 1, price=5.0, quantity=1.0), trade(symbol, T0, 2, price=5.5)])
    replayed.wait_rows(
        TopicKind.ALERTS,
        lambda rows: [r.trade_id for r in rows if r.symbol == symbol and r.rule == "whale_trade"] == [2, 2],
        "the whale by the new threshold",
    )
    assert replayed.health()[1]["interruptions"] == interruptions


def test_a_flip_closes_one_episode_and_opens_the_next(replayed: RunningJob) -> None:
    symbol = "test:FLIP"
    measures = [(1.0, 1.0), (8.0, 2.0), (9.0, 1.0), (7.0, 3.0), (9.0, 1.0), (1.0, 9.0), (1.0, 1.0)]
    replayed.send(TopicKind.BOOK, [book(symbol, T0 + n, n, bid, ask) for n, (bid, ask) in enumerate(measures)])
    rows = replayed.wait_rows(
        TopicKind.ALERTS,
        lambda rows: sum((row.symbol, row.rule) == (symbol, "extreme_imbalance") for row in rows) >= 7,
        "both episodes",
    )
    of_rule = [row for row in rows if (row.symbol, row.rule) == (symbol, "extreme_imbalance")]
    found = [(r.status, r.side, r.severity, r.started_at - T0, r.extreme) for r in of_rule]
    # 0.6, 0.8, 0.4 (closes), 0.8 and at once -0.8, 0.
    assert found == [
        ("open", "buy", "MEDIUM", 1, 0.6),
        ("escalated", "buy", "HIGH", 1, 0.8),
        ("closed", "buy", "HIGH", 1, 0.8),
        ("open", "buy", "HIGH", 4, 0.8),
        ("closed", "buy", "HIGH", 4, 0.8),
        ("open", "sell", "HIGH", 5, -0.8),
        ("closed", "sell", "HIGH", 5, -0.8),
    ]


def test_a_trace_goes_on_with_the_row(replayed: RunningJob) -> None:
    symbol, header = "test:TRACE", ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    replayed.send(TopicKind.BOOK, [book(symbol, T0, 1, 1.0, 1.0)])
    replayed.send_traced(TopicKind.BOOK, book(symbol, T0 + 1, 2, 1.0, 1.0), [header])
    wait_for(lambda: len(replayed.headers(TopicKind.BOOK_METRICS, symbol)) == 2, "both rows")
    assert replayed.headers(TopicKind.BOOK_METRICS, symbol) == [[], [header]]


def test_what_cannot_be_used_is_told_or_counted(replayed: RunningJob) -> None:
    symbol = "test:BAD"
    newer = {"type": "book", "v": 2, "symbol": symbol, "update_id": 1}
    cut = {"type": "trade", "v": 1, "symbol": symbol, "trade_time": T0, "price": "no number"}
    replayed.send(
        TopicKind.BOOK,
        [
            (symbol, json.dumps(newer).encode()),
            (symbol, b"\xff no json"),
            book(symbol, T0, 2, 1.0, 0.0),
            book(symbol, None, 3, 1.0, 1.0),
        ],
    )
    replayed.send(TopicKind.TRADES, [(symbol, json.dumps(cut).encode())])
    rows = replayed.wait_rows(
        TopicKind.DEAD_LETTERS, lambda rows: sum(row.symbol == symbol for row in rows) >= 3, "three dead letters"
    )
    errors = sorted(row.error for row in rows if row.symbol == symbol)
    assert [error.split(",")[0] for error in errors] == [
        "a side of the book is empty",
        "no book event of version 1 with its symbol",
        "no trade of version 1 with all its fields",
    ]
    assert all(row.source.startswith(replayed.prefix) and "]@" in row.source for row in rows)
    metrics = replayed.wait_rows(
        TopicKind.BOOK_METRICS, lambda rows: any(row.symbol == symbol for row in rows), "the good book behind them"
    )
    [good] = [row for row in metrics if row.symbol == symbol]
    assert (good.update_id, good.event_time, good.event_time_estimated) == (3, T0 + 3, True)
    wait_for(lambda: replayed.health()[1].get("unreadable") == 1, "what is not JSON to be counted", seconds=90)
    assert replayed.health()[1]["status"] == "degraded"


def test_stopped_in_order_it_goes_on_where_it_was(replayed: RunningJob) -> None:
    symbol, jvm = "test:STOP", replayed.jvm()
    replayed.send(TopicKind.TRADES, [trade(symbol, T0 + 1, 1), trade(symbol, T0 + 2, 2)])
    replayed.wait_rows(
        TopicKind.CANDLES, lambda rows: any(r.symbol == symbol and r.trades == 2 for r in rows), "both trades"
    )
    told = len(replayed.log.read_bytes())
    assert replayed.stop() == 0
    assert b'"level": "ERROR"' not in replayed.log.read_bytes()[told:], "an end in order is no error"
    assert not is_alive(jvm)
    assert list(replayed.checkpoints.glob("state-*/savepoint-*/_metadata"))
    [graph] = [file for file in PLANS.glob("*.graph") if replayed.prefix.encode() in file.read_bytes()]
    kept = graph.read_bytes()
    assert replayed.settings["kafka"]["bootstrap_servers"].encode() not in kept, "the next broker has another address"
    graph.write_bytes(b"torn")  # one that cannot be read is made again
    written = len(replayed.rows(TopicKind.BOOK_METRICS))
    replayed.send(TopicKind.TRADES, [trade(symbol, T0 + 2, 2), trade(symbol, T0 + 3, 3)])
    replayed.start()
    replayed.wait_rows(
        TopicKind.CANDLES, lambda rows: any(r.symbol == symbol and r.trades == 3 for r in rows), "the third trade"
    )
    assert max(r.trades for r in replayed.rows(TopicKind.CANDLES) if r.symbol == symbol) == 3
    assert len(replayed.rows(TopicKind.BOOK_METRICS)) == written
    assert len(graph.read_bytes()) == len(kept)


def test_neither_outlives_the_other(replayed: RunningJob) -> None:
    jvm = replayed.jvm()
    replayed.kill()
    wait_for(lambda: not is_alive(jvm), "the JVM to end with its process", seconds=5)
