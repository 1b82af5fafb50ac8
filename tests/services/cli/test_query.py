"""`marketpipeline query` on the state folder of a run that has ended, and of one that is on; a real database in it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from marketpipeline.cli import cli
from marketpipeline.errors import InvalidInput, InvalidQuery
from marketpipeline.local.components.postgres import Postgres
from marketpipeline.local.state import STORES, StateFolder
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.lake import LakeSink
from marketpipeline.sinks.timescale import TimescaleSink
from pydantic import SecretStr

from tests.conftest import free_port
from tests.services.sinks.samples import (
    BTC,
    ETH,
    MINUTE,
    alert,
    book,
    book_statistics,
    candle,
    deliver,
    feed_event,
    late_trade,
    trade,
    trade_statistics,
)  # fmt: skip
from tests.support.server import RunningServer

OTHER_ETH = "elsewhere:ETHUSDT"
SOL = "binance:SOLUSDT"
COLD = 1_719_835_200_000_000
"""2024-07-01T12:00:00Z."""
PRICES = [61_000.01, 0.1 + 0.2, 1e-8, 123_456_789.123456]
"""Of the first trades, each with all its digits."""
STORED = [
    *(trade(n, trade_time=1_723_161_240_000_001 + n, price=price) for n, price in enumerate(PRICES)),
    *(trade(n) for n in range(10, 1_210)),
    trade(1, symbol=ETH),
    trade(1, symbol=OTHER_ETH),
    *(candle(n, closed=n < 4) for n in range(5)),
    candle(0, interval="5m", close_time=1_723_161_240_000_000 + 5 * MINUTE, buy_sell_ratio=None),
    *(book(n) for n in range(3)),
    alert(0, status="closed", ended_at=1_723_161_241_000_000),
    alert(1),
    alert(0, ETH, id=f"outlier:{ETH}:1:1001", rule="outlier", started_at=trade(1).trade_time, trade_id=1_001),
    trade(2, symbol=ETH),
    alert(0, symbol=SOL, id=f"outlier:{SOL}:1:1001", rule="outlier", started_at=COLD + 1, trade_id=1_001),
    *(trade_statistics(n) for n in range(2)),
    *(book_statistics(n) for n in range(3)),
    book_statistics(0, interval="1m"),
    feed_event(0, first_id=11, last_id=14),
    *(late_trade(n) for n in (1, 2)),
    feed_event(1, id="backfill:1", kind="backfill", feed="trades"),
]

Query = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a run that has ended; its API was told of a symbol and an interval without rows."""
    path = tmp_path_factory.mktemp("query") / "state"
    for parent in path.parents:
        if parent.name.startswith("pytest-") or parent == path.parent:
            parent.chmod(parent.stat().st_mode | 0o011)
    state = StateFolder.open(path, "stored", "simulated")
    try:
        server, component = _server(state)
        server.start()
        try:
            sink = TimescaleSink(
                TimescaleStoreSettings(url=component.url, password=SecretStr(state.password("postgres")))
            )
            sink.open()
            sink.write(deliver(*STORED))
            sink.close()
            _archive(state, component)
        finally:
            server.stop()
    finally:
        state.close()
    return path


@pytest.fixture(scope="module")
def running(ended: Path) -> Iterator[Path]:
    """The same folder while a run has it: locked, its database named in state.json."""
    state = StateFolder.open_existing(ended, wait_seconds=5)
    server, component = _server(state)
    server.start()
    try:
        follows = {"symbols": [BTC, ETH, "binance:SOLUSDT"], "windows": ["1m", "5m", "1h"]}
        started = {"postgres": {"pid": 1, "url": component.url}}
        state.write_live({"pipeline": "stored", **follows, "components": started})
        yield ended
    finally:
        state.write_live({})
        server.stop()
        state.close()


def _archive(state: StateFolder, database: Postgres) -> None:
    """A day of another symbol is in the lake alone, a folder of the run's."""
    lake = LakeStoreSettings(url=(state.path.parent / "lake").as_uri())
    sink = LakeSink(lake)
    sink.open()
    sink.write(deliver(*(trade(n, SOL, trade_time=COLD + n) for n in range(3))))
    sink.flush(everything=True)
    sink.close()
    state.write_settings(STORES, {"lake": lake.model_dump(mode="json")})
    with psycopg.connect(database.url, password=state.password("postgres")) as connection:
        connection.execute("INSERT INTO archived_days (table_name, day, rows) VALUES ('trades', '2024-07-01', 3)")


def _server(state: StateFolder) -> tuple[RunningServer, Postgres]:
    component = Postgres(folder=state.folder("postgres"), port=free_port(), password=state.password("postgres"))
    return RunningServer(component, state.log("postgres")), component


def invoke(state: Path, *arguments: str) -> str:
    result = CliRunner().invoke(cli, ["query", *arguments, "--state", str(state)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def rows(running: Path) -> Query:
    """The rows that a query gives as JSON."""

    def ask(*arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in invoke(running, *arguments, "--format", "json").splitlines()]

    return ask


@pytest.fixture
def refused(running: Path) -> Callable[..., str]:
    """What a wrong query is told."""

    def ask(*arguments: str) -> str:
        with pytest.raises(InvalidQuery) as error:
            invoke(running, *arguments, "--format", "json")
        return str(error.value)

    return ask


def process(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "marketpipeline", "query", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=cwd)


def test_the_state_of_a_run_that_has_ended(ended: Path) -> None:
    done = process("candles", "BTCUSDT", "--interval", "1m", "--state", str(ended), "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["closed"] for line in done.stdout.splitlines()] == [True, True, True, True, False]
    StateFolder.open_existing(ended, wait_seconds=0).close()
    assert not (ended / "postgres" / "data" / "postmaster.pid").exists(), "the database that it started still runs"


def test_whoever_reads_may_stop(ended: Path) -> None:
    command = f"{sys.executable} -m marketpipeline query trades BTCUSDT --state {ended} --format csv | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout.startswith("symbol,event_time,trade_time")
    assert done.stderr == ""


def test_a_candle_has_all_of_its_fields(rows: Query) -> None:
    first = rows("candles", BTC, "--limit", "5")[0]
    assert first == {
        "symbol": BTC,
        "interval": "1m",
        "open_time": "2024-08-08T23:54:00Z",
        "close_time": "2024-08-08T23:55:00Z",
        "closed": True,
        "complete": True,
        "open": 61_000.0,
        "high": 61_010.0,
        "low": 60_990.0,
        "close": 61_005.0,
        "volume": 10.5,
        "quote_volume": 640_552.5,
        "trades": 100,
        "taker_buy_volume": 6.5,
        "vwap": 61_005.0,
        "buy_sell_ratio": 1.625,
        "price_change": 5 / 61_000,
        "first_trade_id": 1,
        "last_trade_id": 100,
        "receive_time": "2024-08-08T23:54:50.000000Z",
        "process_time": "2024-08-08T23:54:50.010000Z",
    }


def test_another_interval(rows: Query) -> None:
    (only,) = rows("candles", "BTCUSDT", "--interval", "5m")
    assert only["close_time"] == "2024-08-08T23:59:00Z"
    assert only["buy_sell_ratio"] is None


def test_an_interval_that_the_pipeline_makes_may_have_no_candle_yet(rows: Query) -> None:
    assert rows("candles", "BTCUSDT", "--interval", "1h") == []
    assert rows("candles", "SOLUSDT") == []


def test_every_digit_of_a_number_and_of_a_time(rows: Query) -> None:
    first = rows("trades", BTC, "--from", "2024-08-08T23:54:00", "--limit", "4")
    assert [row["price"] for row in first] == PRICES
    assert [row["trade_time"] for row in first] == [f"2024-08-08T23:54:00.00000{n}Z" for n in range(1, 5)]


def test_no_rows_are_a_header_in_csv_and_said_in_a_table(running: Path) -> None:
    none = ("trades", BTC, "--to", "2024-08-08")
    assert invoke(running, *none, "--format", "csv").count("\n") == 1
    assert invoke(running, *none, "--format", "json") == ""
    assert invoke(running, *none) == "no rows\n"


def test_json_and_csv_have_all_rows_and_a_table_the_newest(rows: Query, running: Path) -> None:
    everything = rows("trades", BTC)
    assert len(everything) == 1_204
    assert [row["trade_time"] for row in everything] == sorted(row["trade_time"] for row in everything)
    read = list(csv.DictReader(io.StringIO(invoke(running, "trades", BTC, "--format", "csv"))))
    assert [float(row["price"]) for row in read] == [row["price"] for row in everything]
    assert read[0]["backfilled"] == "false"
    table = invoke(running, "trades", BTC).splitlines()
    assert len(table) == 1_001
    assert table[0].split() == ["trade_time", "trade_id", "price", "quantity", "taker_side", "backfilled"]
    assert table[-1].split()[1] == str(everything[-1]["trade_id"])


def test_book_alerts_and_gaps(rows: Query) -> None:
    measured = rows("book", BTC)
    assert [row["update_id"] for row in measured] == [7_000, 7_001, 7_002]
    assert measured[0]["imbalance"] == 0.123456789012345
    assert measured[0]["ask_depth"] is None
    assert [(row["status"], row["ended_at"]) for row in rows("alerts", BTC)] == [
        ("closed", "2024-08-08T23:54:01.000000Z"),
        ("open", None),
    ]
    (gap,) = rows("gaps", BTC)
    assert (gap["feed"], gap["kind"], gap["first_id"], gap["last_id"]) == ("book", "gap", 11, 14)
    assert [row["kind"] for row in rows("gaps", BTC, "--all")] == ["gap", "backfill"]
    assert rows("gaps", ETH) == []


def test_outliers_can_be_left_out(rows: Query) -> None:
    assert [row["trade_id"] for row in rows("trades", ETH)] == [1_001, 1_002]
    assert [row["trade_id"] for row in rows("trades", ETH, "--without-outliers")] == [1_002]
    cold = rows("trades", SOL, "--without-outliers", "--from", "2024-07-01", "--limit", "2")
    assert [row["trade_id"] for row in cold] == [1_000, 1_002], "of the lake, by alerts of the database"


def test_statistics_of_windows_and_of_seconds(rows: Query) -> None:
    assert [row["outliers"] for row in rows("statistics", BTC)] == [1, 1]
    assert [row["events"] for row in rows("book-statistics", BTC)] == [10, 10, 10]
    assert len(rows("book-statistics", BTC, "--interval", "1m")) == 1


def test_alerts_of_one_rule(rows: Query) -> None:
    assert len(rows("alerts", BTC, "--rule", "extreme_imbalance")) == 2
    assert rows("alerts", BTC, "--rule", "whale_trade") == []
    assert len(rows("alerts", BTC, "--severity", "MEDIUM")) + len(rows("alerts", BTC, "--severity", "HIGH")) == 2


def test_days_that_are_in_the_folder_of_the_lake(rows: Query, running: Path) -> None:
    assert [row["trade_id"] for row in rows("trades", "SOLUSDT")] == [1_000, 1_001, 1_002]
    (cold,) = rows("coverage", "SOLUSDT", "--table", "trades")
    assert (cold["day"], cold["store"], cold["rows"], cold["gaps"]) == ("2024-07-01", "lake", 3, 0)
    lines = [line.split() for line in invoke(running, "tiers").splitlines()]
    assert lines == [
        ["tier", "store", "error", "archived_days", "kept_back"],
        ["warm", "timescale", "-", "trades", "1", "-"],
        ["cold", "lake", "-", "-", "-"],
    ]
    assert rows("tiers")[0]["archived_days"] == {"trades": 1}


def test_what_there_is_of_each_day(rows: Query, running: Path) -> None:
    (day,) = rows("coverage", "BTCUSDT", "--table", "book_metrics", "--limit", "1")
    assert (day["day"], day["store"], day["rows"], day["gaps"]) == ("2024-08-08", "timescale", 3, 1)
    assert [row["rows"] for row in rows("coverage", BTC, "--interval", "5m")] == [1]
    assert invoke(running, "coverage", BTC, "--format", "csv").startswith("symbol,day,store,rows,first,last,gaps\n")
    assert invoke(running, "coverage", BTC, "--to", "2024-08-01") == "no rows\n"


def test_late_trades_are_told_with_the_gaps(rows: Query, running: Path) -> None:
    assert rows("gaps", BTC, "--from", "2024-08-09") == [], "JSON is the rows and nothing else"
    said = invoke(running, "gaps", BTC).splitlines()[-1]
    assert said == ("2 late trades, in no candle: from 2024-08-08T23:54:00.001000Z to 2024-08-08T23:54:00.002000Z")
    assert invoke(running, "gaps", BTC, "--from", "2024-08-09") == "no rows\n"
    assert "late" not in invoke(running, "gaps", ETH)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2024-08-08T23:55:00Z", "2024-08-08T23:57:00Z"),
        ("2024-08-08 23:55", "2024-08-08 23:57"),
        ("2024-08-09T01:55:00+02:00", "2024-08-09T01:57:00+02:00"),
        ("1723161300", "1723161420"),
        ("1723161300000", "1723161420000"),
    ],
)
def test_the_begin_is_within_and_the_end_is_not(rows: Query, since: str, until: str) -> None:
    found = rows("candles", BTC, "--from", since, "--to", until)
    assert [row["open_time"] for row in found] == ["2024-08-08T23:55:00Z", "2024-08-08T23:56:00Z"]


def test_a_limit_gives_the_first_behind_the_begin_and_else_the_newest(rows: Query) -> None:
    assert [row["open_time"][11:16] for row in rows("candles", BTC, "--limit", "2")] == ["23:57", "23:58"]
    behind = rows("candles", BTC, "--limit", "2", "--from", "2024-08-08T23:55:00Z")
    assert [row["open_time"][11:16] for row in behind] == ["23:55", "23:56"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("BTCUSD",), ["SYMBOL: 'BTCUSD'", "did you mean BTCUSDT?", "binance:ETHUSDT"]),
        (("binance:BTCUSD",), ["did you mean binance:BTCUSDT?"]),
        (("btcusdt",), ["did you mean BTCUSDT?"]),
        (("ETHUSDT",), ["is on several exchanges", "binance:ETHUSDT", "elsewhere:ETHUSDT"]),
        ((BTC, "--interval", "7m"), ["--interval: '7m'", "unknown interval", "5m"]),
        ((BTC, "--from", "yesterday"), ["--from: 'yesterday'", "ISO 8601"]),
        ((BTC, "--to", "2024-13-01"), ["--to: '2024-13-01'", "ISO 8601"]),
        ((BTC, "--from", "-5"), ["--from: '-5'"]),
        ((BTC, "--to", "9" * 30), ["--to: "]),
        (
            (BTC, "--from", "2024-08-09", "--to", "2024-08-08"),
            ["--to: '2024-08-08'", "later than `--from` (2024-08-09)"],
        ),
        (("BTCUSD", "--interval", "7m", "--from", "x"), ["SYMBOL: ", "--interval: ", "--from: "]),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(
    refused: Callable[..., str], arguments: tuple[str, ...], told: list[str]
) -> None:
    message = refused("candles", *arguments)
    for part in told:
        assert part in message


def test_the_status_of_a_wrong_query_is_2(running: Path) -> None:
    done = process("candles", "BTCUSD", "--state", str(running))
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean BTCUSDT?" in done.stderr
    assert process("candles", BTC, "--state", str(running), "--limit", "0").returncode == 2
    assert process("candles", BTC, "--state", str(running), "--format", "xml").returncode == 2


def test_without_a_state_it_is_the_only_folder(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=r"query:\n.*holds no state of a pipeline; "):
        CliRunner().invoke(cli, ["query", "trades", BTC], catch_exceptions=False)
    for name in ("one", "two"):
        StateFolder.open(tmp_path / ".marketpipeline" / name, name, "simulated").close()
    with pytest.raises(InvalidInput, match=r"--state.*\.marketpipeline/one, \.marketpipeline/two"):
        CliRunner().invoke(cli, ["query", "trades", BTC], catch_exceptions=False)


def test_a_run_that_ended_before_it_had_tables(tmp_path: Path) -> None:
    StateFolder.open(tmp_path / "state", "new", "simulated").close()
    with pytest.raises(InvalidInput, match="holds no tables"):
        invoke(tmp_path / "state", "trades", BTC)
    with pytest.raises(InvalidInput, match="holds no state"):
        invoke(tmp_path / "absent", "trades", BTC)
