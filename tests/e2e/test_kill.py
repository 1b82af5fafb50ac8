"""kill -9 in the middle of a replay at 20 times its speed: in the end the tables are as if nothing had happened.

The stream job computes with two tasks side by side, as it does with one in the replay that nothing disturbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.e2e import compare, oracle
from tests.e2e.pipeline import ALL, LENGTH, START, SYMBOLS, Pipeline

Capture = Callable[[str], Path]

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """Not started yet."""
    pipeline = Pipeline(tmp_path, parallelism=2)
    yield pipeline
    pipeline.stop()


def replay_and_kill(pipeline: Pipeline, capture: Capture, *components: str) -> None:
    """Replay all captures, kill the components one after the other, spread over it, wait for the run to end drained.

    The exchange goes on meanwhile, at its own speed, so that there is something left to kill the next one at.
    """
    captures = [str(capture(name)) for name in dict.fromkeys(ALL.values())]
    pipeline.start("--replay", *captures, "--speed", "20", "--until-drained")
    for number, component in enumerate(components, 1):
        moment = START + LENGTH * number // (len(components) + 1)
        wait_for(partial(passed, pipeline, moment), f"{component} is to be killed", seconds=200)
        pipeline.change_speed(1)
        assert not passed(pipeline, START + LENGTH), f"the replay had ended before {component} was killed"
        pipeline.kill(component)
        pipeline.change_speed(20)
    assert pipeline.wait(300) == 0, pipeline.tail()


def passed(pipeline: Pipeline, moment: int) -> bool:
    return pipeline.exchange_clock() > moment


def test_nothing_is_lost_or_doubled(pipeline: Pipeline, capture: Capture) -> None:
    """The job goes on from a checkpoint of before the broker's end, with a sink that has read some of it already."""
    replay_and_kill(pipeline, capture, "sink-timescale", "broker", "stream-job")
    for symbol, name in ALL.items():
        compare.check_trades(pipeline, symbol, capture(name))
        compare.check_candles(pipeline, symbol, capture(name), 1)
        compare.check_candles(pipeline, symbol, capture(name), 5)
        gaps = compare.check_gaps(pipeline, symbol, capture(name))
        assert len(gaps) == len(oracle.holes(capture(name), compare.native(symbol))), gaps
        compare.check_book(pipeline, symbol, capture(name), gaps)
        compare.check_alerts(pipeline, symbol, capture(name), Decimal(50_000), gaps)


def test_ingestion_backfills_the_trades_and_names_the_book_events_that_it_missed(
    pipeline: Pipeline, capture: Capture
) -> None:
    replay_and_kill(pipeline, capture, "ingestion-binance")
    for symbol, name in ALL.items():
        compare.check_trades(pipeline, symbol, capture(name))
        compare.check_candles(pipeline, symbol, capture(name), 1)
        compare.check_candles(pipeline, symbol, capture(name), 5)
        gaps = compare.check_gaps(pipeline, symbol, capture(name))
        compare.check_book(pipeline, symbol, capture(name), gaps)
        if symbol in SYMBOLS:
            assert len(gaps) == 1, gaps
            trades = pipeline.query("trades", symbol, "--limit", "1000000")
            assert any(trade["backfilled"] for trade in trades), "no trade is marked as backfilled"
