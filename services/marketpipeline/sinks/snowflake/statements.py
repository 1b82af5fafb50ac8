"""The statements that bring a file of rows into a table, in Snowflake's words. Pure.

    PUT file → stage;  COPY INTO <table>_batch (a temporary table);  MERGE INTO <table>

Times travel as whole microseconds and become TIMESTAMP_NTZ in the MERGE: what a time in Parquet is taken for depends on
settings of the account. Of a row that is there already the MERGE keeps what is further on, by `Rank`, and of a sample
the extremes of both, so that a batch may be merged twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from marketpipeline.record_kinds import Measure, Rank
from marketpipeline.store import Column, Table

__all__ = ["STAGE", "copy_into", "make_batch_table", "merge", "put", "remove", "sql_type"]

STAGE = "marketpipeline_batches"
"""The internal stage that files go through; COPY removes each when its rows are in, `remove` one that failed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {
    "text": "VARCHAR",
    "bigint": "NUMBER(19, 0)",
    "double precision": "FLOAT",
    "boolean": "BOOLEAN",
    "timestamptz": "TIMESTAMP_NTZ(6)",
}


def sql_type(column: Column) -> str:
    """The type of a column of the tables."""
    return _TYPES[column.type]


def _batch_type(column: Column) -> str:
    return _TYPES["bigint"] if column.is_time else sql_type(column)


def make_batch_table(table: Table) -> str:
    """The statement that makes an empty table for one batch, which nobody but this session sees."""
    columns = ", ".join(f"{column.name} {_batch_type(column)}" for column in table.columns)
    return f"CREATE OR REPLACE TEMPORARY TABLE {table.name}_batch ({columns})"


def put(file: str) -> str:
    """The statement that uploads a file; the connector reads its content from a stream."""
    return f"PUT 'file://{file}' @{STAGE} AUTO_COMPRESS = FALSE OVERWRITE = TRUE"


def copy_into(table: Table, file: str) -> str:
    """The statement that reads the uploaded file into the batch's table, and removes it."""
    values = ", ".join(f"$1:{column.name}::{_batch_type(column)}" for column in table.columns)
    return (
        f"COPY INTO {table.name}_batch ({', '.join(table.column_names)})\n"
        f"FROM (SELECT {values} FROM @{STAGE}/{file})\n"
        "FILE_FORMAT = (TYPE = PARQUET) PURGE = TRUE"
    )


def remove(file: str) -> str:
    """The statement that takes an uploaded file out of the stage, if it is there."""
    return f"REMOVE @{STAGE}/{file}"


def merge(table: Table, extremes: Sequence[str], times: tuple[int, int]) -> str:
    """The statement that brings the batch into the table; its keys have to differ.

    `extremes` are measures with columns `lowest_…` and `highest_…`. `times` are the first and the last of the batch in
    the column that the table is clustered by: nothing else of a large table is read.
    """
    chosen = ", ".join(
        f"TO_TIMESTAMP_NTZ({column.name}, 6) AS {column.name}" if column.is_time else column.name
        for column in table.columns
    )
    same = [f"t.{name} = s.{name}" for name in table.key]
    if table.time in table.key:
        same.append(f"t.{table.time} BETWEEN {_time(times[0])} AND {_time(times[1])}")
    names = table.column_names
    return "\n".join(
        [
            f"MERGE INTO {table.name} AS t",
            f"USING (SELECT {chosen} FROM {table.name}_batch) AS s",
            f"ON {' AND '.join(same)}",
            *_replacing(table, extremes),
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f's.{name}' for name in names)})",
        ]
    )


def _replacing(table: Table, extremes: Sequence[str]) -> list[str]:
    """What becomes of a row that is there: nothing, of a table whose rows are written once."""
    if table.rank is None:
        return []
    kept = {f"lowest_{measure}": f"LEAST(t.lowest_{measure}, s.lowest_{measure})" for measure in extremes}
    kept |= {f"highest_{measure}": f"GREATEST(t.highest_{measure}, s.highest_{measure})" for measure in extremes}
    values = {name: kept.get(name, f"s.{name}") for name in table.column_names if name not in table.key}
    clauses = [f"WHEN MATCHED AND {further(table.rank)} THEN UPDATE SET {_assigned(values)}"]
    if kept:
        clauses.append(f"WHEN MATCHED THEN UPDATE SET {_assigned(kept)}")
    return clauses


def _assigned(values: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def further(rank: Rank) -> str:
    """Whether the new row `s` is at least as far on as `t`: the first measure that differs decides."""
    branches = []
    for measure in rank.measures:
        new, held = (_value(measure, alias) for alias in "st")
        branches.append(f"WHEN {new} > {held} THEN TRUE WHEN {new} < {held} THEN FALSE")
    return f"CASE {' '.join(branches)} ELSE TRUE END"


def _value(measure: Measure, alias: str) -> str:
    column = f"{alias}.{measure.column}"
    if not measure.stages:
        return column
    stages = " ".join(f"WHEN '{stage}' THEN {number}" for number, stage in enumerate(measure.stages))
    return f"CASE {column} {stages} END"


def _time(microseconds: int) -> str:
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return f"'{moment.replace(tzinfo=None).isoformat(sep=' ', timespec='microseconds')}'::TIMESTAMP_NTZ"
