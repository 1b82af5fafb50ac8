"""The history behind PgBouncer in transaction mode, where no two transactions need be on the same server connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.timescale import TimescaleReader
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.timescale import TimescaleSink
from marketpipeline.store import newest_kinds, table_of
from marketpipeline.store.rows import json_of

from tests.services.sinks.samples import BTC, ETH, alert, candle, deliver, every_kind, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import RunningPostgres


@pytest.fixture
def behind(postgres: RunningPostgres, database: str, pgbouncer: int) -> TimescaleStoreSettings:
    """A database, by PgBouncer's address; three connections to the server are open already."""
    url = f"postgresql://marketpipeline@127.0.0.1:{pgbouncer}/{database}"
    held = [psycopg.connect(url, prepare_threshold=None) for _ in range(3)]
    processes = {connection.execute("SELECT pg_backend_pid()").fetchone() for connection in held}
    assert len(processes) == 3
    for connection in held:
        connection.close()
    return TimescaleStoreSettings(url=url)


@pytest.fixture
def direct(postgres: RunningPostgres, database: str) -> PostgresStore:
    return PostgresStore(postgres, database)


@pytest.fixture
def sink(behind: TimescaleStoreSettings) -> Iterator[TimescaleSink]:
    found = TimescaleSink(behind)
    found.open()
    yield found
    found.close()


def test_batches_and_their_repetitions_are_stored(sink: TimescaleSink, direct: PostgresStore) -> None:
    for number in range(12):
        sink.write(deliver(*every_kind(), trade(number), candle(number % 3, trades=number), alert(number)))
    sink.write(deliver(*every_kind()))
    assert direct.query("SELECT count(*) FROM trades") == [(12,)]
    assert direct.query("SELECT max(trades) FROM candles") == [(100,)]
    assert direct.query("SELECT count(*) FROM alerts") == [(12,)]
    assert direct.query("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'staging%%'") == [(0,)]


def test_settings_stay_in_their_transactions(
    sink: TimescaleSink, behind: TimescaleStoreSettings, direct: PostgresStore
) -> None:
    """Whoever else is given the server connection has its own settings."""
    asked = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    (usual,) = direct.query(asked)
    for number in range(6):
        sink.write(deliver(trade(number), candle(number)))
        with psycopg.connect(behind.url, prepare_threshold=None) as other:
            row = other.execute(
                "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
            ).fetchone()
            assert row == usual


def test_settings_hold_in_every_transaction(sink: TimescaleSink) -> None:
    assert sink._connection is not None
    for _ in range(6):
        with sink._connection.transaction():
            row = sink._connection.execute("SELECT current_setting('lock_timeout')").fetchone()
        assert row == ("30s",)


async def test_it_is_read(sink: TimescaleSink, behind: TimescaleStoreSettings) -> None:
    sink.write(deliver(*(trade(number) for number in range(7_000)), *every_kind(ETH), candle()))
    reader = TimescaleReader(behind, "test", 10.0)
    await reader.open()
    try:
        for _ in range(8):
            found = await reader.newest([BTC, ETH], newest_kinds(["1m"]))
            assert found[BTC] == {"trade": trade(6_999), "candle:1m": candle()}
        batches: list[list[dict[str, Any]]] = [
            batch async for batch in reader.history(HistoryQuery(table_of("trades"), {"symbol": BTC}))
        ]
        assert [len(batch) for batch in batches] == [5_000, 2_000]
        few = [
            batch async for batch in reader.history(HistoryQuery(table_of("trades"), {"symbol": BTC}, Span(limit=1)))
        ]
        assert few == [[json_of(trade(6_999))]]
        assert ETH in await reader.holdings()
    finally:
        await reader.close()
