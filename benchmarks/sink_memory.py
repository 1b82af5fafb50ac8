"""Memory of the TimescaleDB sink over many rows: `python -m benchmarks.sink_memory [ROWS]`, prints JSON.

A process of its own reads trades, aggregate trades and book measures of 20 symbols from a real broker into a real
PostgreSQL, as fast as both go. Its resident memory is taken at each 20th of the way: what is remembered against
repetitions is full after 100,000 trades, and from there on it has to be flat. The slope is that of the second half, in
bytes a row.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from marketpipeline.records import AggTrade, BookMetrics, Trade
from msgspec.structs import replace

from benchmarks.kills_topics import Address
from benchmarks.support import machine, running_broker
from tests.services.sinks import samples
from tests.services.sinks.running import SinkProcess
from tests.services.sinks.topics import Topics
from tests.support.postgres import RunningPostgres

SYMBOLS = [f"binance:S{number:02}USDT" for number in range(20)]
BLOCK = 5_000
LONGEST = 240.0


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name, running_broker(Path(name)) as address:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = RunningPostgres(folder / "postgres")
        postgres.start()
        try:
            topics = Topics(Address(address))  # type: ignore[arg-type]  # it asks for these two alone
            url = postgres.url(postgres.create_database())
            process = SinkProcess(
                folder, "sink-timescale", topics, {"url": url}, batch_rows=5_000, flush_interval_ms=200
            )
            process.start()
            try:
                found = _fill(topics, process, rows)
            finally:
                process.end(signal.SIGTERM)
        finally:
            postgres.stop()
    late = found[len(found) // 2 :]
    slope = statistics.linear_regression(*zip(*late, strict=True)).slope * 1e6
    print(json.dumps({"machine": machine(), "rows_mb": found, "bytes_a_row": round(slope, 1)}, indent=1))


def _fill(topics: Topics, process: SinkProcess, rows: int) -> list[tuple[int, float]]:
    """Rows stored and MB, at each 20th of the way."""
    found: list[tuple[int, float]] = []
    sent, until = 0, time.monotonic() + LONGEST
    assert process._process is not None
    size = psutil.Process(process._process.pid)
    while (stored := process.health()["rows"]) < rows and time.monotonic() < until:
        if stored >= len(found) * rows / 20:
            found.append((stored, round(size.memory_info().rss / 1e6, 1)))
            print(found[-1], file=sys.stderr, flush=True)
        if sent < rows and sent - stored < 4 * BLOCK:
            topics.put(*(_record(number) for number in range(sent, sent + BLOCK)))
            sent += BLOCK
        else:
            time.sleep(0.1)
    return found


def _record(number: int) -> Any:
    at, symbol = samples.START + number * 10_000, SYMBOLS[number % 20]
    match number // 20 % 4:
        case 0 | 1:
            return replace(_TRADE, symbol=symbol, trade_id=number, trade_time=at, event_time=at, receive_time=at)
        case 2:
            ids = {"agg_trade_id": number, "first_trade_id": number, "last_trade_id": number}
            return replace(_AGG_TRADE, symbol=symbol, trade_time=at, event_time=at, receive_time=at, **ids)
        case _:
            return replace(_METRICS, symbol=symbol, update_id=number, event_time=at, receive_time=at, process_time=at)


_TRADE: Trade = samples.trade()
_AGG_TRADE: AggTrade = samples.agg_trade()
_METRICS: BookMetrics = samples.book()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
