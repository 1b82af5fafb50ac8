"""Days from the database to the archive and back.

A day leaves the database in three steps: the two are compared, count and hash of the ids of every symbol; the day is
noted as the archive's; and, after a time that no question takes to begin, its rows go. A kill between any two of them
leaves each row where it is asked for, and the next run goes on. A day that the archive has not whole is kept, and it is
said why. Rows that come later for a day that is the archive's are written to it before they go.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from marketpipeline.lake.asking import Lake
from marketpipeline.lake.delta import make_table, translated
from marketpipeline.records import Record
from marketpipeline.sinks.lake.held import Held
from marketpipeline.sinks.lake.writer import write
from marketpipeline.sinks.tiers.warm import Warm
from marketpipeline.store.digest import differences
from marketpipeline.store.lake import lake_table
from marketpipeline.store.rows import record_reader
from marketpipeline.store.tables import TABLES, Table

__all__ = ["Moved", "Mover"]

_log = logging.getLogger(__name__)

_DAY = timedelta(days=1)
_SHOWN = 5


@dataclass(slots=True)
class Moved:
    """What became of days: by table the rows that went, and why others were kept."""

    days: dict[tuple[str, date], int] = field(default_factory=dict)
    kept_back: dict[tuple[str, date], str] = field(default_factory=dict)


class Mover:
    """Moves days between two tiers. `wait` is told how many seconds to let pass; `grace` of them are enough."""

    def __init__(self, warm: Warm, lake: Lake, grace: float, wait: Callable[[float], None] = time.sleep) -> None:
        self._warm, self._lake = warm, lake
        self._grace, self._wait = grace, wait

    def clean_up(self, warm_days: dict[str, float], now: datetime) -> Moved:
        """Drop from the database what is older than `warm_days` says, by group of tables, where the archive has it."""
        wanted: dict[Table, list[date]] = {}
        for table in TABLES:
            self._adopt(table)
            if (kept := warm_days.get(table.group)) is not None:
                edge = (now - timedelta(days=kept)).astimezone(UTC).date()
                notes = self._warm.notes(table)
                wanted[table] = [day for day in self._days(table, None, edge) if _may_go(notes, day, now)]
        moved = self._move(wanted)
        self._warm.keep_back(moved.kept_back)
        return moved

    def archive(self, since: date, until: date) -> Moved:
        """Move the days from `since` to before `until`: what the archive lacks of them is written to it first."""
        wanted = {table: self._days(table, since, until) for table in TABLES}
        for table, days in wanted.items():
            for day in days:
                self._complete(table, day)
        return self._move(wanted)

    def restore(self, since: date, until: date, stays_until: datetime) -> Moved:
        """Bring archived days back, to stay until then; the archive keeps them."""
        moved = Moved()
        for table in TABLES:
            for day, restored in self._warm.notes(table).items():
                if since <= day < until and restored is None:
                    self._warm.put_back(table, day, self._records(table, day), stays_until)
                    moved.days[table.name, day] = sum(count for count, *_ in self._warm.digest(table, day).values())
        return moved

    def _days(self, table: Table, since: date | None, until: date) -> list[date]:
        """The days of a table from its oldest row on that may have rows, before `until`."""
        oldest = self._warm.oldest(table)
        if oldest is None:
            return []
        first = oldest if since is None else max(oldest, since)
        return [first + _DAY * number for number in range(max(0, (until - first).days))]

    def _adopt(self, table: Table) -> None:
        """Days that only the archive has, as after the database was made anew, are the archive's to answer for."""
        oldest, notes = self._warm.oldest(table), self._warm.notes(table)
        for day, rows in self._lake.days(lake_table(table.name)).items():
            if oldest is not None and day < oldest and day not in notes:
                self._warm.note(table, day, rows)

    def _move(self, wanted: dict[Table, list[date]]) -> Moved:
        moved, whole = Moved(), []
        for table, days in wanted.items():
            notes = self._warm.notes(table)
            for day in days:
                here = self._warm.digest(table, day)
                if not here:
                    continue
                if day in notes and notes[day] is None:
                    self._complete(table, day)
                    whole.append((table, day, sum(count for count, *_ in here.values())))
                    continue
                if lacks := differences(here, self._lake.digest(lake_table(table.name), day)):
                    reason = "; ".join(lacks[:_SHOWN]) + (f"; and {len(lacks) - _SHOWN} more" if lacks[_SHOWN:] else "")
                    moved.kept_back[table.name, day] = reason
                    said = {"table": table.name, "day": str(day), "reason": reason}
                    _log.warning("kept back: the archive has it not whole", extra=said)
                    continue
                rows = sum(count for count, *_ in here.values())
                self._warm.note(table, day, rows)
                whole.append((table, day, rows))
        if whole:
            self._wait(self._grace)
        for table, day, rows in whole:
            self._warm.drop(table, day)
            moved.days[table.name, day] = rows
            _log.info("archived", extra={"table": table.name, "day": str(day), "rows": rows})
        return moved

    def _complete(self, table: Table, day: date) -> None:
        """Write to the archive what it lacks of a day."""
        archive = lake_table(table.name)
        held = Held(archive)
        delta = make_table(self._lake.store, archive)
        for records in self._warm.records(table, day):
            rows = pa.Table.from_batches([held.columns_of(records)], held.schema)
            rows = rows.sort_by([(name, "ascending") for name in archive.order])
            with translated(self._lake.store):
                delta.update_incremental()
                write(delta, archive, rows, {})

    def _records(self, table: Table, day: date) -> Iterator[list[Record]]:
        columns = ", ".join(f'"{name}"' for name in table.column_names)
        read = record_reader(table)
        statement = f"SELECT {columns} FROM t WHERE day = DATE '{day}'"
        for batch in self._lake.ask(lake_table(table.name), statement):
            values = [column.to_pylist() for column in batch.columns]
            yield [read(row) for row in zip(*values, strict=True)]


def _may_go(notes: dict[date, datetime | None], day: date, now: datetime) -> bool:
    """Whether a day was not restored to stay yet."""
    stays = notes.get(day)
    return stays is None or stays <= now
