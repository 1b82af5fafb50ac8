"""How long the way from the exchange's wire to a row takes: `python -m benchmarks.latency`, prints JSON.

Both captures are replayed by `marketpipeline run`, as a user runs it, so fast that `--rate` frames a second arrive on
the average; the captures' own bursts stay. What the sinks' histograms took in between the first third of the replay,
where the JVM is warm, and its end is told by hop and kind of record: `receive_store` begins when ingestion has read the
frame and ends when the store has said yes. A percentile lies between two bounds of the histogram; between them it is
interpolated, as Prometheus does.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.support import CAPTURES, ROOT, free_port, machine
from tests.support.tied import tied

__all__ = ["main"]

SINKS = ("sink-redis", "sink-timescale")
METRIC = "marketpipeline_sink_latency_seconds_bucket"
START_SECONDS = 180.0
MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {{name: latency}}
spec:
  symbols: [binance:BTCUSDT, binance:ETHUSDT]
  thresholds: {{whaleTrade: 50000}}
  api: {{port: {port}}}
"""

Buckets = dict[tuple[str, str, str], dict[float, float]]
"""Cumulated counts by upper bound in seconds, by sink, hop and kind of record."""


def main() -> int:
    """Measure and print; fail when a p99 is above what is promised."""
    parser = argparse.ArgumentParser(description="Latency from a received frame to a row, of a whole pipeline.")
    parser.add_argument("--rate", type=int, default=2_000, help="frames a second, on the average")
    arguments = parser.parse_args()
    frames, seconds = _extent()
    speed = arguments.rate / (frames / seconds)
    result: dict[str, Any] = {"machine": machine(), "versions": _versions(), "frames_per_second": arguments.rate}
    with tempfile.TemporaryDirectory(prefix="benchmark-latency-") as name:
        found = _measure(Path(name), speed, seconds / speed)
    rows: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for (sink, hop, kind), buckets in sorted(found.items()):
        if buckets[float("inf")]:
            rows[sink][hop][kind] = _summary(buckets)
    result["latency_ms"] = rows
    print(json.dumps(result, indent=2))
    limits = {"sink-redis": 250.0, "sink-timescale": 1000.0}
    slow = [
        (sink, kind) for sink in SINKS for kind, one in rows[sink]["receive_store"].items() if one["p99"] > limits[sink]
    ]
    return 1 if slow or not all(rows[sink]["receive_store"] for sink in SINKS) else 0


def _extent() -> tuple[int, float]:
    """Frames of both captures, and how many seconds they last."""
    count, times = 0, []
    for path in CAPTURES:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                if line.strip():
                    count += 1
                    times.append(int(line.split(b" ", 1)[0]))
    return count, (max(times) - min(times)) / 1e9


def _measure(folder: Path, speed: float, seconds: float) -> Buckets:
    """What the sinks' histograms took in while the replay was warm."""
    folder.chmod(0o755)
    manifest = folder / "pipeline.yaml"
    manifest.write_text(MANIFEST.format(port=free_port()))
    command = [
        sys.executable,
        "-m",
        "marketpipeline",
        "run",
        str(manifest),
        "--state",
        str(folder / "state"),
        "--no-ui",
    ]
    command += ["--replay", *map(str, CAPTURES), "--speed", f"{speed:.3f}"]
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(tied(command), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        total = _extent()[0]
        _wait_for_frames(folder, process, total // 3)
        before = _scrape(folder)
        _wait_for_frames(folder, process, total - total // 20)
        after = _scrape(folder)
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
    return {key: {bound: count - before.get(key, {}).get(bound, 0.0) for bound, count in buckets.items()}
            for key, buckets in after.items()}  # fmt: skip


def _wait_for_frames(folder: Path, process: subprocess.Popen[bytes], frames: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while _frames(folder) < frames:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the pipeline did not get there:\n{(folder / 'run.log').read_text()[-3000:]}")
        time.sleep(0.1)


def _frames(folder: Path) -> float:
    """How many frames ingestion has read."""
    text = _page(folder, "ingestion-binance")
    families = text_string_to_metric_families(text)
    return sum(
        sample.value for family in families for sample in family.samples
        if sample.name == "marketpipeline_ingestion_frames_total"
    )  # fmt: skip


def _scrape(folder: Path) -> Buckets:
    found: Buckets = defaultdict(dict)
    for sink in SINKS:
        for family in text_string_to_metric_families(_page(folder, sink)):
            for sample in family.samples:
                if sample.name == METRIC:
                    key = (sink, sample.labels["hop"], sample.labels["kind"])
                    found[key][float(sample.labels["le"])] = sample.value
    return dict(found)


def _page(folder: Path, component: str) -> str:
    """A component's metrics; nothing while it does not answer."""
    with suppress(OSError, ValueError, KeyError):
        known = json.loads((folder / "state" / "state.json").read_text())
        url = known["components"][component]["url"]
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    return ""


def _summary(buckets: dict[float, float]) -> dict[str, Any]:
    return {
        "rows": round(buckets[float("inf")]),
        **{f"p{share:g}".replace(".", ""): round(_quantile(buckets, share / 100) * 1e3, 1) for share in (50, 95, 99)},
    }


def _quantile(buckets: dict[float, float], share: float) -> float:
    """Seconds; interpolated between two bounds, and the last finite bound for what is above it."""
    wanted = buckets[float("inf")] * share
    below, lower = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below) if count > below else bound
        below, lower = count, bound
    return lower


def _versions() -> dict[str, str]:
    names = ("marketpipeline", "confluent-kafka", "psycopg", "redis", "picows")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


if __name__ == "__main__":
    sys.exit(main())
