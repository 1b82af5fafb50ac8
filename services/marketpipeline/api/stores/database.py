"""Reading TimescaleDB or PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from marketpipeline.api import statements
from marketpipeline.api.arguments import Span
from marketpipeline.api.rows import JsonRow, row_reader
from marketpipeline.api.stores.newest import Newest
from marketpipeline.errors import RetryableError
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.store import Table, table_of

__all__ = ["Database"]

_Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_CONNECTIONS = 8
_WAIT = 2.0
_STATEMENT_TIMEOUT = "10s"
"""How many requests may ask at once, how long (in seconds) one waits for its turn, how long it may take."""

_SYMBOLS_AT_ONCE = 200


class Database:
    """Every method raises RetryableError while the database is away or has no tables yet.

    A pool of connections, each checked before it is used, so that a restart of the database costs no request.
    """

    def __init__(self, store: TimescaleStoreSettings) -> None:
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            store.url,
            kwargs={
                "password": store.password.get_secret_value() if store.password else None,
                "autocommit": True,
                "connect_timeout": 3,
                "application_name": "marketpipeline-api",
            },
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_WAIT,
            max_waiting=256,
            reconnect_timeout=3.0,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
            name="database",
        )

    async def open(self) -> None:
        """Begin to connect, in the background."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._pool.close(timeout=2.0)

    async def version(self) -> int:
        """The version of the schema."""
        rows = await self._fetch(statements.Statement(SQL(_VERSION).format(), []))
        return int(rows[0][0])

    async def rows(
        self, table: Table, filters: Mapping[str, Any], span: Span, *, newest_first: bool = False
    ) -> list[JsonRow]:
        """Rows of a table, see `statements.select`."""
        found = await self._fetch(statements.select(table, filters, span, newest_first=newest_first))
        return list(map(row_reader(table), found))

    async def newest(self, symbols: Sequence[str], windows: Sequence[str]) -> dict[str, Newest]:
        """The newest of each kind for each symbol; there are no quotes here."""
        asked = {name: self._latest(table_of(name), symbols) for name in ("trades", "book_metrics", "tickers")}
        asked |= {w: self._latest(table_of("candles"), symbols, {"interval": w}) for w in windows}
        found = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
        return {
            symbol: Newest(
                trade=found["trades"].get(symbol),
                book=found["book_metrics"].get(symbol),
                ticker=found["tickers"].get(symbol),
                candles={window: found[window][symbol] for window in windows if symbol in found[window]},
            )
            for symbol in symbols
        }

    async def _latest(
        self, table: Table, symbols: Sequence[str], filters: Mapping[str, Any] | None = None
    ) -> dict[str, JsonRow]:
        read, found = row_reader(table), {}
        for begin in range(0, len(symbols), _SYMBOLS_AT_ONCE):
            some = symbols[begin : begin + _SYMBOLS_AT_ONCE]
            for row in map(read, await self._fetch(statements.latest(table, some, filters))):
                found[str(row["symbol"])] = row
        return found

    async def _fetch(self, statement: statements.Statement) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            cursor = await connection.execute(statement.sql, statement.values)
            return await cursor.fetchall()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise RetryableError("the database is away or has too much to do") from error
        except psycopg.errors.UndefinedTable as error:
            raise RetryableError("the database has no tables yet: no sink has made them") from error
        except psycopg.errors.QueryCanceled as error:
            raise RetryableError(f"the query took longer than {_STATEMENT_TIMEOUT}; ask for less") from error
        except psycopg.Error as error:
            raise RetryableError(f"the database fails: {' '.join(str(error).split())}") from error


_VERSION = "SELECT coalesce(max(version), 0) FROM marketpipeline_migrations"


async def _configure(connection: _Connection) -> None:
    for name, value in (
        ("timezone", "UTC"),
        ("statement_timeout", _STATEMENT_TIMEOUT),
        ("default_transaction_read_only", "on"),
    ):
        await connection.execute("SELECT set_config(%s, %s, false)", (name, value))
