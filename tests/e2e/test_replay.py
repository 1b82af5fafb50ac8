"""Both captures through the whole pipeline at full speed: the tables equal what the capture says."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.e2e import compare
from tests.e2e.pipeline import SYMBOLS, Pipeline

Capture = Callable[[str], Path]

pytestmark = pytest.mark.timeout(900)


def answer_of(address: str) -> dict[str, Any]:
    """The JSON that is served there; empty while nothing is."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return {}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, capture: Capture) -> Iterator[Pipeline]:
    """A run that has ended by itself, drained."""
    pipeline = Pipeline(tmp_path_factory.mktemp("replay"))
    captures = [str(capture(name)) for name in SYMBOLS.values()]
    pipeline.run("--replay", *captures, "--speed", "max", "--until-drained", seconds=300)
    yield pipeline
    pipeline.stop()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_trade_once(replayed: Pipeline, capture: Capture, symbol: str) -> None:
    compare.check_trades(replayed, symbol, capture(SYMBOLS[symbol]))


@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_candle(replayed: Pipeline, capture: Capture, symbol: str, minutes: int) -> None:
    rows = compare.check_candles(replayed, symbol, capture(SYMBOLS[symbol]), minutes)
    assert [row["closed"] for row in rows[:-1]] == [True] * (len(rows) - 1)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_book_event(replayed: Pipeline, capture: Capture, symbol: str) -> None:
    before_sync = compare.check_book(replayed, symbol, capture(SYMBOLS[symbol]))
    assert before_sync <= 20, f"{before_sync} events passed before the book was synchronised"


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_every_alert(replayed: Pipeline, capture: Capture, symbol: str) -> None:
    compare.check_alerts(replayed, symbol, capture(SYMBOLS[symbol]), Decimal(50_000))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_nothing_is_missing(replayed: Pipeline, symbol: str) -> None:
    assert replayed.query("gaps", symbol) == []


def test_a_second_run_picks_up_the_state_and_the_api_serves_it(replayed: Pipeline, capture: Capture) -> None:
    """The state folder of the ended run serves the next one, whose API answers from the stored candles."""
    first = replayed.query("candles", "binance:BTCUSDT", "--interval", "5m")
    replayed.start("--replay", str(capture(SYMBOLS["binance:BTCUSDT"])), str(capture(SYMBOLS["binance:ETHUSDT"])))
    try:
        address = f"http://127.0.0.1:{replayed.port}/api/v1/analytics/klines/BTCUSDT?interval=5m"
        served = wait_for(lambda: answer_of(address), f"{address} answers", seconds=180)
    finally:
        replayed.stop()
    times = {row["open_time"] for row in served["candles"]}
    assert {row["open_time"] for row in first} <= times
