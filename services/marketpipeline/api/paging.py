"""A history page by page: from each page a cursor leads to the next, in the direction in which the rows are read.

A cursor is the time of a page's last row and how many rows of just that time were given. So rows of one time are
neither left out nor given twice, and a reader needs to know nothing but spans: the next page begins at that time, and
those rows of it are left away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from marketpipeline.readers import HistoryQuery, Readers, Span
from marketpipeline.store import Table
from marketpipeline.store.rows import JsonRow

__all__ = ["Cursor", "Page", "read_cursor", "read_page"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = re.compile(r"([0-9]{1,18})-([0-9]{1,5})", re.ASCII)
_LAST = 253_402_300_799_000_000


class Cursor(NamedTuple):
    """`time` in microseconds, and how many rows of it were given."""

    time: int
    given: int

    def __str__(self) -> str:
        return f"{self.time}-{self.given}"


class Page(NamedTuple):
    """The rows, and where the next page begins; None where there is none."""

    rows: list[JsonRow]
    following: Cursor | None


def read_cursor(text: str) -> str:
    """The text, if it is a cursor. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if found is None or int(found[1]) > _LAST:
        raise ValueError("must be the `next` of an answer to the same question")
    return text


async def read_page(readers: Readers, query: HistoryQuery, cursor: str | None) -> Page:
    """At most as many rows as the query's limit, in its order: forwards from a beginning, else backwards."""
    table, span, newest_first = query.table, query.span, query.newest_first
    limit, forwards = span.limit or 1, span.since is not None and not newest_first
    place = None if cursor is None else Cursor(*map(int, cursor.split("-")))
    since, until, given = span.since, span.until, 0
    if place is not None:
        moment, given = _EPOCH + place.time * _MICROSECOND, place.given
        if forwards:
            since = max(moment, since or moment)
        else:
            until = min(moment + _MICROSECOND, until or moment + _MICROSECOND)
    found = await readers.rows(replace(query, span=Span(since, until, limit + given + 1)))
    if not forwards and not newest_first:
        found.reverse()
    rows, more = found[given : given + limit], len(found) > given + limit
    following = _following(table, rows, rows[-1], place) if more else None
    if not forwards and not newest_first:
        rows.reverse()
    return Page(rows, following)


def _following(table: Table, rows: Sequence[JsonRow], edge: JsonRow, place: Cursor | None) -> Cursor:
    time = _time(table, edge)
    same = sum(_time(table, row) == time for row in rows)
    return Cursor(time, same + (place.given if place is not None and place.time == time else 0))


def _time(table: Table, row: JsonRow) -> int:
    text = (row[table.query_time] if table.query_time else None) or row[table.time]
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
