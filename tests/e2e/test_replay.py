"""All captures through the whole pipeline at full speed: the tables equal what each capture says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.local.stored import open_stored
from marketpipeline.readers import HistoryQuery
from marketpipeline.store import table_of

from tests.conftest import wait_for
from tests.e2e import compare, oracle
from tests.e2e.pipeline import ALL, OTHERS, Pipeline
from tests.support import captures

Capture = Callable[[str], Path]

pytestmark = pytest.mark.timeout(900)


def candles_at(address: str) -> list[Any]:
    """The candles that are served there; none while nothing is."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            found: list[Any] = json.load(answer)["candles"]
            return found
    except OSError:
        return []


def wait_served(pipeline: Pipeline, *symbols: str) -> None:
    """Wait until the API answers with candles of all of these; it takes a hundred requests a minute."""
    for symbol in symbols:
        url = f"http://127.0.0.1:{pipeline.port}/api/v1/analytics/klines/{symbol}?interval=1m"
        wait_for(partial(candles_at, url), f"{url} answers", seconds=240, every=0.8)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, capture: Capture) -> Iterator[Pipeline]:
    """A run that has ended by itself, drained."""
    pipeline = Pipeline(tmp_path_factory.mktemp("replay"), [*ALL, *OTHERS], feeds="book, trades, quotes, raw")
    paths = [str(capture(name)) for name in dict.fromkeys([*ALL.values(), *OTHERS.values()])]
    pipeline.run("--replay", *paths, "--speed", "max", "--until-drained", seconds=300)
    yield pipeline
    pipeline.stop()


@pytest.mark.parametrize("symbol", ALL)
def test_every_trade_once(replayed: Pipeline, capture: Capture, symbol: str) -> None:
    compare.check_trades(replayed, symbol, capture(ALL[symbol]))


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", ALL)
def test_every_candle(replayed: Pipeline, capture: Capture, symbol: str, minutes: int) -> None:
    rows = compare.check_candles(replayed, symbol, capture(ALL[symbol]), minutes)
    assert [row["closed"] for row in rows[:-1]] == [True] * (len(rows) - 1)


@pytest.mark.parametrize("symbol", ALL)
def test_the_statistics_of_every_window(replayed: Pipeline, capture: Capture, symbol: str) -> None:
    for minutes in (1, 5):
        compare.check_statistics(replayed, symbol, capture(ALL[symbol]), minutes)


@pytest.mark.parametrize("symbol", ALL)
def test_every_book_event_and_alert_and_no_gap_but_those_of_the_capture(
    replayed: Pipeline, capture: Capture, symbol: str
) -> None:
    gaps = compare.check_gaps(replayed, symbol, capture(ALL[symbol]))
    assert len(gaps) == len(oracle.holes(capture(ALL[symbol]), compare.native(symbol))), gaps
    before_sync = compare.check_book(replayed, symbol, capture(ALL[symbol]), gaps)
    rows = oracle.book_rows(capture(ALL[symbol]), 20, 10, 10, compare.native(symbol))
    lost = sum(row.update_id in gap for row in rows for gap in gaps)
    assert lost < len(rows) / 4, "a hole ends with the next snapshot"
    assert before_sync <= 20, f"{before_sync} events passed before the book was synchronised"
    compare.check_alerts(replayed, symbol, capture(ALL[symbol]), Decimal(50_000), gaps)


@pytest.mark.parametrize("symbol", OTHERS)
def test_the_other_exchange_at_once(replayed: Pipeline, capture: Capture, symbol: str) -> None:
    """Trades, candles, books and alerts of both exchanges in the same tables; contracts are in base units."""
    path = capture(OTHERS[symbol])
    compare.check_trades(replayed, symbol, path)
    for minutes in (1, 5):
        compare.check_candles(replayed, symbol, path, minutes)
    assert compare.check_gaps(replayed, symbol, path) == []
    assert compare.check_book(replayed, symbol, path) == 0, "the snapshot that is pushed is the first record"
    compare.check_alerts(replayed, symbol, path, Decimal(50_000))


def test_the_number_of_contracts_is_kept(replayed: Pipeline, capture: Capture) -> None:
    symbol = captures.OKX_SYMBOLS[1]
    wanted = {int(row["tradeId"]): float(row["sz"]) for channel in ("trades", "trades-all")
              for _, row in oracle.rows(capture(OTHERS[symbol]), channel, compare.native(symbol))}  # fmt: skip
    rows = replayed.query("trades", symbol, "--limit", "1000000")
    assert {row["trade_id"]: row["contracts"] for row in rows} == wanted


def test_the_simulated_capture_has_what_it_is_there_for(replayed: Pipeline, capture: Capture) -> None:
    """Wrong times, holes, a quiet market, and each alert on both sides and in both severities."""
    path = capture(captures.SIMULATED)
    assert [len(oracle.holes(path, compare.native(symbol))) for symbol in captures.SIMULATED_SYMBOLS] == [1, 1, 0]
    found = [row for symbol in captures.SIMULATED_SYMBOLS for row in replayed.query("alerts", symbol)]
    imbalances = [row for row in found if row["rule"] == "extreme_imbalance"]
    assert {(row["side"], row["severity"]) for row in imbalances} == {
        (side, severity) for side in ("buy", "sell") for severity in ("MEDIUM", "HIGH")
    }
    assert any(row["ended_at"] is None for row in imbalances), "one that lasts beyond the end"
    assert {row["side"] for row in found if row["rule"] == "whale_trade"} == {"buy", "sell"}
    assert 1 <= len(oracle.trades(path, "ADAUSDT")) < 10
    assert len(oracle.missing_trades(path, "SOLUSDT")) == 1


@pytest.fixture(scope="module")
def again(replayed: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A run of its own that replays what the first one kept of its messages; its API answered meanwhile."""
    folder = tmp_path_factory.mktemp("again")
    kept = replayed.record(folder / "kept.gz")
    assert [path.name for path in kept] == ["kept-binance.gz", "kept-okx.gz"]
    pipeline = Pipeline(folder, [*ALL, *OTHERS])
    pipeline.start("--replay", *map(str, kept), "--speed", "max", "--until-drained")
    wait_served(pipeline, "BTCUSDT", captures.OKX_SYMBOLS[0])
    assert pipeline.wait(300) == 0, pipeline.tail()
    yield pipeline
    pipeline.stop()


OURS = {"receive_time", "process_time", "process", "closed"}
"""When and by whom a row was read and computed, and whether the last candle was closed before the run ended: all else
follows from what the exchange sent."""
TABLES = ("trades", "candles", "book_metrics", "book_statistics", "alerts", "feed_events")


def tables_of(run: Pipeline) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What its database holds, by table and symbol, in an order of its own; of the feeds' events the gaps."""
    found = {}
    with open_stored(run.state) as stored:
        for name in TABLES:
            for symbol in (*ALL, *OTHERS):
                only = {"symbol": symbol} | ({"kind": "gap"} if name == "feed_events" else {})
                rows = stored.readers.history(HistoryQuery(table_of(name), only))
                kept = ({column: value for column, value in row.items() if column not in OURS} for row in rows)
                found[name, symbol] = sorted(kept, key=repr)
    return found


def test_a_replay_of_the_messages_that_were_kept_gives_the_same_tables(
    replayed: Pipeline, again: Pipeline, capture: Capture
) -> None:
    """Of a book with a hole the length of the hole depends on when the snapshot came, and all that follows on it."""
    first, second = tables_of(replayed), tables_of(again)
    for (name, symbol), rows in first.items():
        assert rows or name in ("alerts", "feed_events"), (name, symbol)
        if name in ("trades", "candles") or not oracle.holes(capture((ALL | OTHERS)[symbol]), compare.native(symbol)):
            assert second[name, symbol] == rows, (name, symbol)
