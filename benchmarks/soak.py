"""Memory over time: `python -m benchmarks.soak [--minutes N]`, a whole pipeline of both exchanges with 20 symbols.

It runs `marketpipeline run` on simulated exchanges with all that a pipeline has, in markets with so many trades more
that there are 2,000 frames a second, and samples the memory of each of its components: of a process and those that it
started, what several share by shares. Prints JSON: frames a second; of each component the slope in MB an hour over the
second half by least squares, and the cores that it took; what each store's files grew by; and gaps, of which there may
be none: the simulated exchanges lose nothing. Feeds that the stream job has no use for (quotes,aggTrades) leave it out.
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
from collections.abc import Callable
from contextlib import suppress
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
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    began, before, files, spent = time.monotonic(), _ingestion(parts), _files(state), _spent(parts)
    while (elapsed := time.monotonic() - began) < seconds:
        if trades:
            _liven(parts, trades)
        for name, part in _parts(state).items():
            samples[name].append((elapsed, _total(part, _memory)))
        time.sleep(EVERY)
    parts = _parts(state)
    after, cores = _ingestion(parts), _spent(parts)
    return {
        "frames_a_second": round((after["frames"] - before["frames"]) / elapsed, 1),
        "gaps": after["gaps"],
        "restarts": sum(part["restarts"] for part in parts.values()),
        "components": {
            name: {**_judged(found, elapsed), "cores": round((cores[name] - spent[name]) / elapsed, 3)}
            for name, found in samples.items()
        },
        "files_mb_an_hour": {
            name: round((size - files.get(name, 0)) / 1e6 * 3600 / elapsed, 1) for name, size in _files(state).items()
        },
    }


def _liven(parts: dict[str, Any], trades: float) -> None:
    """Let every symbol of every simulated exchange trade so much more. It is said anew with each sample, as a
    scenario of the market's own ends what goes on."""
    for name, part in parts.items():
        if name.startswith("simulator"):
            with urlopen(f"{part['url']}/control/status", timeout=10) as answer:
                symbols = json.load(answer)["symbols"]
            for symbol in symbols:
                asked = f"symbol={symbol}&rate={trades}&seconds={3 * EVERY:.0f}"
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


def _total(part: dict[str, Any], measure: Callable[[psutil.Process], float]) -> float:
    """Of the component's process and all that it started."""
    process = psutil.Process(part["process"] or part["pid"])
    found = 0.0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a worker of the database that has ended meanwhile
            found += measure(each)
    return found


def _memory(process: psutil.Process) -> float:
    """MB, with its share of what it shares with others."""
    return float(process.memory_full_info().pss / 1e6)


def _spent(parts: dict[str, Any]) -> dict[str, float]:
    """Seconds of processor time of each component, those of ended children too."""
    return {name: _total(part, lambda process: sum(process.cpu_times()[:4])) for name, part in parts.items()}


def _files(state: Path) -> dict[str, int]:
    """Bytes on disk, of each store that keeps any."""
    found: dict[str, int] = {}
    for name in ("broker", "postgres", "valkey", "checkpoints"):
        for file in (state / name).rglob("*"):
            with suppress(FileNotFoundError):
                found[name] = found.get(name, 0) + file.stat().st_blocks * 512
    return found


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
