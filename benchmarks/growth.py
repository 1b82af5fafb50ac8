"""What more symbols cost the stream job: `python -m benchmarks.growth`, prints JSON.

For each number of symbols a job of its own reads 330 seconds of books and trades of each, so that all that it keeps of
a symbol is full; ids of trades are kept for an hour by the machine's clock, so that state does not grow with days. Told
are size and duration of a checkpoint while nothing comes, then what `kill -9` costs: until the job is ready again, and
from which checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from marketpipeline.records import Book, Trade, encode
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.job_process import Job, make_topics, other_cores, produce, running_job
from benchmarks.stream_job import FEEDS, gauges, repeated
from benchmarks.support import machine, running_broker

__all__ = ["main"]

SECONDS = 330
LONGEST_SECONDS = 240.0


def main() -> int:
    parser = argparse.ArgumentParser(description="State, checkpoints and restarts by the number of symbols.")
    parser.add_argument("--symbols", type=int, nargs="*", default=[2, 20, 200])
    parser.add_argument("--backends", nargs="*", default=["hashmap", "rocksdb"], choices=["hashmap", "rocksdb"])
    given = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "results": []}
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-growth-") as name,
        running_broker(Path(name), other_cores) as address,
    ):
        for count in given.symbols:
            prefix = f"symbols-{count}"
            names = [f"test:S{number}" for number in range(count)]
            make_topics(address, prefix, names)
            for kind, type_ in ((TopicKind.BOOK, Book), (TopicKind.TRADES, Trade)):
                produce(address, topic_name(prefix, kind), _seconds(kind, type_, names))
            for backend in given.backends:
                row = _measure(Path(name) / f"{prefix}-{backend}", address, prefix, count, backend)
                found["results"].append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))
    return 0


def _seconds(kind: TopicKind, wanted: type[Any], symbols: list[str]) -> Iterator[tuple[str, bytes]]:
    """A record a second of each symbol, with rising times and ids."""
    read = FEEDS["book" if kind is TopicKind.BOOK else "trades"][1]
    some = list(islice((one for one in repeated(read) if isinstance(one, wanted)), SECONDS))
    began = some[0].receive_time
    for number, one in enumerate(some, 1):
        at = began + number * 1_000_000
        moved = {"event_time": at, "receive_time": at}
        moved |= {"update_id": number} if kind is TopicKind.BOOK else {"trade_time": at, "trade_id": number}
        for symbol in symbols:
            yield symbol, encode(msgspec.structs.replace(one, symbol=symbol, **moved))


def _measure(folder: Path, address: str, prefix: str, symbols: int, backend: str) -> dict[str, Any]:
    with running_job(folder, address, prefix, state_backend=backend) as job:
        read = _settled(job, symbols * SECONDS)
        state = dict(gauges(job))
        job.kill()
    with running_job(folder, address, prefix, state_backend=backend) as again:
        origin = again.health().get("state", {}).get("origin")
    return {
        "symbols": symbols, "state_backend": backend, "records": read,
        "checkpoint_bytes": round(state["checkpoint_bytes"]),
        "bytes_per_symbol": round(state["checkpoint_bytes"] / symbols),
        "checkpoint_seconds": round(state["checkpoint_duration_seconds"], 3),
        "start_seconds": job.start_seconds, "restart_seconds": again.start_seconds, "origin": origin,
    }  # fmt: skip


def _settled(job: Job, each: int) -> int:
    """Wait until both feeds are read and two more checkpoints are complete; gives how many records that were."""
    deadline = time.monotonic() + LONGEST_SECONDS
    since = None
    while time.monotonic() < deadline:
        time.sleep(0.3)
        read = job.health().get("read", {})
        if read.get("book", 0) >= each and read.get("trades", 0) >= each:
            done = dict(gauges(job)).get("checkpoints_total", 0.0)
            since = done if since is None else since
            if done >= since + 2:
                return int(read["book"] + read["trades"])
    raise SystemExit(f"not read within {LONGEST_SECONDS:g} s: {job.health()}")


if __name__ == "__main__":
    sys.exit(main())
