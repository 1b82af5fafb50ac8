"""The tables' definitions, compared as a whole, and parsed by the real engine, those of a cluster too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from marketpipeline.record_kinds import Measure, Rank
from marketpipeline.sink_kinds.clickhouse import ClickHouseCluster
from marketpipeline.sinks.clickhouse.schema import candles_over, definitions, on_cluster, version_of
from marketpipeline.store import TABLES, table_of

from tests.support.clickhouse import RunningClickHouse
from tests.support.golden import check_golden

CLUSTER = ClickHouseCluster(name="main", path="/clickhouse/tables/{shard}/{database}/{table}", replica="{replica}")
GOLDEN = ("symbols", "candles", "alerts", "over", "add", "expire", "keep")
KEPT = {"trades": 7_776_000, "candles": 157_680_000}


def statements(cluster: ClickHouseCluster | None) -> dict[str, str]:
    """By table the statement that makes it, and of one what changes it."""
    found = {definition.name: definition for definition in definitions(KEPT)}
    made = {name: definition.create(cluster) for name, definition in found.items()}
    candles = found["candles"]
    changes = {"add": candles.add("trades", cluster), "expire": candles.expire(cluster)}
    changes |= {"over": candles_over(cluster)}
    return made | changes | {"keep": found["symbols"].expire(cluster)}


@pytest.mark.parametrize("cluster", [None, CLUSTER], ids=["alone", "cluster"])
def test_the_statements(clickhouse: RunningClickHouse, cluster: ClickHouseCluster | None) -> None:
    """`ON CLUSTER` and Replicated tables need Keeper, which is not here: the engine's own parser reads them."""
    found = statements(cluster)
    with clickhouse.client() as client:
        for statement in found.values():
            assert client.command(f"EXPLAIN AST {statement}")
    golden = Path(__file__).parent / "golden" / f"{'alone' if cluster is None else 'cluster'}.sql"
    check_golden(golden, "".join(f"{found[name]};\n\n" for name in GOLDEN))
    assert all(on_cluster(cluster) in statement for statement in found.values())


def test_every_table_is_defined_with_its_key_as_its_order() -> None:
    found = {definition.name: definition for definition in definitions({})}
    for table in TABLES:
        assert set(found[table.name].order) == set(table.key)
        assert set(found[table.name].columns) == set(table.column_names)
        assert (found[table.name].partition is None) is (table.time not in table.key)


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (None, None),
        (Rank((Measure("trades"),)), "toUInt64(trades)"),
        (Rank((Measure("closed"), Measure("trades"))), "bitShiftLeft(toUInt64(closed), 63) + toUInt64(trades)"),
    ],
)
def test_a_rank_is_one_number(rank: Rank | None, expected: str | None) -> None:
    assert version_of(replace(table_of("candles"), rank=rank)) == expected


def test_a_rank_that_one_number_cannot_hold_is_refused() -> None:
    rank = Rank((Measure("trades"), Measure("first_trade_id")))
    with pytest.raises(ValueError, match="several numbers"):
        version_of(replace(table_of("candles"), rank=rank))
