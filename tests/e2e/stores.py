"""What the stores of a run that has ended hold, of each kind the same questions, by its own reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import psycopg
from marketpipeline.cli.query import TABLES as QUERIES
from marketpipeline.local.component import StoreServer
from marketpipeline.local.state import STORES, StateFolder
from marketpipeline.readers import Blocking, HistoryQuery, Readers, Span, blocking
from marketpipeline.records import Record
from marketpipeline.registry import resolve
from marketpipeline.sink_kinds import SinkKind, sink_kinds
from marketpipeline.sinks.snowflake.connection import connect
from marketpipeline.store import Table, table_of
from marketpipeline.store.clickhouse import client_options
from marketpipeline.store.rows import row_reader

from tests.conftest import free_port
from tests.support.server import RunningServer

__all__ = ["EveryStore", "every_store"]

Row = dict[str, Any]


class EveryStore:
    """The stores by kind of sink, their servers up."""

    def __init__(self, readers: dict[str, Blocking], warehouse: Any, settings: dict[str, Any]) -> None:
        self._readers = readers
        self._warehouse = warehouse
        self._settings = settings

    def ask_timescale(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement in TimescaleDB's SQL."""
        store = self._settings["timescale"]
        with psycopg.connect(store.url, password=store.password.get_secret_value()) as connection:
            return connection.execute(statement).fetchall()

    def ask_clickhouse(self, statement: str) -> list[tuple[Any, ...]]:
        """The same of one in ClickHouse's."""
        with clickhouse_connect.get_client(**client_options(self._settings["clickhouse"], timeout=30)) as client:
            return [tuple(row) for row in client.query(statement).result_rows]

    def query(self, what: str, symbol: str, *options: str) -> list[Row]:
        """As `marketpipeline query` with these arguments, of the database."""
        given = dict(zip(options[::2], options[1::2], strict=True))
        only: dict[str, Any] = {"symbol": symbol} | ({"kind": "gap"} if what == "gaps" else {})
        table = table_of(QUERIES[what])
        if "interval" in table.column_names:
            only["interval"] = given.get("--interval", "1m")
        limit = given.get("--limit")
        span = Span(limit=None if limit is None else int(limit))
        return list(self._readers["timescale"].history(HistoryQuery(table, only, span)))

    def rows(self, store: str, table: Table) -> list[Row]:
        """All rows of a table, by its key."""
        found = self._loaded(table) if store == "snowflake" else self._readers[store].history(HistoryQuery(table))
        return sorted(found, key=lambda row: [str(row[name]) for name in table.key])

    def _loaded(self, table: Table) -> Iterator[Row]:
        """Times as numbers: the emulation gives the connector 1970 for one that is null."""
        read = row_reader(table)
        names = [f"DATE_PART(epoch_microsecond, {c.name})" if c.is_time else c.name for c in table.columns]
        times = [index for index, column in enumerate(table.columns) if column.is_time]
        with self._warehouse.cursor() as cursor:
            for row in cursor.execute(f"SELECT {', '.join(names)} FROM {table.name}"):
                values = list(row)
                for index in times:
                    if values[index] is not None:
                        values[index] = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(values[index]))
                yield read(values)

    def newest(self, store: str, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, dict[str, Record]]:
        """The newest record of each kind and symbol."""
        return self._readers[store].newest(symbols, kinds).symbols


@contextmanager
def every_store(folder: Path) -> Iterator[EveryStore]:
    """Start the servers of all the stores that a run has left, for the time of the block."""
    with ExitStack() as started:
        state = StateFolder.open_existing(folder, wait_seconds=60.0)
        started.callback(state.close)
        known, readers, warehouse, settings = state.read_settings(STORES), {}, None, {}
        for kind in sink_kinds().values():
            if kind.server is None or kind.name not in known:
                continue
            server: StoreServer = resolve(kind.server)(state, free_port())
            running = RunningServer(server, folder / f"{server.name}-again.log")
            started.callback(running.stop)
            running.start()
            store = kind.store_settings(**(known[kind.name] | dict(server.settings)))
            settings[kind.name] = store
            if kind.reader is not None:
                readers[kind.name] = started.enter_context(blocking(_alone(kind, store)))
            elif kind.name == "snowflake":
                warehouse = connect(store, "test")  # type: ignore[arg-type]  # of this kind
                started.callback(warehouse.close)
        yield EveryStore(readers, warehouse, settings)


def _alone(kind: SinkKind, store: Any) -> Readers:
    reader = resolve(str(kind.reader))(store, "test", 60.0)
    return Readers(newest=[reader], history=[reader], ranks={reader.name: kind.rank})
