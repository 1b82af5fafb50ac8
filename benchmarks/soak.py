"""Memory over time: `python -m benchmarks.soak [--minutes N]`, a whole pipeline of both exchanges with 20 symbols.

It runs `marketpipeline run` on simulated exchanges with all that a pipeline has, in markets with so many trades more
that there are 2,000 frames a second, and samples the resident memory of each of its processes. Prints JSON: frames a
second, the slope of each process in MB an hour over the second half by least squares, and gaps, of which there may be
none: the simulated exchanges lose nothing. Feeds that the stream job has no use for (quotes,aggTrades) leave it out.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

from benchmarks.support import machine

TRADES = 40.0
"""A second of each symbol, beside its market's own: a frame each, and as many quotes."""
EVERY = 5.0
BASES = ("BTC", "ETH", "BNB", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT")
START_SECONDS = 600.0


def main(minutes: float, feeds: list[str], trades: float) -> None:
    symbols = [*(f"binance:{base}USDT" for base in BASES), *(f"okx:{base}-USDT" for base in BASES)]
    spec = {"symbols": symbols, "feeds": feeds, "api": {"enabled": False}}
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "soak"}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "soak.yaml").write_text(json.dumps(head | {"spec": spec}))
        command = [sys.executable, "-m", "marketpipeline", "run", "soak.yaml", "--no-ui", "--state", "state"]
        with (folder / "run.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            result = watch(process, folder / "state", minutes * 60, trades)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)
    print(json.dumps({"machine": machine(), "minutes": minutes, "feeds": feeds, **result}, indent=2))


def watch(process: subprocess.Popen[bytes], state: Path, seconds: float, trades: float) -> dict[str, Any]:
    """Sample until the time is over."""
    deadline = time.monotonic() + START_SECONDS
    while not (parts := _parts(state)) or not all(part["pid"] for part in parts.values()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"it did not start: {(state.parent / 'run.log').read_text()[-2000:]}")
        time.sleep(1.0)
    if trades:
        _liven(parts, trades, seconds + 600)
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    began, before = time.monotonic(), _ingestion(parts)
    while (elapsed := time.monotonic() - began) < seconds:
        for name, part in _parts(state).items():
            if part["process"]:
                samples[name].append((elapsed, psutil.Process(part["process"]).memory_info().rss / 1e6))
        time.sleep(EVERY)
    after = _ingestion(_parts(state))
    return {
        "frames_a_second": round((after["frames"] - before["frames"]) / elapsed, 1),
        "gaps": after["gaps"],
        "restarts": sum(part["restarts"] for part in _parts(state).values()),
        "processes": {name: _judged(found, elapsed) for name, found in samples.items()},
    }


def _liven(parts: dict[str, Any], trades: float, seconds: float) -> None:
    """Let every symbol of every simulated exchange trade so much more."""
    for name, part in parts.items():
        if name.startswith("simulator"):
            with urlopen(f"{part['url']}/control/status", timeout=10) as answer:
                symbols = json.load(answer)["symbols"]
            for symbol in symbols:
                asked = f"symbol={symbol}&rate={trades}&seconds={seconds:.0f}"
                url = f"{part['url']}/control/scenarios/trade-burst?{asked}"
                urlopen(Request(url, method="POST"), timeout=10).close()


def _judged(found: list[tuple[float, float]], elapsed: float) -> dict[str, float]:
    """The first half is warming up: pools, caches, the JVM's heap."""
    late = [(at, size) for at, size in found if at >= elapsed / 2]
    slope = statistics.linear_regression(*zip(*late, strict=True)).slope if len(late) > 2 else 0.0
    return {
        "mb_at_first": round(found[0][1], 1),
        "mb_at_last": round(found[-1][1], 1),
        "mb_an_hour": round(slope * 3600, 1),
    }


def _parts(state: Path) -> dict[str, Any]:
    try:
        components: dict[str, Any] = json.loads((state / "state.json").read_text())["components"]
    except (OSError, ValueError, KeyError):
        return {}
    return components


def _ingestion(parts: dict[str, Any]) -> dict[str, int]:
    total = {"frames": 0, "gaps": 0}
    for name, part in parts.items():
        if name.startswith("ingestion"):
            with urlopen(f"{part['url']}/health", timeout=10) as answer:
                said = json.load(answer)
            total = {key: total[key] + said[key] for key in total}
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Memory of each process of a pipeline over time.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long it is watched (default: 60)")
    parser.add_argument("--feeds", default="book,trades,quotes", help="feeds of the pipeline (default: %(default)s)")
    parser.add_argument("--trades", type=float, default=TRADES, help="trades a second of each symbol beside its own")
    given = parser.parse_args()
    main(given.minutes, given.feeds.split(","), given.trades)
