"""kill -9 of either process of a pair, over and over, in replays at 20 times their speed: the tables are those of the
oracle, as if nothing had happened, and no gap is told that the captures do not have.

    python -m benchmarks.kills            20 kills, some minutes
    python -m benchmarks.kills --kills 5 --redundancy 1

Each round replays a capture through a whole pipeline. As soon as both processes are in sync one of them is killed, in
turn, until the replay has ended. With `--redundancy 1` the same is done to a process that is alone, and the gaps are
counted that this leaves.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from itertools import count, cycle
from pathlib import Path
from typing import Any

from benchmarks.support import machine
from tests.e2e import compare, oracle
from tests.e2e.pipeline import SYMBOLS, Pipeline
from tests.support import captures

__all__ = ["main"]

SPEED = "20"
LONGEST = 500.0
"""Seconds that a round may take."""
ROUNDS: tuple[Mapping[str, str], ...] = (SYMBOLS, dict.fromkeys(captures.ALERTS_SYMBOLS, captures.ALERTS))


def main(arguments: list[str]) -> int:
    """Rounds until so many were killed; prints what was found as JSON. Fails on the first row that is not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--redundancy", type=int, default=2, choices=(1, 2, 3))
    wanted = parser.parse_args(arguments)
    found: dict[str, Any] = {"machine": machine(), "speed": SPEED, "redundancy": wanted.redundancy, "rounds": []}
    kills = 0
    for number, replayed in zip(count(1), cycle(ROUNDS), strict=False):
        with tempfile.TemporaryDirectory() as folder:
            result = _round(Path(folder), replayed, wanted.redundancy, wanted.kills - kills)
        kills += len(result["back_in_sync_s"])
        found["rounds"].append({"round": number, **result})
        print(json.dumps(found["rounds"][-1]), file=sys.stderr, flush=True)
        if kills >= wanted.kills:
            break
    print(json.dumps(found | {"kills": kills}, indent=1))
    return 0


def _round(folder: Path, replayed: Mapping[str, str], redundancy: int, most: int) -> dict[str, Any]:
    pipeline = Pipeline(folder, tuple(replayed), ingestion=f"{{redundancy: {redundancy}}}")
    paths = {name: captures.find(name) for name in dict.fromkeys(replayed.values())}
    back: list[float] = []
    try:
        pipeline.start("--replay", *map(str, paths.values()), "--speed", SPEED, "--until-drained")
        names = (
            [f"ingestion-binance-{letter}" for letter in "abc"[:redundancy]]
            if redundancy > 1
            else ["ingestion-binance"]
        )
        _wait(pipeline, lambda: all(_in_sync(pipeline, name) for name in names))
        for name in cycle(names):
            if len(back) >= most or _status(pipeline, "simulator", "/control/status").get("finished"):
                break
            began = time.monotonic()
            pipeline.kill(name)
            _wait(pipeline, lambda: all(_in_sync(pipeline, one) for one in names))
            back.append(round(time.monotonic() - began, 1))
        status = pipeline.wait(LONGEST)
        assert status == 0, pipeline.tail()
        return {"back_in_sync_s": back} | {
            symbol: _compare(pipeline, symbol, Path(str(paths[name])), alone=redundancy == 1)
            for symbol, name in replayed.items()
        }
    finally:
        pipeline.stop()


def _compare(pipeline: Pipeline, symbol: str, capture: Path, *, alone: bool) -> dict[str, int]:
    """Hold everything that is stored of a symbol against the oracle; raises AssertionError."""
    gaps = compare.check_gaps(pipeline, symbol, capture)
    holes = oracle.holes(capture, compare.native(symbol))
    assert alone or len(gaps) == len(holes), gaps
    compare.check_trades(pipeline, symbol, capture)
    candles = compare.check_candles(pipeline, symbol, capture, 1)
    before_sync = compare.check_book(pipeline, symbol, capture, gaps)
    alerts = compare.check_alerts(pipeline, symbol, capture, Decimal(50_000), gaps)
    return {"candles": len(candles), "alerts": len(alerts), "before_sync": before_sync, "gaps": len(gaps)}


def _in_sync(pipeline: Pipeline, name: str) -> bool:
    return bool(_status(pipeline, name, "/health").get("in_sync"))


def _status(pipeline: Pipeline, name: str, path: str) -> dict[str, Any]:
    """What a component says of itself; empty while it does not answer."""
    try:
        url = json.loads((pipeline.state / "state.json").read_text())["components"][name]["url"]
        with urllib.request.urlopen(f"{url}{path}", timeout=5) as answer:
            said: dict[str, Any] = json.load(answer)
            return said
    except (OSError, ValueError, KeyError):
        return {}


def _wait(pipeline: Pipeline, condition: Any) -> None:
    """Until it holds, or the run has ended."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        process = pipeline.process
        if process is None or process.poll() is not None:
            return
        assert time.monotonic() < deadline, pipeline.tail()
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
