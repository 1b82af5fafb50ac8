"""The statements as Snowflake's own grammar has them: read by sqlglot's dialect, and compared with golden files.

What the emulation passes over or does not know (clusters, streams, tasks) is seen here alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import sqlglot
from marketpipeline.sinks.snowflake.schema import migrations, statements_of
from marketpipeline.sinks.snowflake.statements import copy_into, make_batch_table, merge, put, sql_type
from marketpipeline.store import table_of
from marketpipeline.store.snowflake import EXTREMES, SAMPLES, warehoused
from sqlglot import exp

from tests.support.golden import check_golden

GOLDEN = Path(__file__).parent / "golden"
TABLES = {table.name: table for table in warehoused(trades=True)}
MINUTE = (1_723_161_240_000_000, 1_723_161_299_999_999)


def parsed(sql: str) -> exp.Expression:
    """Raises for what Snowflake's grammar does not have; what sqlglot only passes on is refused as well."""
    found = sqlglot.parse_one(sql, dialect="snowflake")
    assert not isinstance(found, exp.Command), f"not read, but passed on: {sql}"
    return found


def of_a_batch() -> Iterator[str]:
    for table in (table_of("candles"), table_of("alerts"), table_of("feed_events"), SAMPLES):
        yield make_batch_table(table)
        yield copy_into(table, f"{table.name}-1.parquet")
        yield merge(table, EXTREMES if table is SAMPLES else (), MINUTE)


def test_the_statements_of_a_batch() -> None:
    statements = list(of_a_batch())
    for statement in statements:
        parsed(statement)
    check_golden(
        GOLDEN / "batch.sql", "".join(f"{statement};\n" for statement in [put("candles-1.parquet"), *statements])
    )


def test_the_migrations_make_the_tables_clustered_by_symbol_and_day() -> None:
    made = {}
    for migration in migrations():
        for statement in statements_of(migration.sql):
            create = parsed(statement)
            name = create.find(exp.Table).name
            made[name] = {column.name: column for column in create.find_all(exp.ColumnDef)}
            cluster = create.find(exp.ClusterProperty)
            assert cluster is not None, f"{name} is not clustered"
            assert cluster.sql("snowflake") == f"CLUSTER BY (symbol, TO_DATE({TABLES[name].time}))"
    assert made.keys() == TABLES.keys()
    for table in TABLES.values():
        columns = {
            name: (column.args["kind"].sql("snowflake"), column.find(exp.NotNullColumnConstraint) is None)
            for name, column in made[table.name].items()
        }
        assert columns == {c.name: (_as_parsed(sql_type(c)), c.nullable) for c in table.columns}


def _as_parsed(type_: str) -> str:
    return str(exp.DataType.build(type_, dialect="snowflake").sql("snowflake"))


def test_what_a_user_may_apply_further() -> None:
    """Streams and tasks are no part of sqlglot's grammar; what they do, and the tables beside them, is."""
    text = resources.files("marketpipeline.sinks.snowflake").joinpath("downstream.sql").read_text()
    stream, table, task, resume = statements_of(text)
    known = TABLES["candles"].column_names
    assert stream == "CREATE STREAM IF NOT EXISTS candles_changes ON TABLE candles"
    assert resume == "ALTER TASK daily_volume_task RESUME"
    parsed(table)
    head, _, body = task.partition("\nAS\n")
    assert head.startswith("CREATE TASK IF NOT EXISTS daily_volume_task")
    merged = parsed(body)
    used = {column.name for column in merged.find_all(exp.Column) if column.table == "c"}
    assert used == {"symbol", "open_time", "volume", "quote_volume", "trades", "interval"}
    assert used <= set(known)


@pytest.mark.parametrize("sql", ["SELECT 1;\n-- a word;\nSELECT 2;\n", "SELECT 1;\n\nSELECT 2"])
def test_statements_of_a_file(sql: str) -> None:
    assert list(statements_of(sql)) == ["SELECT 1", "SELECT 2"]
