"""How long each panel of Grafana's dashboards takes in PostgreSQL: `python -m benchmarks.dashboards`, prints JSON.

A day of five symbols: a book row every `--book-ms`, a trade every `--trade-ms`, candles of each interval, made in the
database from one row of each that the sink wrote. Each panel asks `--repeat` times for the last hour, which is what a
dashboard shows when it opens, and for the whole day; the median is told, in milliseconds, and what the processor took
(in steps of 10 ms), which holds on a busy machine too; the slowest panel first.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import psycopg
from marketpipeline_operator.dashboards import files

from benchmarks.support import machine
from tests.services.sinks.samples import START, alert, book, candle, deliver, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import RunningPostgres

__all__ = ["main"]

SYMBOLS = [f"binance:S{number}USDT" for number in range(5)]
BEGIN = datetime.fromtimestamp(START / 1e6, UTC).replace(second=0, microsecond=0)
DAY = timedelta(days=1)
BOARDS = ("market_overview", "order_book_monitor", "symbol_deep_dive", "trading_analytics")


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description="Panels of the dashboards.")
    parser.add_argument("--book-ms", type=int, default=100)
    parser.add_argument("--trade-ms", type=int, default=200)
    parser.add_argument("--hours", type=float, default=24.0, help="of the day that are filled")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-dashboards-") as name:
        Path(name).chmod(0o711)
        server = RunningPostgres(Path(name) / "postgres")
        server.start()
        try:
            store = PostgresStore(server, server.create_database())
            end = BEGIN + timedelta(hours=arguments.hours)
            with psycopg.connect(store.url, autocommit=True) as connection:
                rows = _fill(store, connection, end, arguments)
                found = {
                    window: _ask(connection, end - length, end, arguments.repeat)
                    for window, length in (("last hour", timedelta(hours=1)), ("day", DAY))
                }
        finally:
            server.stop()
    print(json.dumps({"machine": machine(), **vars(arguments), "rows": rows, "ms_and_processor_ms": found}, indent=2))
    return 0


def _fill(
    store: PostgresStore, connection: psycopg.Connection[Any], end: datetime, arguments: argparse.Namespace
) -> dict[str, int]:
    """Rows of each table."""
    sink = store.sink()
    sink.open()
    for symbol in SYMBOLS:
        intervals = (candle(0, symbol, interval=interval) for interval in ("1m", "5m", "1h"))
        sink.write(deliver(book(0, symbol), trade(0, symbol), alert(0, symbol), *intervals))
    sink.close()
    steps = {
        "book_metrics": ("event_time", "update_id", arguments.book_ms),
        "trades": ("trade_time", "trade_id", arguments.trade_ms),
        "alerts": ("started_at", "id", 300_000),
    }
    for table, (moment, key, step) in steps.items():
        text = "r.id || n" if key == "id" else f"r.{key} + n"
        _repeat(connection, table, {moment: "t", key: text}, end, step)
    for interval, minutes in {"1m": 1, "5m": 5, "1h": 60}.items():
        _repeat(connection, "candles", {"open_time": "t"}, end, minutes * 60_000, f"r.interval = '{interval}'")
    connection.execute("VACUUM ANALYZE")
    return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in (*steps, "candles")}  # type: ignore[index]


def _repeat(
    connection: psycopg.Connection[Any],
    table: str,
    others: dict[str, str],
    end: datetime,
    step: int,
    where: str = "true",
) -> None:
    """Rows like the one that each symbol has, at every step until the end."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'"
    columns = [name for (name,) in connection.execute(query, [table])]
    values = ", ".join(others.get(name, f"r.{name}") for name in columns)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM (SELECT * FROM {table}) r,"
        f" generate_series('{BEGIN}'::timestamptz, '{end}', '{step} milliseconds') WITH ORDINALITY AS s (t, n)"
        f" WHERE {where} ON CONFLICT DO NOTHING"
    )


def _ask(
    connection: psycopg.Connection[Any], begin: datetime, end: datetime, repeat: int
) -> dict[str, tuple[float, float]]:
    """Of each panel the median of the milliseconds, and of those of the processor that serves this connection."""
    server, found = psutil.Process(connection.info.backend_pid), {}
    for title, sql in _panels(begin, end):
        times, used = [], sum(server.cpu_times()[:2])
        for _ in range(repeat):
            began = time.perf_counter()
            connection.execute(sql).fetchall()
            times.append((time.perf_counter() - began) * 1e3)
        of_processor = (sum(server.cpu_times()[:2]) - used) / repeat * 1e3
        found[title] = (round(median(times), 1), round(of_processor, 1))
    return dict(sorted(found.items(), key=lambda one: -one[1][1]))


def _panels(begin: datetime, end: datetime) -> Iterator[tuple[str, str]]:
    """Board and title, and the SQL as Grafana expands it for a panel 1,000 pixels wide."""
    step = max(1, round((end - begin).total_seconds() / 1_000))
    names = ",".join(f"'{symbol}'" for symbol in SYMBOLS)
    for name in BOARDS:
        for panel in json.loads(getattr(files, f"timescale_{name}")())["panels"]:
            for target in panel.get("targets", []):
                sql = target["rawSql"].replace("IN (${symbol:sqlstring})", f"IN ({names})")
                sql = sql.replace("ARRAY[${symbol:sqlstring}]", f"ARRAY[{names}]")
                sql = sql.replace("$__timeFrom()", f"'{begin}'").replace("$__timeTo()", f"'{end}'")
                sql = sql.replace("$__interval_ms", str(step * 1_000))
                for variable, value in {"symbol": SYMBOLS[0], "exchange": "binance", "interval": "1m"}.items():
                    sql = sql.replace(f"${{{variable}:sqlstring}}", f"'{value}'")
                sql = re.sub(
                    r"\$__timeGroup\((\w+), \$__interval\)", rf"floor(extract(epoch FROM \1) / {step}) * {step}", sql
                )
                sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN '{begin}' AND '{end}'", sql)
                yield f"{name}: {panel['title']}", sql


if __name__ == "__main__":
    sys.exit(main())
