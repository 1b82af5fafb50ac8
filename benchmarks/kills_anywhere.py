"""kill -9 of stream job, broker and sink at random moments of a replay: the tables are those of the oracle.

    python -m benchmarks.kills_anywhere --kills 60 --seed 1

Each round replays all captures through a whole pipeline at 20 times their speed and kills three components, each by
chance, at moments by chance of the middle four fifths; while one is away the exchange goes on at its own speed, so that
something is left to kill the next one at. Prints JSON, a line a round on the way; fails on the first row that is not
right, with the seed that repeats it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.support import machine
from tests.conftest import wait_for
from tests.e2e import compare, oracle
from tests.e2e.pipeline import ALL, LENGTH, START, Pipeline
from tests.support import captures

__all__ = ["main"]

COMPONENTS = ("stream-job", "broker", "sink-timescale")
A_ROUND = 3
LONGEST = 500.0
"""Seconds that a round may take once the last was killed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--components", nargs="*", default=list(COMPONENTS))
    wanted = parser.parse_args()
    chance, killed, rounds = random.Random(wanted.seed), Counter[str](), []
    while killed.total() < wanted.kills:
        count = min(A_ROUND, wanted.kills - killed.total())
        moments = sorted(chance.uniform(0.1, 0.9) for _ in range(count))
        fate = [(moment, chance.choice(wanted.components)) for moment in moments]
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(_round(Path(folder), fate))
        killed.update(component for _, component in fate)
        print(json.dumps(rounds[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"machine": machine(), "seed": wanted.seed, "killed": killed, "rounds": rounds}, indent=1))
    return 0


def _round(folder: Path, fate: list[tuple[float, str]]) -> dict[str, Any]:
    """Kill these components at these shares of the replay; raises AssertionError where a row is not right."""
    paths = {name: captures.find(name) for name in dict.fromkeys(ALL.values())}
    pipeline, began = Pipeline(folder, parallelism=2), time.monotonic()
    told = []
    try:
        pipeline.start("--replay", *map(str, paths.values()), "--speed", "20", "--until-drained")
        for share, component in fate:
            wait_for(partial(_passed, pipeline, share), f"{component} is to be killed", seconds=LONGEST)
            pipeline.change_speed(1)
            pipeline.kill(component)
            told.append({"component": component, "at": round(share, 3)})
            pipeline.change_speed(20)
        assert pipeline.wait(LONGEST) == 0, pipeline.tail()
        rows = {symbol: _compare(pipeline, symbol, Path(str(paths[name]))) for symbol, name in ALL.items()}
    finally:
        pipeline.stop()
    return {"killed": told, "seconds": round(time.monotonic() - began), "rows": rows}


def _passed(pipeline: Pipeline, share: float) -> bool:
    return pipeline.exchange_clock() > START + LENGTH * share


def _compare(pipeline: Pipeline, symbol: str, capture: Path) -> dict[str, int]:
    compare.check_trades(pipeline, symbol, capture)
    candles = [row for minutes in (1, 5) for row in compare.check_candles(pipeline, symbol, capture, minutes)]
    gaps = compare.check_gaps(pipeline, symbol, capture)
    assert len(gaps) == len(oracle.holes(capture, compare.native(symbol))), gaps
    compare.check_book(pipeline, symbol, capture, gaps)
    alerts = compare.check_alerts(pipeline, symbol, capture, Decimal(50_000), gaps)
    return {"candles": len(candles), "alerts": len(alerts), "gaps": len(gaps)}


if __name__ == "__main__":
    sys.exit(main())
