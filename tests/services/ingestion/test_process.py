"""The whole process: real captures over a real socket into a real broker, with faults and kills in the middle."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from marketpipeline.records import Book, DeadLetter, FeedEvent, Heartbeat, Quote, Trade
from marketpipeline.topics import Feed, TopicKind

from tests.conftest import wait_for
from tests.services.ingestion import oracle
from tests.services.ingestion.processes import Processes

BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"


@pytest.fixture
def files(capture: Callable[[str], Path]) -> dict[str, Path]:
    return {symbol: capture(f"binance_{symbol[8:].lower()}_20240808.gz") for symbol in (BTC, ETH)}


@pytest.fixture
def captured(files: dict[str, Path]) -> dict[str, oracle.Capture]:
    return {symbol: oracle.read(path) for symbol, path in files.items()}


def replay(processes: Processes, files: dict[str, Path], speed: str) -> None:
    options = [option for path in files.values() for option in ("--replay", str(path))]
    processes.start_exchange(*options, "--speed", speed)


def check_trades(processes: Processes, symbol: str, captured: oracle.Capture, *, may_repeat: bool = False) -> None:
    """Every trade of the capture, in the order of ids, each once, with its values."""
    trades = processes.trades(symbol)
    ids = [trade.trade_id for trade in trades]
    if may_repeat:
        assert list(dict.fromkeys(ids)) == list(captured.trades)
    else:
        assert ids == list(captured.trades)
    for trade in trades:
        data = captured.trades[trade.trade_id]
        assert (f"{trade.price:.8f}", f"{trade.quantity:.8f}") == (data["p"], data["q"])
        assert (trade.trade_time, trade.taker_side) == (data["T"] * 1000, "sell" if data["m"] else "buy")
        assert trade.backfilled == (trade.event_time is None)


def span(event: FeedEvent) -> tuple[int, int]:
    """The first and the last id of an event about ids."""
    assert event.first_id is not None, event
    assert event.last_id is not None, event
    return event.first_id, event.last_id


def check_books(processes: Processes, symbol: str, captured: oracle.Capture) -> int:
    """After the first sync each change is a record or lies in a gap; best levels equal quotes.

    Returns how many lie in one.
    """
    books = processes.books(symbol)
    ids = [book.update_id for book in books]
    assert ids == sorted(set(ids))
    events = [event for event in processes.events(symbol) if event.feed == "book"]
    start = next(event.first_id for event in events if event.kind == "synced")
    assert start is not None
    gaps = [span(event) for event in events if event.kind == "gap"]
    written, missing = set(ids), 0
    for _, last in captured.changes:
        if last > start:
            in_gap = any(first <= last <= final for first, final in gaps)
            assert in_gap != (last in written), (last, gaps)
            missing += in_gap
    compared = 0
    for book in books:
        quote = captured.quotes.get(book.update_id)
        if quote is not None:
            compared += 1
            assert book.bids[0] == (float(quote["b"]), float(quote["B"]))
            assert book.asks[0] == (float(quote["a"]), float(quote["A"]))
    assert compared > 100
    return missing


def check_heartbeats(processes: Processes, *, deaf: str = "", lost: dict[str, int] | None = None) -> None:
    """What follows a heartbeat is later than it, whichever process wrote it.

    What the exchange does not send nobody can know of, until the next trade shows the hole: that is so for any trade of
    `deaf`, whose stream says nothing for a while, and for as many trades of a symbol as `lost` says.
    """
    promised: dict[str, int] = {}
    allowed = Counter(lost or {})
    for _, record in processes.records(TopicKind.TRADES):
        if isinstance(record, Heartbeat):
            promised[record.symbol] = max(record.event_time, promised.get(record.symbol, 0))
        elif isinstance(record, Trade) and record.trade_time <= promised.get(record.symbol, 0):
            assert record.backfilled, "a heartbeat promised this had come"
            allowed[record.symbol] -= record.symbol != deaf
            assert allowed[record.symbol] >= 0, "a heartbeat promised this had come, and the exchange had sent it"
    assert set(promised) == {BTC, ETH}


def test_a_replay_as_fast_as_it_goes(
    processes: Processes, files: dict[str, Path], captured: dict[str, oracle.Capture]
) -> None:
    replay(processes, files, "max")
    processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSDT", feeds=(Feed.BOOK, Feed.TRADES, Feed.QUOTES)))
    processes.wait_replayed()
    health = processes.health()
    assert processes.stop_ingestion() == 0, processes.log()
    for symbol in (BTC, ETH):
        check_trades(processes, symbol, captured[symbol])
        assert check_books(processes, symbol, captured[symbol]) == 0
        quotes = [r for _, r in processes.records(TopicKind.QUOTES) if isinstance(r, Quote) and r.symbol == symbol]
        assert [quote.update_id for quote in quotes] == list(captured[symbol].quotes)
    check_heartbeats(processes)
    assert processes.records(TopicKind.DEAD_LETTERS) == []
    partitions: dict[str, set[int]] = {}
    for kind in (TopicKind.TRADES, TopicKind.BOOK, TopicKind.QUOTES):
        for partition, record in processes.records(kind):
            partitions.setdefault(record.symbol, set()).add(partition)
    assert all(len(places) == 1 for places in partitions.values())
    assert (health["status"], health["connected"], health["dlq"], health["gaps"]) == ("ok", True, 0, 0)
    assert health["produced"] > 70_000
    assert health["frames"] > 74_000


def test_kill_9_in_the_middle(
    processes: Processes, files: dict[str, Path], captured: dict[str, oracle.Capture]
) -> None:
    replay(processes, files, "40")
    settings = processes.settings("BTCUSDT", "ETHUSDT")
    processes.start_ingestion(settings)
    processes.wait_replayed(0.3)
    processes.kill_ingestion()
    processes.start_ingestion(settings)
    processes.wait_replayed()
    assert processes.stop_ingestion() == 0, processes.log()
    for symbol in (BTC, ETH):
        check_trades(processes, symbol, captured[symbol])
        assert check_books(processes, symbol, captured[symbol]) > 0, "it was away: something must be missing"
        trades = processes.trades(symbol)
        assert any(trade.backfilled for trade in trades)
        kinds = [event.kind for event in processes.events(symbol) if event.feed == "book"]
        assert [kind for kind in kinds if kind != "joined"] == ["synced", "resync", "gap", "left"]
        backfills = [event for event in processes.events(symbol) if event.kind == "backfill"]
        backfilled = [trade.trade_id for trade in trades if trade.backfilled]
        assert [(backfill.first_id, backfill.last_id) for backfill in backfills] == [(backfilled[0], backfilled[-1])]
    check_heartbeats(processes)


def test_everything_that_goes_wrong_on_the_wire(
    processes: Processes, files: dict[str, Path], captured: dict[str, oracle.Capture]
) -> None:
    replay(processes, files, "20")
    processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSDT", stale_after_ms=1500))
    steps: list[tuple[float, str, dict[str, object]]] = [
        (0.05, "gap", {"symbol": "BTCUSDT", "count": 4}),
        (0.12, "duplicate", {"symbol": "ETHUSDT", "count": 40}),
        (0.18, "malformed", {"symbol": "BTCUSDT", "count": 2}),
        (0.25, "disconnect", {"refuse": 0.5}),
        (0.40, "shutdown", {"after": 1.5}),
        (0.55, "silent", {"stream": "ethusdt@trade", "seconds": 6}),
        (0.70, "rate-limit", {"seconds": 1}),
        (0.71, "gap", {"symbol": "ETHUSDT", "count": 3}),
    ]
    for share, fault, parameters in steps:
        processes.wait_replayed(share)
        processes.fault(fault, **parameters)
    processes.wait_replayed()
    health = processes.health()
    assert processes.stop_ingestion() == 0, processes.log()
    for symbol in (BTC, ETH):
        check_trades(processes, symbol, captured[symbol])
        assert check_books(processes, symbol, captured[symbol]) > 0
    check_heartbeats(processes, deaf=ETH, lost={BTC: 4})
    letters = [record for _, record in processes.records(TopicKind.DEAD_LETTERS)]
    assert len(letters) == health["dlq"] == 12, "six kinds of broken copies, twice"
    assert {letter.symbol for letter in letters} == {BTC}
    assert all(isinstance(letter, DeadLetter) and letter.error and letter.payload for letter in letters)
    kinds = Counter((event.kind, event.symbol) for event in processes.events())
    told = [event.kind for event in processes.events() if event.symbol == ETH]
    silence = [kind for kind in told if kind in ("stale", "recovered")]
    assert silence[:2] == ["stale", "recovered"], "and at most once more, when the replay has ended"
    assert len(silence) <= 3
    assert kinds["disconnect", BTC] == 2, "one lost and one at the end; the shutdown was met before it"
    assert kinds["reconnect", BTC] == health["reconnects"] == 1
    assert kinds["gap", BTC] >= 2
    assert health["rest"]["throttled"] > 0


def test_a_broker_that_is_away_stops_the_reading_and_loses_nothing(
    processes: Processes, files: dict[str, Path], captured: dict[str, oracle.Capture]
) -> None:
    replay(processes, files, "40")
    processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSDT", feeds=(Feed.BOOK, Feed.TRADES, Feed.QUOTES)))
    processes.wait_replayed(0.1)
    processes.broker.kill()
    try:
        wait_for(lambda: processes.health().get("paused"), "the reading to pause", seconds=60)
        assert processes.health()["in_flight"] > 10_000
        assert (processes.health()["status"], "paused" in processes.health()["reason"]) == ("degraded", True)
    finally:
        processes.broker.start()
    processes.wait_replayed()
    health = processes.health()
    assert processes.stop_ingestion() == 0, processes.log()
    assert health["paused_seconds"] > 0
    assert health["backpressure"] >= 1
    for symbol in (BTC, ETH):
        check_trades(processes, symbol, captured[symbol])
        check_books(processes, symbol, captured[symbol])


def test_every_feed_of_a_simulated_market(processes: Processes) -> None:
    processes.start_exchange("--symbol", "BTCUSDT")
    processes.start_ingestion(processes.settings("BTCUSDT", feeds=tuple(Feed)))
    kinds = {
        TopicKind.TRADES, TopicKind.AGG_TRADES, TopicKind.BOOK, TopicKind.QUOTES, TopicKind.TICKERS,
        TopicKind.EXCHANGE_CANDLES,
    }  # fmt: skip
    wait_for(
        lambda: all(
            state["seen"] for state in processes.health().get("symbols", {}).get(BTC, {"": {"seen": 0}}).values()
        ),
        "every stream to speak",
        seconds=60,
    )
    assert processes.stop_ingestion() == 0, processes.log()
    assert all(processes.records(kind) for kind in kinds)
    assert processes.records(TopicKind.DEAD_LETTERS) == []


def test_wrong_values_stop_nothing_else(processes: Processes) -> None:
    """Times, quantities and quotes that cannot be: dead letters of their symbol, and no clock moves."""
    processes.start_exchange("--symbol", "BTCUSDT", "--symbol", "ETHUSDT")
    feeds = (Feed.BOOK, Feed.TRADES, Feed.QUOTES)
    processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSDT", feeds=feeds))
    wait_for(lambda: processes.health().get("produced", 0) > 200, "records")
    wrong = [("ahead", "trades"), ("ahead", "book"), ("nanoseconds", "trades"), ("behind", "book"),
             ("zero-quantity", "trades")]  # fmt: skip

    def kept() -> int:
        letters: int = processes.health()["dlq"]
        return letters

    for number, (value, feed) in enumerate(wrong):
        processes.fault("wrong-value", value=value, feed=feed, symbol="BTCUSDT")
        wait_for(partial(lambda before: kept() > before, number), f"the dead letter of {value} in {feed}")
    processes.fault("wrong-value", value="one-sided", feed="quotes", symbol="BTCUSDT", count=5)
    wait_for(lambda: processes.health()["symbols"][BTC]["quotes"]["nothing"] == {"one-sided book": 5}, "odd quotes")
    since = processes.health()["synced_through"]
    wait_for(lambda: processes.health()["synced_through"] > since + 3_000_000, "three more seconds")
    wait_for(lambda: not processes.health()["pending"], "nothing to be fetched")
    assert processes.stop_ingestion() == 0, processes.log()
    letters = [record for _, record in processes.records(TopicKind.DEAD_LETTERS)]
    assert [letter.symbol for letter in letters] == [BTC] * len(wrong)
    now = time.time_ns() // 1000
    for kind in (TopicKind.TRADES, TopicKind.BOOK):
        assert all(beat.event_time <= now for beat in processes.heartbeats(kind))
    told = [event.kind for event in processes.events(ETH) if event.kind not in ("joined", "left")]
    assert told == ["synced", "disconnect"], "the end"
    for symbol, lost in ((BTC, 1), (ETH, 0)):
        ids = [trade.trade_id for trade in processes.trades(symbol)]
        assert len(ids) == ids[-1] - ids[0] + 1 - lost
    (gap,) = [event for event in processes.events(BTC) if event.kind == "gap" and event.feed == "trades"]
    assert gap.first_id == gap.last_id


def test_a_symbol_off_the_list_and_a_bad_row_of_rest(processes: Processes) -> None:
    processes.start_exchange("--symbol", "BTCUSDT", "--symbol", "ETHUSDT")
    processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSDT", stale_after_ms=1000))
    wait_for(lambda: processes.health().get("produced", 0) > 100, "records")
    processes.fault("delist", symbol="ETHUSDT", seconds=12)
    wait_for(lambda: ETH in processes.health()["unlisted"], "it to be told", seconds=30)
    processes.fault("bad-row", symbol="BTCUSDT")
    processes.fault("gap", symbol="BTCUSDT", count=20)
    wait_for(lambda: processes.health()["dlq"] == 1, "the bad row", seconds=90)
    wait_for(lambda: ETH not in processes.health()["unlisted"], "it to come back", seconds=60)
    wait_for(lambda: not processes.health()["pending"], "nothing to be fetched", seconds=60)
    assert processes.stop_ingestion() == 0, processes.log()
    rejected = [event for event in processes.events() if event.kind == "rejected"]
    assert [event.symbol for event in rejected] == [ETH]
    (gap,) = [event for event in processes.events(BTC) if event.kind == "gap" and event.feed == "trades"]
    assert gap.first_id == gap.last_id


def test_partial_depth(processes: Processes) -> None:
    processes.start_exchange("--symbol", "BTCUSDT")
    processes.start_ingestion(processes.settings("BTCUSDT", feeds=(Feed.BOOK,), partial_depth=True, levels=5))
    wait_for(lambda: processes.health().get("produced", 0) > 20, "books", seconds=30)
    assert processes.stop_ingestion() == 0, processes.log()
    books = [record for _, record in processes.records(TopicKind.BOOK) if isinstance(record, Book)]
    assert all(book.event_time is None and 0 < len(book.bids) <= 5 for book in books)


def test_a_symbol_that_the_exchange_has_not_is_told_and_the_others_work(
    processes: Processes, files: dict[str, Path]
) -> None:
    replay(processes, files, "20")
    processes.start_ingestion(processes.settings("BTCUSDT", "ETHUSTD"))
    wait_for(lambda: processes.health().get("produced", 0) > 10, "records")
    health = processes.health()
    assert processes.stop_ingestion() == 0
    assert health["status"] == "degraded"
    assert "nearest: binance:ETHUSDT" in health["rejected"]["binance:ETHUSTD"]
    assert health["reason"] == "unknown to the exchange: binance:ETHUSTD"
    rejected = [event for event in processes.events() if event.kind == "rejected"]
    assert [event.symbol for event in rejected] == ["binance:ETHUSTD"]


def test_when_no_symbol_is_right_it_ends_and_says_so(processes: Processes, files: dict[str, Path]) -> None:
    replay(processes, files, "1")
    process = processes.start_ingestion(processes.settings("BTCUSTD"))
    assert process.wait(30) == 2
    assert (
        "symbols: 'binance:BTCUSTD': must be a symbol that the exchange lists; nearest: binance:BTCUSDT"
        in processes.log()
    )


def test_without_a_topic_it_waits_and_says_for_what_and_can_be_stopped(processes: Processes) -> None:
    settings = processes.settings("BTCUSDT") | {"topic_prefix": "no-such-prefix"}
    processes.start_ingestion(settings)
    wait_for(lambda: processes.health().get("doing") == "waiting for the broker and its topics", "it to wait")
    wait_for(lambda: "no topic no-such-prefix." in processes.log(), "it to say for what")
    assert processes.health()["status"] == "starting"
    assert processes.stop_ingestion() == 0


def test_an_exchange_that_is_away_is_waited_for(processes: Processes) -> None:
    processes.start_ingestion(processes.settings("BTCUSDT"))
    wait_for(lambda: "cannot connect" in processes.log() or "exchange does not say" in processes.log(), "a first try")
    assert processes.health()["connected"] is False
    processes.start_exchange("--symbol", "BTCUSDT")
    wait_for(lambda: processes.health().get("connected"), "a connection", seconds=60)
    metrics = subprocess.run(
        ["curl", "-s", f"http://127.0.0.1:{processes.port}/metrics"], capture_output=True, text=True, check=True
    ).stdout
    assert "marketpipeline_ingestion_frames_total" in metrics
    assert "marketpipeline_ingestion_produced_total{" in metrics
    assert processes.stop_ingestion() == 0


LISTED = ("STRY", "BTC-USD_250926", "币安人生USDT")
"""Four letters, every sign of the exchange's own rule, and a name beyond ASCII."""


def test_any_name_that_an_exchange_lists(processes: Processes) -> None:
    processes.start_exchange(*(option for name in LISTED for option in ("--symbol", name)))
    feeds = tuple(Feed)
    processes.start_ingestion(processes.settings(*LISTED, "币安人死USDT", feeds=feeds))

    wait_for(lambda: processes.health().get("produced", 0) > 3_000, "records of all, also the rare ones", seconds=60)
    assert list(processes.health()["rejected"]) == ["binance:币安人死USDT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{processes.port}/metrics", timeout=5) as answer:
        metrics = answer.read().decode()
    assert processes.stop_ingestion() == 0, processes.log()
    for name in LISTED:
        symbol = f"binance:{name}"
        assert processes.trades(symbol)
        assert processes.books(symbol)
        assert {event.kind for event in processes.events(symbol)} >= {"synced"}
        for kind in (TopicKind.QUOTES, TopicKind.AGG_TRADES, TopicKind.TICKERS, TopicKind.EXCHANGE_CANDLES):
            assert symbol in {record.symbol for _, record in processes.records(kind)}, kind
        assert f'symbol="{symbol}"' in metrics
    assert "binance:币安人死USDT" in {event.symbol for event in processes.events() if event.kind == "rejected"}
    assert processes.records(TopicKind.DEAD_LETTERS) == []
