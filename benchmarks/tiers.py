"""How long candles of the past take over HTTP: `python -m benchmarks.tiers`, prints JSON.

`warm_day_ms`: a day of minute candles of one symbol, from PostgreSQL with `--days` of `--symbols` symbols in it.
`cold_month_ms`: a month of hour candles of one symbol, from a lake in a folder, and `cold_month_of_minutes_ms` all
43,200 minutes of it. `seam_ms`: two days, of which one is archived. One request after the other, of another symbol and
day each time, against `marketpipeline api` in a process that is pinned to one core. First with a tenth of the days,
then with all of them: `growth` is by how much the second takes longer. The first request of each sort is left out.
`cpu` is what a request costs the API's process, in milliseconds: that holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pyarrow as pa
from deltalake import write_deltalake
from marketpipeline.lake.delta import WRITER, make_table, schema_of
from marketpipeline.settings import ApiSettings, HttpSettings
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.store.lake import lake_table
from marketpipeline.store.tables import table_of
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from benchmarks.support import free_port, machine, off_first_core, percentiles, running_api
from tests.support.postgres import PASSWORD, RunningPostgres

__all__ = ["main"]

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
CANDLES = lake_table("candles")
_FILL = """
INSERT INTO candles ({}) SELECT s, '1m', t, t + interval '1 minute', true, true, p, p * 1.001, p * 0.999, p * 1.0003,
    14.25, 879505.1, 1204, 8.5, p, 1.478, 0.000259, n, n + 1203, t + interval '59 seconds', t + interval '60 seconds'
FROM (
    SELECT s, t, 60000 + random() * 1000 AS p, extract(epoch FROM t)::bigint AS n
    FROM generate_series(%s::timestamptz, %s::timestamptz - interval '1 minute', interval '1 minute') AS t,
        unnest(%s::text[]) AS s
) AS made
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Candles of the past, from the database and from the lake.")
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--days", type=int, default=90, help="of the database, at its fullest")
    parser.add_argument("--months", type=int, default=10, help="of 30 days, in the lake at its fullest")
    parser.add_argument(
        "--requests", type=int, default=100, help="of each sort; a tenth where it is a month of minutes"
    )
    arguments = parser.parse_args()
    symbols = [f"binance:S{number:03}USDT" for number in range(arguments.symbols)]
    off_first_core()
    with tempfile.TemporaryDirectory(prefix="benchmark-tiers-") as name, _postgres(Path(name)) as server:
        filled = _Filled(Path(name), server, symbols)
        rounds = []
        for days, months in ((arguments.days // 10, 1), (arguments.days, arguments.months)):
            filled.up_to(days, months)
            rounds.append(_measure(filled, arguments.requests) | {"days": days, "months": months})
    versions = {name: version(name) for name in ("psycopg", "deltalake", "pyarrow", "fastapi", "uvicorn")}
    kinds = [kind for kind in rounds[0] if kind.endswith("_ms")]
    growth = {kind: round(rounds[1][kind]["p50"] / rounds[0][kind]["p50"], 2) for kind in kinds}
    told = {"machine": machine(), "versions": {"python": platform.python_version(), **versions}, **vars(arguments)}
    print(json.dumps({**told, "rounds": rounds, "growth": growth}, indent=2))
    return 0


@contextmanager
def _postgres(folder: Path) -> Iterator[RunningPostgres]:
    folder.chmod(folder.stat().st_mode | 0o011)
    server = RunningPostgres(folder / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Filled:
    """Both stores, with more and more in them: days of the database end where those of the lake begin to be its own."""

    def __init__(self, folder: Path, server: RunningPostgres, symbols: list[str]) -> None:
        self.folder, self.symbols, self.days, self.months = folder, symbols, 0, 0
        self.warm = TimescaleStoreSettings(url=server.url(server.create_database()), password=SecretStr(PASSWORD))
        self.cold = LakeStoreSettings(url=(folder / "lake").as_uri())
        sink = TimescaleSink(self.warm)
        sink.open()
        sink.close()
        self._lake = make_table(self.cold, CANDLES)
        self._template = {interval: _of_a_day(symbols, seconds) for interval, seconds in (("1m", 60), ("1h", 3_600))}

    def up_to(self, days: int, months: int) -> None:
        """The database has so many days from FIRST on, the lake so many months before it."""
        with psycopg.connect(self.warm.url, password=PASSWORD, autocommit=True) as database:
            edges = FIRST + timedelta(days=self.days), FIRST + timedelta(days=days)
            columns = SQL(", ").join(map(Identifier, table_of("candles").column_names))
            database.execute(SQL(_FILL).format(columns), (*edges, self.symbols))
            database.execute("VACUUM (ANALYZE) candles")
            for number in range(self.months * 30 + 1, months * 30 + 1):
                day = (FIRST - timedelta(days=number)).date()
                self._put(day)
                database.execute("INSERT INTO archived_days (table_name, day, rows) VALUES ('candles', %s, 1)", (day,))
        self.days, self.months = days, months

    def _put(self, day: date) -> None:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        rows = pa.concat_tables([_at(table, begin, day) for table in self._template.values()])
        rows = rows.sort_by([(name, "ascending") for name in CANDLES.order])
        write_deltalake(self._lake, rows, mode="append", writer_properties=WRITER)


def _of_a_day(symbols: list[str], seconds: int) -> dict[str, Any]:
    """Columns of the candles of a day; times are microseconds from its beginning."""
    count = 86_400 // seconds
    rng, rows = np.random.default_rng(7), count * len(symbols)
    opens = np.tile(np.arange(count, dtype=np.int64) * seconds * 1_000_000, len(symbols))
    price = rng.uniform(60_000, 61_000, rows)
    found: dict[str, Any] = {
        "symbol": np.repeat(symbols, count), "interval": np.full(rows, "1m" if seconds == 60 else "1h"),
        "open_time": opens, "close_time": opens + seconds * 1_000_000, "closed": np.ones(rows, bool),
        "complete": np.ones(rows, bool), "open": price, "high": price * 1.001, "low": price * 0.999, "close": price,
        "volume": rng.uniform(1, 100, rows), "quote_volume": rng.uniform(1e5, 1e6, rows),
        "trades": rng.integers(1, 5_000, rows), "taker_buy_volume": rng.uniform(1, 50, rows), "vwap": price,
        "buy_sell_ratio": rng.uniform(0.5, 2, rows), "price_change": rng.normal(0, 1e-3, rows),
        "first_trade_id": opens // 1_000, "last_trade_id": opens // 1_000 + 999,
        "receive_time": opens + 59_000_000, "process_time": opens + 60_000_000,
    }  # fmt: skip
    return found


def _at(columns: dict[str, Any], begin: datetime, day: date) -> pa.Table:
    schema, shift = schema_of(CANDLES), round(begin.timestamp() * 1_000_000)
    rows = len(columns["symbol"])
    made = {"exchange": pa.array(["binance"] * rows), "day": pa.array([day] * rows, pa.date32())}
    for name, values in columns.items():
        is_time = pa.types.is_timestamp(schema.field(name).type)
        made[name] = pa.array(values + shift if is_time else values).cast(schema.field(name).type)
    return pa.table(made, schema=schema)


def _measure(filled: _Filled, requests: int) -> dict[str, Any]:
    settings = ApiSettings(
        pipeline="benchmark", http=HttpSettings(host="127.0.0.1", port=free_port()), symbols=filled.symbols,
        windows=["1m", "1h"], max_rows=50_000, rate_limit=None,
        stores={"timescale": filled.warm, "lake": filled.cold},
    )  # fmt: skip
    with running_api(filled.folder, settings) as (url, process), httpx.Client(base_url=url, timeout=60) as client:

        def asked(kind: str, first: int, days: int, rows: int, times: int = requests) -> dict[str, float]:
            """`first` is the day after FIRST that the first request begins with; later ones go on from it."""
            took, used = [], sum(process.cpu_times()[:2])
            for number in range(times + 1):
                symbol = filled.symbols[number * 7 % len(filled.symbols)]
                turn = number % (filled.days - days + 1) if first == 0 else 0
                since = FIRST + timedelta(days=first + turn)
                span = {"from": since.isoformat(), "to": (since + timedelta(days=days)).isoformat()}
                began = time.perf_counter()
                answer = client.get(
                    f"/api/v1/analytics/klines/{symbol}", params={**span, "interval": kind, "limit": rows}
                )
                took.append(time.perf_counter() - began)
                assert len(answer.json()["candles"]) == rows, (kind, since, answer.text[:200])
            return percentiles(took[1:]) | {"cpu": round((sum(process.cpu_times()[:2]) - used) / (times + 1) * 1e3, 1)}

        return {
            "warm_day_ms": asked("1m", 0, 1, 1_440),
            "cold_month_ms": asked("1h", -30, 30, 720),
            "cold_month_of_minutes_ms": asked("1m", -30, 30, 43_200, max(3, requests // 10)),
            "seam_ms": asked("1m", -1, 2, 2_880),
            "api_memory_mb": process.memory_info().rss >> 20,
            "load": round(os.getloadavg()[0], 1),
        }


if __name__ == "__main__":
    sys.exit(main())
