"""How long each panel of Grafana's dashboards takes in a store: `python -m benchmarks.dashboards`, prints JSON.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import clickhouse_connect
import psutil
import psycopg
from marketpipeline.store.clickhouse import client_options
from marketpipeline_operator.dashboards import files

from benchmarks.support import machine
from tests.services.sinks.samples import START, alert, book, candle, deliver, trade
from tests.services.sinks.stores import ClickHouseStore, PostgresStore
from tests.support.clickhouse import RunningClickHouse
from tests.support.postgres import RunningPostgres

__all__ = ["main"]

SYMBOLS = [f"binance:S{number}USDT" for number in range(5)]
BEGIN = datetime.fromtimestamp(START / 1e6, UTC).replace(second=0, microsecond=0)
DAY = timedelta(days=1)
BOARDS = ("market_overview", "order_book_monitor", "symbol_deep_dive", "trading_analytics")
MACROS = {
    "timescale": {
        r"\$__timeGroup\((\w+), \$__interval\)": r"floor(extract(epoch FROM \1) / {step}) * {step}",
        r"\$__timeFilter\((\w+)\)": r"\1 BETWEEN '{begin}Z' AND '{end}Z'",
    },
    "clickhouse": {
        r"\$__timeInterval\((\w+)\)": r"toStartOfInterval(toDateTime(\1), INTERVAL {step} second)",
        r"\$__timeFilter\((\w+)\)": r"\1 >= '{begin}' AND \1 <= '{end}'",
    },
}


def main() -> int:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description="Panels of the dashboards.")
    parser.add_argument("--store", choices=OPENED, default="timescale")
    parser.add_argument("--book-ms", type=int, default=100)
    parser.add_argument("--trade-ms", type=int, default=200)
    parser.add_argument("--hours", type=float, default=24.0, help="of the day that are filled")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-dashboards-") as name:
        Path(name).chmod(0o711)
        end = BEGIN + timedelta(hours=arguments.hours)
        with OPENED[arguments.store](Path(name)) as database:
            rows = _fill(database, end, arguments)
            found = {
                window: _ask(database, arguments.store, end - length, end, arguments.repeat)
                for window, length in (("last hour", timedelta(hours=1)), ("day", DAY))
            }
    print(json.dumps({"machine": machine(), **vars(arguments), "rows": rows, "ms_and_processor_ms": found}, indent=2))
    return 0


@dataclass(frozen=True, slots=True)
class Database:
    """A store with a row of each kind and symbol: how it is asked, what its words are, and the process that answers."""

    ask: Callable[[str], list[Any]]
    server: psutil.Process
    columns: str
    steps: Callable[[datetime, int], str]
    """What gives `t` and `n` from the beginning to a time, at every step of milliseconds."""
    tidy: tuple[str, ...] = ()
    conflict: str = ""


@contextmanager
def _postgres(folder: Path) -> Iterator[Database]:
    server = RunningPostgres(folder / "postgres")
    server.start()
    try:
        store = PostgresStore(server, server.create_database())
        _write(store)
        with psycopg.connect(store.url, autocommit=True) as connection:

            def ask(sql: str) -> list[Any]:
                done = connection.execute(sql.encode())
                return done.fetchall() if done.description else []

            yield Database(
                ask,
                psutil.Process(connection.info.backend_pid),
                "SELECT column_name FROM information_schema.columns WHERE table_name = '{}' AND is_generated = 'NEVER'",
                lambda end, step: (
                    f"generate_series('{BEGIN}'::timestamptz, '{end}', '{step} milliseconds')"
                    " WITH ORDINALITY AS s (t, n)"
                ),
                tidy=("VACUUM ANALYZE",),
                conflict=" ON CONFLICT DO NOTHING",
            )
    finally:
        server.stop()


@contextmanager
def _clickhouse(folder: Path) -> Iterator[Database]:
    server = RunningClickHouse(folder / "clickhouse")
    server.start()
    try:
        store = ClickHouseStore(server)
        _write(store)
        listening = next(c for c in psutil.net_connections() if c.laddr and c.laddr.port == server.port and c.pid)
        with clickhouse_connect.get_client(**client_options(store.settings, timeout=300)) as client:

            def ask(sql: str) -> list[Any]:
                if not sql.startswith(("SELECT", "WITH")):
                    client.command(sql)
                    return []
                return list(client.query(sql).result_rows)

            yield Database(
                ask,
                psutil.Process(listening.pid),
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{}'"
                " AND default_kind = ''",
                lambda end, step: (
                    f"(SELECT fromUnixTimestamp64Milli(toInt64({BEGIN.timestamp() * 1e3:.0f} + number * {step}), 'UTC')"
                    f" AS t, toInt64(number) AS n FROM numbers({(end - BEGIN) // timedelta(milliseconds=step)})) s"
                ),
            )
    finally:
        server.stop()


OPENED = {"timescale": _postgres, "clickhouse": _clickhouse}


def _write(store: PostgresStore | ClickHouseStore) -> None:
    """One row of each kind and symbol, by the sink."""
    sink = store.sink()
    sink.open()
    for symbol in SYMBOLS:
        intervals = (candle(0, symbol, interval=interval) for interval in ("1m", "5m", "1h"))
        sink.write(deliver(book(0, symbol), trade(0, symbol), alert(0, symbol), *intervals))
    sink.close()


def _fill(database: Database, end: datetime, arguments: argparse.Namespace) -> dict[str, int]:
    """Rows of each table."""
    steps = {
        "book_metrics": ("event_time", "update_id", arguments.book_ms),
        "trades": ("trade_time", "trade_id", arguments.trade_ms),
        "alerts": ("started_at", "id", 300_000),
    }
    for table, (moment, key, step) in steps.items():
        text = "concat(r.id, CAST(n AS TEXT))" if key == "id" else f"r.{key} + n"
        _repeat(database, table, {moment: "t", key: text}, end, step)
    for interval, minutes in {"1m": 1, "5m": 5, "1h": 60}.items():
        _repeat(database, "candles", {"open_time": "t"}, end, minutes * 60_000, f"r.interval = '{interval}'")
    for statement in database.tidy:
        database.ask(statement)
    return {table: database.ask(f"SELECT count(*) FROM {table}")[0][0] for table in (*steps, "candles")}


def _repeat(
    database: Database, table: str, others: dict[str, str], end: datetime, step: int, where: str = "1 = 1"
) -> None:
    """Rows like the one that each symbol has, at every step until the end."""
    columns = [name for (name,) in database.ask(database.columns.format(table))]
    values = ", ".join(others.get(name, f"r.{name}") for name in columns)
    database.ask(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM (SELECT * FROM {table}) r"
        f" CROSS JOIN {database.steps(end, step)} WHERE {where}{database.conflict}"
    )


def _ask(database: Database, store: str, begin: datetime, end: datetime, repeat: int) -> dict[str, tuple[float, float]]:
    """Of each panel the median of the milliseconds, and of those of the processor that serves it."""
    found = {}
    for title, sql in _panels(store, begin, end):
        times, used = [], sum(database.server.cpu_times()[:2])
        for _ in range(repeat):
            began = time.perf_counter()
            database.ask(sql)
            times.append((time.perf_counter() - began) * 1e3)
        of_processor = (sum(database.server.cpu_times()[:2]) - used) / repeat * 1e3
        found[title] = (round(median(times), 1), round(of_processor, 1))
    return dict(sorted(found.items(), key=lambda one: -one[1][1]))


def _panels(store: str, begin: datetime, end: datetime) -> Iterator[tuple[str, str]]:
    """Board and title, and the SQL as Grafana expands it for a panel 1,000 pixels wide."""
    step = max(1, round((end - begin).total_seconds() / 1_000))
    names = ",".join(f"'{symbol}'" for symbol in SYMBOLS)
    for name in BOARDS:
        for panel in json.loads(getattr(files, f"{store}_{name}")())["panels"]:
            for target in panel.get("targets", []):
                sql = target["rawSql"].replace("IN (${symbol:sqlstring})", f"IN ({names})")
                sql = sql.replace("ARRAY[${symbol:sqlstring}]", f"ARRAY[{names}]")
                sql = sql.replace("$__timeFrom()", f"'{begin:%FT%TZ}'").replace("$__timeTo()", f"'{end:%FT%TZ}'")
                sql = sql.replace("$__interval_ms", str(step * 1_000))
                for variable, value in {"symbol": SYMBOLS[0], "exchange": "binance", "interval": "1m"}.items():
                    sql = sql.replace(f"${{{variable}:sqlstring}}", f"'{value}'")
                for macro, text in MACROS[store].items():
                    sql = re.sub(macro, text.format(step=step, begin=f"{begin:%F %T}", end=f"{end:%F %T}"), sql)
                yield f"{name}: {panel['title']}", sql


if __name__ == "__main__":
    sys.exit(main())
