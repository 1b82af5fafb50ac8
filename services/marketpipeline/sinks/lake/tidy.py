"""What the lake needs once a day: small files made into few, old versions removed, days beyond the retention dropped.

A day that is over is written again, symbol by symbol in order of time, when more than one file of it is small: then the
statistics of its files and row groups name few symbols each. Memory is that of some 2,000,000 rows. Whoever reads an
older version meanwhile has its files for another week.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from marketpipeline.lake.delta import WRITER, Conflict, open_table, translated
from marketpipeline.sink_kinds.lake import LakeStoreSettings
from marketpipeline.store.lake import LAKE_TABLES, LakeTable

__all__ = ["compact", "tidy"]

_log = logging.getLogger(__name__)

_KEEP_VERSIONS_HOURS = 168
_ROWS_AT_ONCE = 2_000_000
"""Rows that are handed over as one piece: the engine keeps the order within a piece, not that of pieces."""


def tidy(store: LakeStoreSettings, now: datetime, keep_days: float | None = None) -> dict[str, int]:
    """Tidy every table; how many days of each were written again. Raises RetryableError, PermanentError."""
    done: dict[str, int] = {}
    for table in LAKE_TABLES:
        lake = open_table(store, table)
        if lake is None:
            continue
        with translated(store):
            if keep_days is not None:
                lake.delete(f"day < DATE '{(now - timedelta(days=keep_days)).date()}'")
            done[table.name] = sum(
                _compacted(store, lake, table, exchange, day) for exchange, day in _untidy(store, lake, now.date())
            )
            lake.vacuum(retention_hours=_KEEP_VERSIONS_HOURS, dry_run=False)
            lake.create_checkpoint()
            lake.cleanup_metadata()
    return done


def _untidy(store: LakeStoreSettings, lake: DeltaTable, today: date) -> list[tuple[str, date]]:
    """The partitions of days that are over with more than one small file."""
    small: Counter[tuple[str, date]] = Counter()
    for file in pa.table(lake.get_add_actions(flatten=True)).to_pylist():
        if file["partition.day"] < today and file["size_bytes"] < store.file_bytes // 2:
            small[file["partition.exchange"], file["partition.day"]] += 1
    return sorted(place for place, count in small.items() if count > 1)


def _compacted(store: LakeStoreSettings, lake: DeltaTable, table: LakeTable, exchange: str, day: date) -> bool:
    """Whether it was done; a partition that is written to meanwhile is left to another day."""
    try:
        with translated(store):
            compact(lake, table, exchange, day, store.file_bytes)
    except Conflict:
        _log.info("left as it is, since it is written to", extra={"table": table.name, "day": str(day)})
        lake.update_incremental()
        return False
    return True


def compact(lake: DeltaTable, table: LakeTable, exchange: str, day: date, file_bytes: int) -> None:
    """Write one partition again, sorted as a whole. Raises CommitFailedError when rows came to it meanwhile."""
    schema = pa.schema(lake.schema().to_arrow())
    held = lake.to_pyarrow_dataset()
    here = (pc.field("exchange") == exchange) & (pc.field("day") == pa.scalar(day))
    symbols = sorted(pc.unique(held.to_table(columns=["symbol"], filter=here).column("symbol")).to_pylist())

    def rows() -> Iterator[pa.RecordBatch]:
        pieces: list[pa.Table] = []
        for symbol in symbols:
            found = held.to_table(columns=schema.names, filter=here & (pc.field("symbol") == symbol))
            pieces.append(found.sort_by([(name, "ascending") for name in table.order]).cast(schema))
            if symbol == symbols[-1] or sum(piece.num_rows for piece in pieces) >= _ROWS_AT_ONCE:
                yield from pa.concat_tables(pieces).combine_chunks().to_batches()
                pieces.clear()

    write_deltalake(
        lake,
        pa.RecordBatchReader.from_batches(schema, rows()),
        mode="overwrite",
        predicate=f"exchange = '{exchange}' AND day = DATE '{day}'",
        target_file_size=file_bytes,
        writer_properties=WRITER,
    )
