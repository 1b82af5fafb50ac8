"""The archive: SQL, times at their edges, and the two tiers asked as one on the real stores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.lake.asking import Lake
from marketpipeline.readers import HistoryQuery, Readers, Span
from marketpipeline.readers.lake import LakeReader, select
from marketpipeline.readers.tiers import Tiered
from marketpipeline.readers.timescale import TimescaleReader
from marketpipeline.sink_kinds import ReadRank
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sinks.lake import LakeSink
from marketpipeline.store import table_of
from marketpipeline.store.lake import LAKE_TABLES, lake_table
from marketpipeline.store.rows import json_of

from tests.services.sinks.samples import BTC, ETH, START, book, deliver, every_kind, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import RunningPostgres

DAY = 86_400_000_000
TRADES, METRICS = table_of("trades"), table_of("book_metrics")


@pytest.fixture
def settings(tmp_path: Path) -> LakeStoreSettings:
    return LakeStoreSettings(url=(tmp_path / "lake").as_uri())


def at(microseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)


def put(settings: LakeStoreSettings, *records: object) -> None:
    sink = LakeSink(settings)
    sink.open()
    sink.write(deliver(*records))  # type: ignore[arg-type]
    sink.flush(everything=True)
    sink.close()


async def times(reader: LakeReader | Tiered, query: HistoryQuery) -> list[int]:
    return [row["trade_id"] - 1_000 async for rows in reader.history(query) for row in rows]


def test_values_are_written_so_that_no_text_ends_early() -> None:
    query = HistoryQuery(TRADES, {"symbol": "a:O'X", "backfilled": [True]}, Span(at(0), at(DAY), 5))
    days = (at(0).date(), at(0).date())
    statement = select(lake_table("trades"), query, days, 5, backwards=False)
    assert "day >= DATE '1970-01-01' AND day <= DATE '1970-01-01' AND exchange IN ('a') AND" in statement
    assert "\"symbol\" IN ('a:O''X') AND \"backfilled\" IN (true)" in statement
    assert statement.endswith('ORDER BY trade_time, "trade_id" LIMIT 5')


async def test_bounds_are_exact_to_the_microsecond(settings: LakeStoreSettings) -> None:
    """Statistics of a file know milliseconds only."""
    put(settings, *(trade(n, trade_time=START + 999_000 + n) for n in range(0, 1_000, 7)))
    reader = LakeReader(settings, "test")
    for since, until in ((0, 994), (1, 995), (500, 501), (994, 2_000), (995, 2_000)):
        span = Span(at(START + 999_000 + since), at(START + 999_000 + until))
        found = await times(reader, HistoryQuery(TRADES, {"symbol": BTC}, span))
        assert found == [n for n in range(0, 1_000, 7) if since <= n < until], (since, until)


async def test_rows_are_those_of_every_other_store(settings: LakeStoreSettings) -> None:
    put(settings, *every_kind())
    reader = LakeReader(settings, "test")
    for record in every_kind():
        table = next(table for table in LAKE_TABLES if table.kind.record is type(record))
        if reader.keeps_history(table.name):
            (rows,) = [rows async for rows in reader.history(HistoryQuery(table_of(table.name)))]
            assert rows == [json_of(record)]


async def test_files_of_other_days_and_exchanges_are_not_opened(settings: LakeStoreSettings, tmp_path: Path) -> None:
    """Their files are gone: whatever opened one would fail."""
    rows = [trade(n, s, trade_time=START + n * DAY) for n in range(3) for s in (BTC, "okx:BTC-USDT")]
    put(settings, *rows)
    wanted = "exchange=binance/day=2024-08-09"
    for file in (tmp_path / "lake" / "trades").rglob("*.parquet"):
        if wanted not in str(file):
            file.unlink()
    reader, of_symbol = LakeReader(settings, "test"), {"symbol": [BTC]}
    day = Span(at(START + DAY // 2), at(START + DAY + DAY // 2))
    assert await times(reader, HistoryQuery(TRADES, of_symbol, day)) == [1]
    assert await times(reader, HistoryQuery(TRADES, of_symbol, Span(None, day.until, 1))) == [1]
    assert [
        found.rows
        for found in await reader.count(HistoryQuery(TRADES, of_symbol, Span(day.since, at(START + DAY + 1))))
    ] == [1]
    with pytest.raises(RetryableError):
        await times(reader, HistoryQuery(TRADES, {"symbol": "okx:BTC-USDT"}, day))


async def test_questions_are_answered_side_by_side(settings: LakeStoreSettings) -> None:
    """One that nobody reads on holds up no other, and what is written meanwhile is seen."""
    put(settings, *(trade(n, trade_time=START + n * DAY) for n in range(8)))
    reader, query = LakeReader(settings, "test"), HistoryQuery(TRADES, {"symbol": BTC})
    waiting = [reader.history(query) for _ in range(6)]
    firsts = [await anext(rows) for rows in waiting]
    put(settings, trade(8, trade_time=START + 8 * DAY))
    found = await asyncio.gather(*(times(reader, query) for _ in range(6)))
    assert found == [list(range(9))] * 6
    assert all(rows == firsts[0] for rows in firsts)
    for rows in waiting:
        await rows.aclose()  # type: ignore[attr-defined]  # a generator


async def test_a_lake_that_nothing_has_made(settings: LakeStoreSettings) -> None:
    reader = LakeReader(settings, "test")
    with pytest.raises(RetryableError, match="has no tables yet"):
        await reader.check()
    assert [rows async for rows in reader.history(HistoryQuery(TRADES))] == []


async def test_two_tiers_answer_as_one(settings: LakeStoreSettings, postgres: RunningPostgres, database: str) -> None:
    """Five days, of which the second and the fourth were archived; their rows in the database are left-overs."""
    store = PostgresStore(postgres, database)
    rows = [trade(n, s, trade_time=START + n * DAY // 4) for n in range(20) for s in (BTC, ETH)]
    sink = store.sink()
    sink.open()
    archived = {at(START + DAY).date(), at(START + 3 * DAY).date()}
    there = [row for row in rows if at(row.trade_time).date() in archived]
    sink.write(deliver(*(row for row in rows if row not in there), *there[:3], book()))
    sink.close()
    put(settings, *rows)
    with psycopg.connect(store.url) as connection:
        for day in archived:
            connection.execute("INSERT INTO archived_days (table_name, day, rows) VALUES ('trades', %s, 1)", (day,))
    warm, cold = TimescaleReader(store.settings, "test", 10.0), LakeReader(settings, "test")
    tiered = Tiered(warm, cold)
    ranks = {warm.name: ReadRank.HISTORY, cold.name: ReadRank.ARCHIVE}
    async with Readers(newest=[warm, cold], history=[tiered, cold], ranks=ranks) as readers:
        for span, newest_first, wanted in (
            (Span(), False, list(range(20))),
            (Span(), True, list(range(19, -1, -1))),
            (Span(limit=7), False, list(range(13, 20))),
            (Span(at(START), None, 11), False, list(range(11))),
            (Span(at(START + DAY // 4), at(START + 4 * DAY)), False, list(range(1, 16))),
            (Span(None, at(START + 2 * DAY), 5), True, [7, 6, 5, 4, 3]),
        ):
            found = await readers.rows(HistoryQuery(TRADES, {"symbol": BTC}, span, newest_first))
            assert [row["trade_id"] - 1_000 for row in found] == wanted, span
        covered = await readers.count(HistoryQuery(TRADES, {"symbol": [BTC]}), daily=True)
        assert sum(held.rows for held in covered) == 20
        assert {held.store for held in covered if held.day in archived} == {"lake"}
        assert [held.day for held in covered] == sorted({at(row.trade_time).date() for row in rows})
        warm_state, cold_state = await readers.tiers()
        assert (warm_state.tier, warm_state.archived_days) == ("warm", {"trades": 2})
        assert (cold_state.tier, cold_state.store, cold_state.error) == ("cold", "lake", None)
        assert Lake(settings).days(lake_table("trades")).keys() >= archived
