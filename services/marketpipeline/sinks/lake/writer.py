"""Rows of one table into the lake: one commit, which also says how far it has brought each partition of the topic.

Rows of a log are appended but for those that the lake has already. Rows that are replaced are merged by key and rank,
so that a candle only grows truer here too. Either way the commit carries, as Delta's transaction ids, the next offset
of each partition: of two processes that think the same partition theirs the second one's commit is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from marketpipeline.lake.delta import WRITER
from marketpipeline.record_kinds import Measure
from marketpipeline.store.lake import LakeTable

__all__ = ["write"]


def write(lake: DeltaTable, table: LakeTable, rows: pa.Table, offsets: Mapping[str, int]) -> int:
    """Commit rows, sorted and each key once, with the offsets by transaction id; how many were new or replaced."""
    commit = CommitProperties(app_transactions=[Transaction(name, offset) for name, offset in offsets.items()])
    if not table.is_log:
        return _merge(lake, table, rows, commit)
    fresh = _unknown(lake, table, rows)
    write_deltalake(lake, fresh, mode="append", schema_mode="merge", writer_properties=WRITER, commit_properties=commit)
    return int(fresh.num_rows)


def _partitions(rows: pa.Table) -> list[tuple[str, str]]:
    """Exchange and day of every partition that the rows are in."""
    found = rows.group_by(["exchange", "day"]).aggregate([])
    return sorted((row["exchange"], row["day"].isoformat()) for row in found.to_pylist())


def _unknown(lake: DeltaTable, table: LakeTable, rows: pa.Table) -> pa.Table:
    """The rows whose keys the lake does not have: looked for only where files reach into the time of the rows."""
    known: list[pa.Table] = []
    held = lake.to_pyarrow_dataset()
    for exchange, day in _partitions(rows):
        here = pc.field("exchange") == exchange, pc.field("day") == pa.scalar(day).cast(pa.date32())
        moments = rows.filter(here[0] & here[1]).column(table.kind.time)
        bounds = pc.min_max(moments)
        time = ds.field(table.kind.time)
        seen = held.to_table(
            columns=list(table.key),
            filter=here[0] & here[1] & (time >= bounds["min"]) & (time <= bounds["max"]),
        )
        if seen.num_rows:
            known.append(seen)
    if not known:
        return rows
    repeated = pa.concat_tables(known).cast(pa.schema([rows.schema.field(name) for name in table.key]))
    fresh = rows.select(list(table.key)).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    kept = fresh.join(repeated, keys=list(table.key), join_type="left anti").column("row")
    return rows.take(kept.take(pc.sort_indices(kept)))


def _merge(lake: DeltaTable, table: LakeTable, rows: pa.Table, commit: CommitProperties) -> int:
    partitions = _partitions(rows)
    places = " OR ".join(f"(t.exchange = '{exchange}' AND t.day = '{day}')" for exchange, day in partitions)
    same = " AND ".join(f"s.{name} = t.{name}" for name in ("exchange", "day", *table.key))
    merger = lake.merge(
        rows,
        f"({places}) AND {same}",
        source_alias="s",
        target_alias="t",
        merge_schema=True,
        streamed_exec=False,
        writer_properties=WRITER,
        commit_properties=commit,
    )
    replaced = rank_condition(table.rank.measures) if table.rank is not None else None
    done = merger.when_matched_update_all(predicate=replaced).when_not_matched_insert_all().execute()
    return int(done["num_target_rows_inserted"]) + int(done["num_target_rows_updated"])


def rank_condition(measures: Sequence[Measure]) -> str:
    """Whether the new row `s` is at least as far on as `t`: the first measure that differs decides."""
    branches, last = [], "true"
    for measure in measures:
        new, held = (_number(measure, alias) for alias in "st")
        branches.append(f"WHEN {new} > {held} THEN true WHEN {new} < {held} THEN false")
    return f"CASE {' '.join(branches)} ELSE {last} END"


def _number(measure: Measure, alias: str) -> str:
    """A measure as a number that sorts; where it is null, as in rows of an earlier release, the least."""
    column = f"{alias}.{measure.column}"
    if measure.stages:
        stages = " ".join(f"WHEN '{stage}' THEN {number}" for number, stage in enumerate(measure.stages))
        return f"(CASE {column} {stages} ELSE -1 END)"
    return f"coalesce(CAST({column} AS BIGINT), -1)"
