"""All captures through the whole pipeline at full speed, with every sink: the tables equal what each capture says."""

from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from marketpipeline.store import TABLES, table_of
from marketpipeline.store.snowflake import EXTREMES, SAMPLES, TRADES, WHOLE

from tests.conftest import PROJECT, wait_for
from tests.e2e import compare, oracle
from tests.e2e.pipeline import ALL, LENGTH, OTHERS, START, Pipeline
from tests.e2e.stores import EveryStore, every_store
from tests.support import captures
from tests.support.panels import BOARDS, check_alike
from tests.support.receiver import receiver

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


EVERY_SINK = yaml.safe_load((PROJECT / "manifests" / "all-sinks.yaml").read_text())["spec"]["sinks"]
FILLED = ("trades", "candles", "book_metrics", "book_statistics", "alerts", "feed_events")
SERVERS = ("postgres", "valkey", "clickhouse", "seaweedfs", "fakesnow")


@dataclass(frozen=True)
class Replayed:
    """A run that has ended by itself, drained: of the messages that it kept the captures, and what people were told."""

    pipeline: Pipeline
    kept: list[Path]
    told: list[dict[str, Any]]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, capture: Capture) -> Iterator[Replayed]:
    """Every sink at once; alerts of any age are told, and trades go to the warehouse too."""
    folder = tmp_path_factory.mktemp("replay")
    paths = [str(capture(name)) for name in dict.fromkeys([*ALL.values(), *OTHERS.values()])]
    with receiver() as (received, url):
        channel = {"webhook": {"url": f"{url}/alerts"}, "maxAge": "9999d"}
        sinks = EVERY_SINK | {"notify": channel, "snowflake": EVERY_SINK["snowflake"] | {"trades": True}}
        feeds = "book, trades, quotes, raw"
        pipeline = Pipeline(folder, [*ALL, *OTHERS], feeds=feeds, sinks=json.dumps(sinks))
        pipeline.run("--replay", *paths, "--speed", "max", "--until-drained", seconds=480)
        told = [alert for message in received["/alerts"] for alert in message["alerts"]]
        yield Replayed(pipeline, pipeline.record(folder / "kept.gz"), told)
        pipeline.stop()


@pytest.fixture(scope="module")
def stored(replayed: Replayed) -> Iterator[EveryStore]:
    """Its stores, each to be asked alone."""
    with every_store(replayed.pipeline.state) as stores:
        yield stores


def test_the_run_has_a_server_for_each_sink_and_ends_in_order(replayed: Replayed) -> None:
    text = replayed.pipeline.log.read_text()
    sinks = [f"sink-{name}" for name in EVERY_SINK]
    assert [name for name in (*SERVERS, *sinks) if f"{name} is ready" not in text] == []
    for sink in sinks:
        assert text.index(" stream-job is stopped") < text.index(f" {sink} is stopped")
        for name in ("broker", *SERVERS):
            assert text.index(f" {sink} is stopped") < text.index(f" {name} is stopped")


@pytest.mark.parametrize("symbol", ALL)
def test_every_trade_once(stored: EveryStore, capture: Capture, symbol: str) -> None:
    compare.check_trades(stored, symbol, capture(ALL[symbol]))


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_of_a_dashboard_has_what_was_replayed(stored: EveryStore, board: str) -> None:
    since = datetime.fromtimestamp(START / 1e6, UTC)
    between = (since - timedelta(minutes=1), since + timedelta(microseconds=LENGTH, minutes=1))
    symbols = ("binance:BTCUSDT", "binance:ETHUSDT")
    # The 20 levels that are kept of these books end within 10 basis points of the mid.
    unknown = frozenset({"Depth of bids", "Depth of asks"})
    check_alike(board, symbols, between, stored.ask_timescale, stored.ask_clickhouse, unknown)


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", ALL)
def test_every_candle(stored: EveryStore, capture: Capture, symbol: str, minutes: int) -> None:
    rows = compare.check_candles(stored, symbol, capture(ALL[symbol]), minutes)
    assert [row["closed"] for row in rows[:-1]] == [True] * (len(rows) - 1)


@pytest.mark.parametrize("symbol", ALL)
def test_the_statistics_of_every_window(stored: EveryStore, capture: Capture, symbol: str) -> None:
    for minutes in (1, 5):
        compare.check_statistics(stored, symbol, capture(ALL[symbol]), minutes)


@pytest.mark.parametrize("symbol", ALL)
def test_every_book_event_and_alert_and_no_gap_but_those_of_the_capture(
    stored: EveryStore, capture: Capture, symbol: str
) -> None:
    gaps = compare.check_gaps(stored, symbol, capture(ALL[symbol]))
    assert len(gaps) == len(oracle.holes(capture(ALL[symbol]), compare.native(symbol))), gaps
    compare.check_book(stored, symbol, capture(ALL[symbol]), gaps)
    rows = oracle.book_rows(capture(ALL[symbol]), 20, 10, 10, compare.native(symbol))
    lost = sum(row.update_id in gap for row in rows for gap in gaps)
    assert lost < len(rows) / 4, "a hole ends with the next snapshot"
    compare.check_alerts(stored, symbol, capture(ALL[symbol]), Decimal(50_000), gaps)


@pytest.mark.parametrize("symbol", OTHERS)
def test_the_other_exchange_at_once(stored: EveryStore, capture: Capture, symbol: str) -> None:
    """Trades, candles, books and alerts of both exchanges in the same tables; contracts are in base units."""
    path = capture(OTHERS[symbol])
    compare.check_trades(stored, symbol, path)
    for minutes in (1, 5):
        compare.check_candles(stored, symbol, path, minutes)
    assert compare.check_gaps(stored, symbol, path) == []
    assert compare.check_book(stored, symbol, path) == 0, "the snapshot that is pushed is the first record"
    compare.check_alerts(stored, symbol, path, Decimal(50_000))


def test_the_number_of_contracts_is_kept(stored: EveryStore, capture: Capture) -> None:
    symbol = captures.OKX_SYMBOLS[1]
    wanted = {int(row["tradeId"]): float(row["sz"]) for channel in ("trades", "trades-all")
              for _, row in oracle.rows(capture(OTHERS[symbol]), channel, compare.native(symbol))}  # fmt: skip
    rows = stored.query("trades", symbol, "--limit", "1000000")
    assert {row["trade_id"]: row["contracts"] for row in rows} == wanted


def test_the_simulated_capture_has_what_it_is_there_for(stored: EveryStore, capture: Capture) -> None:
    """Wrong times, holes, a quiet market, and each alert on both sides and in both severities."""
    path = capture(captures.SIMULATED)
    assert [len(oracle.holes(path, compare.native(symbol))) for symbol in captures.SIMULATED_SYMBOLS] == [1, 1, 0]
    found = [row for symbol in captures.SIMULATED_SYMBOLS for row in stored.query("alerts", symbol)]
    imbalances = [row for row in found if row["rule"] == "extreme_imbalance"]
    assert {(row["side"], row["severity"]) for row in imbalances} == {
        (side, severity) for side in ("buy", "sell") for severity in ("MEDIUM", "HIGH")
    }
    assert any(row["ended_at"] is None for row in imbalances), "one that lasts beyond the end"
    assert {row["side"] for row in found if row["rule"] == "whale_trade"} == {"buy", "sell"}
    assert 1 <= len(oracle.trades(path, "ADAUSDT")) < 10
    assert len(oracle.missing_trades(path, "SOLUSDT")) == 1


@pytest.mark.parametrize("store", ["clickhouse", "lake"])
def test_every_store_has_the_same_rows(stored: EveryStore, store: str) -> None:
    """All columns of all rows, those of the database, of which the tests above say that they are right."""
    for table in TABLES:
        rows = stored.rows("timescale", table)
        assert rows or table.name not in FILLED
        assert stored.rows(store, table) == rows, table.name


def test_the_warehouse_has_the_same_rows_and_the_samples_of_the_book(stored: EveryStore) -> None:
    for table in (*WHOLE, TRADES):
        assert stored.rows("snowflake", table) == stored.rows("timescale", table), table.name
    seconds = defaultdict(list)
    for row in stored.rows("timescale", table_of("book_metrics")):
        seconds[row["symbol"], row["event_time"][:19] + "Z"].append(row)
    samples = stored.rows("snowflake", SAMPLES)
    assert [(sample["symbol"], sample["open_time"]) for sample in samples] == sorted(seconds)
    for sample in samples:
        rows = seconds[sample["symbol"], sample["open_time"]]
        last = max(rows, key=lambda row: (row["event_time"], row["update_id"]))
        assert last.items() <= sample.items()
        for name in EXTREMES:
            values = [row[name] for row in rows]
            assert (sample[f"lowest_{name}"], sample[f"highest_{name}"]) == (min(values), max(values)), sample


def test_the_cache_has_what_is_newest(stored: EveryStore) -> None:
    candles = [f"{name}:{window}" for name in ("candle", "closed-candle") for window in ("1m", "5m")]
    kinds = ["trade", "book", *candles]
    symbols = [*ALL, *OTHERS]
    assert stored.newest("redis", symbols, kinds) == stored.newest("timescale", symbols, kinds)


def test_people_were_told_of_every_alert_and_of_its_end(replayed: Replayed, stored: EveryStore) -> None:
    rows = stored.rows("timescale", table_of("alerts"))
    ended = {alert["id"] for alert in replayed.told if alert["told"] in ("closed", "happened")}
    assert {alert["id"] for alert in replayed.told} == {row["id"] for row in rows}
    assert ended == {row["id"] for row in rows if row["status"] == "closed"}
    assert len({(alert["id"], alert["told"]) for alert in replayed.told}) == len(replayed.told)


@pytest.fixture(scope="module")
def again(replayed: Replayed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A run of its own that replays what the first one kept of its messages; its API answered meanwhile."""
    folder, kept = tmp_path_factory.mktemp("again"), replayed.kept
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


def tables_of(stores: EveryStore) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """What its database holds, by table and symbol, in an order of its own; of the feeds' events the gaps."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {(n, s): [] for n in FILLED for s in (*ALL, *OTHERS)}
    for name in FILLED:
        for row in stores.rows("timescale", table_of(name)):
            if row.get("kind", "gap") == "gap":
                kept = {column: value for column, value in row.items() if column not in OURS}
                found[name, row["symbol"]].append(kept)
    return {place: sorted(rows, key=repr) for place, rows in found.items()}


def test_a_replay_of_the_messages_that_were_kept_gives_the_same_tables(
    stored: EveryStore, again: Pipeline, capture: Capture
) -> None:
    """Of a book with a hole the length of the hole depends on when the snapshot came, and all that follows on it."""
    first = tables_of(stored)
    with every_store(again.state) as stores:
        second = tables_of(stores)
    for (name, symbol), rows in first.items():
        assert rows or name in ("alerts", "feed_events"), (name, symbol)
        if name in ("trades", "candles") or not oracle.holes(capture((ALL | OTHERS)[symbol]), compare.native(symbol)):
            assert second[name, symbol] == rows, (name, symbol)
