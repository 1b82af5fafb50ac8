"""Days between the real database and a real lake: nothing leaves one before the other has it, whatever stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marketpipeline.lake.asking import Lake
from marketpipeline.readers import HistoryQuery, Span
from marketpipeline.readers.lake import LakeReader
from marketpipeline.readers.tiers import Tiered
from marketpipeline.readers.timescale import TimescaleReader
from marketpipeline.records import Record, Trade
from marketpipeline.settings import HttpSettings, TiersSettings
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.sinks.lake import LakeSink
from marketpipeline.sinks.tiers.main import run
from marketpipeline.sinks.tiers.moving import Mover
from marketpipeline.sinks.tiers.warm import Warm
from marketpipeline.store import TABLES, table_of
from marketpipeline.store.digest import differences
from marketpipeline.store.lake import lake_table

from tests.services.sinks.samples import BTC, ETH, START, alert, candle, deliver, every_kind, trade
from tests.services.sinks.stores import PostgresStore
from tests.support.postgres import PASSWORD, RunningPostgres

DAY = 86_400_000_000
FIRST = datetime.fromtimestamp(START / 1e6, UTC).date()
TRADES = table_of("trades")
ALL = dict.fromkeys(("trades", "book", "candles", "alerts", "events"), 1.0)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def noon(number: int) -> datetime:
    return datetime(FIRST.year, FIRST.month, FIRST.day, 12, tzinfo=UTC) + timedelta(days=number)


@pytest.fixture
def lake(tmp_path: Path) -> LakeStoreSettings:
    return LakeStoreSettings(url=(tmp_path / "lake").as_uri())


@pytest.fixture
def store(postgres: RunningPostgres, database: str) -> PostgresStore:
    found = PostgresStore(postgres, database)
    found.sink().open()
    return found


@pytest.fixture
def warm(store: PostgresStore) -> Iterator[Warm]:
    found = Warm(store.settings, "test")
    yield found
    found.close()


def put(sink: Any, *records: Record) -> None:
    sink.open()
    sink.write(deliver(*records))
    if isinstance(sink, LakeSink):
        sink.flush(everything=True)
    sink.close()


def over(days: int, *, each: int = 4) -> list[Record]:
    """Trades of two symbols, candles and an alert, on several days."""
    found: list[Record] = []
    for number in range(days):
        at = START - START % DAY + number * DAY
        for symbol in (BTC, ETH):
            found += [trade(number * 100 + n, symbol, trade_time=at + n * DAY // each) for n in range(each)]
        found += [candle(0, open_time=at, close_time=at + 60_000_000, closed=True, trades=number + 1)]
        found += [alert(0, id=f"x:{number}", started_at=at + 5)]
    return found


def asked(store: PostgresStore, lake: LakeStoreSettings, table: str = "trades", **filters: Any) -> list[dict[str, Any]]:
    """Every row, over both tiers; rows of one time and id in the order of their symbols."""

    async def ask() -> list[dict[str, Any]]:
        warm = TimescaleReader(store.settings, "test", 10.0)
        await warm.open()
        try:
            tiered = Tiered(warm, LakeReader(lake, "test"))
            query = HistoryQuery(table_of(table), filters, Span())
            rows = [row async for rows in tiered.history(query) for row in rows]
            return sorted(rows, key=lambda row: (row[query.table.time], row["symbol"]))
        finally:
            await warm.close()

    return asyncio.run(ask())


def test_both_stores_compute_the_same_digest_of_every_table(
    store: PostgresStore, warm: Warm, lake: LakeStoreSettings
) -> None:
    records = [*every_kind(), *every_kind(ETH), *over(1, each=50)]
    put(store.sink(), *records)
    put(LakeSink(lake), *records)
    warm = Warm(store.settings, "test")
    for table in TABLES:
        here, there = warm.digest(table, FIRST), Lake(lake).digest(lake_table(table.name), FIRST)
        assert here, table.name
        assert differences(here, there) == [], table.name
    warm.close()
    put(LakeSink(lake), trade(9_999), candle(0, trades=5_000, closed=True))
    assert differences(here := Lake(lake).digest(lake_table("trades"), FIRST), here) == []
    for name, said in (("trades", f"{BTC}: "), ("candles", f"{BTC} 1m: other ids")):
        lacks = differences(
            Warm(store.settings, "test").digest(table_of(name), FIRST), Lake(lake).digest(lake_table(name), FIRST)
        )
        assert len(lacks) == 1
        assert lacks[0].startswith(said)


def test_only_days_that_the_archive_has_whole_leave_the_database(store: PostgresStore, lake: LakeStoreSettings) -> None:
    records = over(6)
    put(store.sink(), *records)
    missing = trade(200, ETH, trade_time=START - START % DAY + 2 * DAY)
    assert missing in records
    put(LakeSink(lake), *(record for record in records if record != missing))
    before = {name: asked(store, lake, name) for name in ("trades", "candles", "alerts")}
    warm = Warm(store.settings, "test")
    moved = Mover(warm, Lake(lake), 0.0).clean_up(ALL, noon(5))
    trades = {number for (name, number) in moved.days if name == "trades"}
    assert trades == {day(0), day(1), day(3)}
    assert moved.kept_back == {("trades", day(2)): f"{ETH}: 4 rows here, 3 in the archive"}
    assert store.query("SELECT count(*) FROM trades") == [(3 * 8,)]
    assert store.query("SELECT count(*) FROM candles") == [(2,)]
    assert {name: asked(store, lake, name) for name in before} == before
    again = Mover(warm, Lake(lake), 0.0).clean_up(ALL, noon(5))
    assert (again.days, again.kept_back) == ({}, moved.kept_back)
    noted = "SELECT table_name, day, reason FROM kept_back_days"
    assert store.query(noted) == [("trades", day(2), f"{ETH}: 4 rows here, 3 in the archive")]
    Mover(warm, Lake(lake), 0.0).archive(day(2), day(3))
    assert store.query(noted) == [], "the archive has got what it lacked"
    warm.close()


def test_a_kill_before_the_rows_go_leaves_each_row_once(
    store: PostgresStore, lake: LakeStoreSettings, warm: Warm
) -> None:
    put(store.sink(), *over(4))
    put(LakeSink(lake), *over(4))
    warm = Warm(store.settings, "test")
    before = asked(store, lake)

    def killed(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Mover(warm, Lake(lake), 1.0, killed).clean_up(ALL, noon(3))
    assert store.query("SELECT count(*) FROM trades") == [(4 * 8,)], "nothing has gone"
    assert asked(store, lake) == before
    Mover(warm, Lake(lake), 0.0).clean_up(ALL, noon(3))
    assert store.query("SELECT count(*) FROM trades") == [(2 * 8,)]
    assert asked(store, lake) == before
    warm.close()


def test_days_by_hand_and_back(store: PostgresStore, lake: LakeStoreSettings) -> None:
    """The archive gets what it lacks; what came back stays for a while; a row that comes late is archived too."""
    put(store.sink(), *over(5))
    warm = Warm(store.settings, "test")
    before = {name: asked(store, lake, name) for name in ("trades", "candles", "alerts")}
    moving = Mover(warm, Lake(lake), 0.0)
    assert len(moving.archive(day(1), day(3)).days) == 6
    assert store.query("SELECT count(*) FROM trades") == [(3 * 8,)]
    assert {name: asked(store, lake, name) for name in before} == before
    assert moving.restore(day(1), day(2), noon(9)).days == {
        ("trades", day(1)): 8, ("candles", day(1)): 1, ("alerts", day(1)): 1
    }  # fmt: skip
    assert store.query("SELECT count(*) FROM trades") == [(4 * 8,)]
    assert {name: asked(store, lake, name) for name in before} == before
    assert not {key for key in moving.clean_up({"trades": 1.0}, noon(4)).days if key[1] == day(1)}, "it stays"
    late = trade(999, trade_time=START - START % DAY + 2 * DAY + 7)
    put(store.sink(), late)
    assert moving.clean_up({"trades": 1.0}, noon(9)).days.keys() >= {("trades", day(1)), ("trades", day(2))}
    assert 1_999 in [row["trade_id"] for row in asked(store, lake, symbol=BTC)]
    assert len(asked(store, lake)) == len(before["trades"]) + 1
    warm.close()


def test_days_that_only_the_archive_has_are_its_to_answer_for(store: PostgresStore, lake: LakeStoreSettings) -> None:
    put(LakeSink(lake), *over(4))
    put(store.sink(), *(r for r in over(4) if isinstance(r, Trade) and r.trade_time >= START + DAY))
    warm = Warm(store.settings, "test")
    Mover(warm, Lake(lake), 0.0).clean_up({}, noon(3))
    assert len(asked(store, lake)) == 32
    warm.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=5))
def test_whatever_is_archived_and_restored_every_row_is_there_once(
    store: PostgresStore, lake: LakeStoreSettings, moves: list[tuple[bool, int, int]]
) -> None:
    put(store.sink(), *over(5))
    warm = Warm(store.settings, "test")
    moving = Mover(warm, Lake(lake), 0.0)
    for back, first, count in moves:
        if back:
            moving.restore(day(first), day(first + count), noon(99))
        else:
            assert not moving.archive(day(first), day(first + count)).kept_back
        ids = sorted((row["symbol"], row["trade_id"]) for row in asked(store, lake))
        assert ids == sorted({(r.symbol, r.trade_id) for r in over(5) if isinstance(r, Trade)})
    warm.close()


def test_the_job(store: PostgresStore, lake: LakeStoreSettings) -> None:
    put(store.sink(), *over(3))
    put(LakeSink(lake), *over(3))
    settings = TiersSettings(
        pipeline="test",
        http=HttpSettings(host="127.0.0.1", port=0),
        symbols=[BTC],
        windows=["1m"],
        stores={"timescale": store.settings.model_dump() | {"password": PASSWORD}, "lake": lake.model_dump()},
        warm_days={"trades": 30.0},
        grace_ms=1,
    )
    assert run(settings) == 0
    assert store.query("SELECT count(*) FROM trades") == [(0,)]
    assert len(asked(store, lake)) == 24
    assert store.query("SELECT count(*) FROM candles") == [(3,)], "kept for ever"
