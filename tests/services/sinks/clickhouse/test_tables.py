"""What an earlier release, a user or somebody else has left in the database, and what becomes of it."""

from __future__ import annotations

import pytest
from marketpipeline.errors import PermanentError
from marketpipeline.sink_kinds.clickhouse import ClickHouseCluster
from marketpipeline.sinks.clickhouse import ClickHouseSink

from tests.services.sinks.samples import deliver, every_kind, trade
from tests.services.sinks.stores import ClickHouseStore
from tests.support.clickhouse import RunningClickHouse

ENGINE = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'trades'"


@pytest.fixture
def store(clickhouse: RunningClickHouse) -> ClickHouseStore:
    return ClickHouseStore(clickhouse)


def opened(store: ClickHouseStore) -> ClickHouseSink:
    sink = ClickHouseSink(store.settings)
    sink.open()
    return sink


def test_a_table_of_an_earlier_release_gets_its_new_columns_and_keeps_its_rows(store: ClickHouseStore) -> None:
    opened(store).write(deliver(*every_kind()))
    store.query("ALTER TABLE trades DROP COLUMN backfilled")
    store.query("ALTER TABLE book_metrics DROP COLUMN vtob_ratio, DROP COLUMN ask_depth")
    opened(store).write(deliver(trade(2, backfilled=True)))
    assert store.query("SELECT trade_id, backfilled FROM trades ORDER BY trade_id") == [(1_001, False), (1_002, True)]
    assert store.query("SELECT vtob_ratio, ask_depth FROM book_metrics") == [(0.0, None)]


def test_a_column_that_a_user_has_added_stays(store: ClickHouseStore) -> None:
    opened(store)
    store.query("ALTER TABLE trades ADD COLUMN note String DEFAULT 'mine'")
    opened(store).write(deliver(trade(1)))
    assert store.query("SELECT note FROM trades") == [("mine",)]


def test_the_retention_follows_the_spec(store: ClickHouseStore) -> None:
    for kept, expected in (({}, None), ({"trades": 86_400}, 86_400), ({"trades": 60}, 60), ({}, None)):
        store.settings = store.settings.model_copy(update={"retention_seconds": kept})
        opened(store)
        ((engine,),) = store.query(ENGINE)
        wanted = f"TTL toDateTime(trade_time) + toIntervalSecond({expected})"
        assert (wanted in engine) if expected else ("TTL" not in engine)


def test_rows_that_are_too_old_go(store: ClickHouseStore) -> None:
    store.settings = store.settings.model_copy(update={"retention_seconds": {"trades": 86_400}})
    opened(store).write(deliver(*every_kind()))
    store.query("OPTIMIZE TABLE trades FINAL")
    assert store.query("SELECT count() FROM trades") == [(0,)]
    assert store.query("SELECT count() FROM alerts") == [(1,)], "another group, that is kept for ever"


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("trades (id Int64) ENGINE = MergeTree ORDER BY id", "engine MergeTree, not ReplacingMergeTree"),
        ("alerts (id String, symbol String) ENGINE = ReplacingMergeTree ORDER BY symbol", "order symbol, not id"),
        (
            "trades (symbol LowCardinality(String), trade_time DateTime64(6, 'UTC'), trade_id Int64,"
            " price Decimal(9, 2)) ENGINE = ReplacingMergeTree ORDER BY (symbol, trade_time, trade_id)",
            r"column price Decimal\(9, 2\), not Float64",
        ),
        (
            "symbols (symbol String) ENGINE = ReplacingMergeTree ORDER BY symbol",
            r"column version \(absent\), not UInt64",
        ),
    ],
)
def test_a_table_that_is_somebody_elses_is_refused_and_left_as_it_is(
    store: ClickHouseStore, made: str, says: str
) -> None:
    store.query(f"CREATE TABLE {made}")
    before = store.query(f"SHOW CREATE TABLE {made.partition(' ')[0]}")
    with pytest.raises(PermanentError, match=says) as caught:
        opened(store)
    assert "name another database, or rename that table" in str(caught.value)
    assert store.query(f"SHOW CREATE TABLE {made.partition(' ')[0]}") == before


def test_a_cluster_that_the_server_does_not_know_is_named_beside_those_that_it_does(store: ClickHouseStore) -> None:
    cluster = ClickHouseCluster(name="main", path="/{table}", replica="{replica}")
    store.settings = store.settings.model_copy(update={"cluster": cluster})
    with pytest.raises(
        PermanentError, match=r"spec\.sinks\.clickhouse\.cluster\.name: 'main': the server does not know it"
    ):
        opened(store)
