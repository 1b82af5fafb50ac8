"""Each store that a sink writes to beside the bare client of it: what `benchmarks.sinks` measures.

The bare client gets the same rows as its library takes them quickest, made before the clock runs: PostgreSQL's COPY of
rows in its binary form, native columns for ClickHouse, columns for the lake too, or an Arrow table, a Parquet file for
PUT, COPY and MERGE in Snowflake, and for Redis a pipeline that sets each record. Both write to the same server and the
same tables.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

import psutil
import psycopg
import pyarrow as pa
import redis
from deltalake import write_deltalake
from marketpipeline.lake.delta import WRITER, make_table, schema_of
from marketpipeline.records import BookMetrics, Record, Trade, encode
from marketpipeline.sink_kinds import StoreSettings
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.base import Delivery
from marketpipeline.sinks.clickhouse.connection import connect as connect_clickhouse
from marketpipeline.sinks.lake.held import Held as HeldForLake
from marketpipeline.sinks.snowflake.connection import connect as connect_snowflake
from marketpipeline.sinks.snowflake.held import Held as HeldForSnowflake
from marketpipeline.sinks.snowflake.statements import copy_into, make_batch_table, merge, put
from marketpipeline.store import LatestKeys, table_of
from marketpipeline.store.lake import lake_table
from marketpipeline.store.latest import latest_entries
from pydantic import SecretStr

from tests.support.clickhouse import RunningClickHouse
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.snowflake import RunningSnowflake
from tests.support.valkey import RunningValkey

__all__ = ["BATCH", "STORES", "Beside", "book_metrics", "delivered", "trades"]

BATCH = 5_000
START = 1_723_161_240_000_000
_DAY = 86_400_000_000
SYMBOLS = ("binance:BTCUSDT", "binance:ETHUSDT")


class Beside(Protocol):
    """A store and its bare client. `rows_at_once` are those of a sink's batch; `server` is its process, or None."""

    rows_at_once: int
    server: psutil.Process | None

    def new(self) -> StoreSettings:
        """An empty place in the store, which the sink writes to."""

    def prepare(self, records: Sequence[Record]) -> Any:
        """The records as the bare client takes them; the sink has just written them to the newest place."""

    def write(self, prepared: Any) -> None:
        """The bare client's way of the same rows, to the newest place, whose tables a sink has made."""

    def rows(self) -> int:
        """How many there are."""


class Postgres:
    """COPY in its binary form."""

    rows_at_once = BATCH
    server: psutil.Process | None = None

    def __init__(self, server: RunningPostgres) -> None:
        self._server = server
        self._connection: psycopg.Connection[Any] | None = None

    def new(self) -> TimescaleStoreSettings:
        url = self._server.url(self._server.create_database())
        if self._connection is not None:
            self._connection.close()
        self._connection = psycopg.connect(url, password=PASSWORD, autocommit=True)
        self._connection.execute("CHECKPOINT")
        return TimescaleStoreSettings(url=url, password=SecretStr(PASSWORD))

    @property
    def _session(self) -> psycopg.Connection[Any]:
        assert self._connection is not None
        return self._connection

    def prepare(self, records: Sequence[Record]) -> list[bytes]:
        """The table's rows as PostgreSQL itself writes them, in blocks of a batch."""
        blocks = []
        for begin in range(0, len(records), BATCH):
            of_batch = f"WHERE update_id >= {begin} AND update_id < {begin + BATCH}"
            statement = f"COPY (SELECT * FROM book_metrics {of_batch}) TO STDOUT (FORMAT binary)"
            with self._session.cursor().copy(statement) as copy:
                blocks.append(b"".join(bytes(block) for block in copy))
        return blocks

    def write(self, prepared: list[bytes]) -> None:
        for block in prepared:
            with self._session.cursor().copy("COPY book_metrics FROM STDIN (FORMAT binary)") as copy:
                copy.write(block)

    def rows(self) -> int:
        found = self._session.execute("SELECT count(*) FROM book_metrics").fetchone()
        return int(found[0]) if found else 0


class ClickHouse:
    """Columns, compressed as the sink's are."""

    rows_at_once = 20_000
    server: psutil.Process | None = None

    def __init__(self, server: RunningClickHouse) -> None:
        self._server = server
        self._client: Any = None

    def new(self) -> ClickHouseStoreSettings:
        settings = ClickHouseStoreSettings(
            url=self._server.url(self._server.create_database()), password=SecretStr(PASSWORD)
        )
        self._client = connect_clickhouse(settings, "benchmark")
        return settings

    def prepare(self, records: Sequence[Record]) -> list[Any]:
        names = table_of("book_metrics").column_names
        types = {row[0]: row[1] for row in self._client.query("DESCRIBE book_metrics").result_rows}
        values = attrgetter(*names)
        batches = [records[begin : begin + self.rows_at_once] for begin in range(0, len(records), self.rows_at_once)]
        return [
            (names, [types[name] for name in names], list(zip(*map(values, rows), strict=True))) for rows in batches
        ]

    def write(self, prepared: list[Any]) -> None:
        for names, types, columns in prepared:
            self._client.insert("book_metrics", columns, names, column_type_names=types, column_oriented=True)

    def rows(self) -> int:
        return int(self._client.command("SELECT uniqExact(update_id) FROM book_metrics"))


class Lake:
    """One append of columns, to a folder: the disk is the quickest store there is."""

    rows_at_once = BATCH
    server: psutil.Process | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings = LakeStoreSettings(url="file:///")

    def new(self) -> LakeStoreSettings:
        self._settings = LakeStoreSettings(url=f"file://{self._folder / uuid.uuid4().hex}")
        return self._settings

    def prepare(self, records: Sequence[Record]) -> Any:
        """Each column as a list of values, as ClickHouse's client gets them, in the order of the files."""
        names = self._ready(records).column_names
        rows = sorted(records, key=attrgetter(*lake_table("book_metrics").order))
        values = {name: list(map(attrgetter(name), rows)) for name in names[2:]}
        exchanges = [symbol.partition(":")[0] for symbol in values["symbol"]]
        return {"exchange": exchanges, "day": [time // _DAY for time in values["event_time"]], **values}

    def write(self, prepared: Any) -> None:
        write_deltalake(
            self._table, pa.table(prepared, schema_of(lake_table("book_metrics"))), mode="append",
            writer_properties=WRITER,
        )  # fmt: skip

    def rows(self) -> int:
        return int(self._table.to_pyarrow_dataset().count_rows())

    @property
    def _table(self) -> Any:
        return make_table(self._settings, lake_table("book_metrics"))

    @staticmethod
    def _ready(records: Sequence[Record]) -> pa.Table:
        held = HeldForLake(lake_table("book_metrics"))
        deliveries = {("t", 0): delivered(records)}
        held.take(deliveries, held.check(deliveries))
        return held.rows_to_write()


class LakeOfArrow(Lake):
    """The same of a table that is Arrow already: what delta-rs does alone."""

    def prepare(self, records: Sequence[Record]) -> Any:
        return self._ready(records)

    def write(self, prepared: Any) -> None:
        write_deltalake(self._table, prepared, mode="append", writer_properties=WRITER)


class Snowflake:
    """PUT, COPY and MERGE of one file, in the emulation: only the ratio says anything."""

    rows_at_once = BATCH
    server: psutil.Process | None = None
    table = table_of("trades")

    def __init__(self, server: RunningSnowflake) -> None:
        self._server = server
        self._session: Any = None

    def new(self) -> StoreSettings:
        settings = self._server.schema(trades=True)
        self._session = connect_snowflake(settings, "benchmark")
        return settings

    def prepare(self, records: Sequence[Record]) -> Any:
        held = HeldForSnowflake(self.table)
        held.take(delivered(records))
        return held.parquet()

    def write(self, prepared: Any) -> None:
        content, times = prepared
        file = f"{uuid.uuid4().hex}.parquet"
        with self._session.cursor() as cursor:
            cursor.execute(put(file), file_stream=io.BytesIO(content))
            for statement in (make_batch_table(self.table), copy_into(self.table, file), merge(self.table, (), times)):
                cursor.execute(statement)

    def rows(self) -> int:
        return int(self._run(f"SELECT count(*) FROM {self.table.name}")[0][0])

    def _run(self, statement: str) -> Any:
        with self._session.cursor() as cursor:
            return cursor.execute(statement).fetchall()


class Redis:
    """Each record set with its order and its life, in a pipeline a batch; the sink sends the newest of each key."""

    rows_at_once = 1_000
    server: psutil.Process | None = None

    def __init__(self, server: RunningValkey) -> None:
        self._server = server
        self._client = redis.Redis.from_url(server.url, password=PASSWORD)
        self._settings = RedisStoreSettings(url=server.url, password=SecretStr(PASSWORD), prefix=server.prefix())
        self._keys = LatestKeys(self._settings.prefix)

    def new(self) -> RedisStoreSettings:
        self._client.flushdb()
        return self._settings

    def prepare(self, records: Sequence[Record]) -> list[list[tuple[str, str, bytes]]]:
        found = [
            (self._keys.latest(kind, record.symbol), order, encode(record))
            for record in records
            for kind, order in latest_entries(record)
        ]
        return [found[begin : begin + self.rows_at_once] for begin in range(0, len(found), self.rows_at_once)]

    def write(self, prepared: list[list[tuple[str, str, bytes]]]) -> None:
        for batch in prepared:
            with self._client.pipeline(transaction=False) as pipeline:
                for key, order, payload in batch:
                    pipeline.hset(key, mapping={"order": order, "record": payload})
                    pipeline.pexpire(key, 3_600_000)
                pipeline.execute()

    def rows(self) -> int:
        return sum(1 for _ in self._client.scan_iter(f"{self._keys.latest('book', '*')}", 1_000))


@contextmanager
def _served(server: Any, beside: type[Any]) -> Iterator[Any]:
    server.start()
    try:
        found = beside(server)
        found.server = psutil.Process(server.pid)
        yield found
    finally:
        server.stop()


@contextmanager
def _in_folder(beside: type[Lake], folder: Path) -> Iterator[Lake]:
    yield beside(folder)


STORES: Mapping[str, Callable[[Path], AbstractContextManager[Any]]] = {
    "timescale": lambda folder: _served(RunningPostgres(folder / "postgres"), Postgres),
    "clickhouse": lambda folder: _served(RunningClickHouse(folder / "clickhouse"), ClickHouse),
    "redis": lambda folder: _served(RunningValkey(folder / "valkey"), Redis),
    "lake": lambda folder: _in_folder(Lake, folder / "lake"),
    "lake/arrow": lambda folder: _in_folder(LakeOfArrow, folder / "lake"),
    "snowflake": lambda folder: _served(RunningSnowflake(folder / "snowflake"), Snowflake),
}
"""By kind of sink, with a slash by that and another bare client: a context that has the store's server up."""


def delivered(records: Sequence[Record]) -> list[Delivery]:
    """Records as they come from a topic of one partition."""
    return [Delivery(record=r, payload=encode(r), topic="t", partition=0, offset=n) for n, r in enumerate(records)]


def book_metrics(count: int, begin: int = 0) -> list[BookMetrics]:
    """Rows as different from one another as real ones are."""
    return [
        BookMetrics(
            symbol=SYMBOLS[n % 2], event_time=START + n * 100, event_time_estimated=False,
            receive_time=START + n * 100 + 4_000, process_time=START + n * 100 + 9_000, update_id=n,
            best_bid=61_000 + n % 977 / 100, best_bid_quantity=n % 811 / 1e5, best_ask=61_000.01 + n % 977 / 100,
            best_ask_quantity=n % 613 / 1e5, mid=61_000.005 + n % 977 / 100, spread=0.01, spread_bps=n % 97 / 6e4,
            imbalance=(n % 1999 - 999) / 999, weighted_imbalance=(n % 1789 - 894) / 894, vtob_ratio=n % 401 / 401,
            weighted_mid=61_000.007 + n % 977 / 100, bid_quantity=n % 701 / 7, ask_quantity=n % 499 / 7,
            bid_depth=n % 5_003 / 3 * 1e3, ask_depth=None,
        )
        for n in range(begin, begin + count)
    ]  # fmt: skip


def trades(count: int, begin: int = 0) -> list[Trade]:
    """The same of trades."""
    return [
        Trade(
            symbol=SYMBOLS[n % 2], event_time=START + n * 100, trade_time=START + n * 100 - 20,
            receive_time=START + n * 100 + 4_000, trade_id=n, price=61_000 + n % 977 / 100, quantity=n % 811 / 1e5,
            taker_side="buy" if n % 3 else "sell",
        )
        for n in range(begin, begin + count)
    ]  # fmt: skip
