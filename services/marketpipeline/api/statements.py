"""The SQL of every query, built from the definitions of the tables. Pure: statements and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg.sql import SQL, Composable, Composed, Identifier

from marketpipeline.api.arguments import Span
from marketpipeline.store import Table

__all__ = ["Statement", "latest", "select"]


class Statement(NamedTuple):
    """SQL and the values of its placeholders."""

    sql: Composed
    values: list[Any]


def select(table: Table, filters: Mapping[str, Any], span: Span, *, newest_first: bool = False) -> Statement:
    """Rows of a table in order of time.

    With a limit, those at the begin of the span where it has one, else the newest. `newest_first` gives the newest
    ones of the span, backwards. A filter whose value is a list takes any of them.
    """
    conditions: list[Composable] = []
    values: list[Any] = []
    for name, value in filters.items():
        conditions.append(SQL("{} = ANY(%s)" if isinstance(value, list) else "{} = %s").format(Identifier(name)))
        values.append(value)
    for bound, operator in ((span.since, ">="), (span.until, "<")):
        if bound is not None:
            conditions.append(_time(table) + SQL(f" {operator} %s"))
            values.append(bound)
    where = SQL(" WHERE ") + SQL(" AND ").join(conditions) if conditions else SQL("")
    backwards = newest_first or (span.limit is not None and span.since is None)
    statement = SQL("SELECT {} FROM {}").format(_columns(table), Identifier(table.name)) + where
    statement += SQL(" ORDER BY ") + _order(table, descending=backwards)
    if span.limit is not None:
        statement += SQL(" LIMIT %s")
        values.append(span.limit)
    if backwards and not newest_first:
        statement = SQL("SELECT * FROM ({}) AS newest ORDER BY ").format(statement) + _order(table, descending=False)
    return Statement(statement, values)


def latest(table: Table, symbols: Sequence[str], filters: Mapping[str, Any] | None = None) -> Statement:
    """The newest row of each symbol, one look-up along the primary key each."""
    filters = filters or {}
    conditions = SQL("").join(SQL(" AND {} = %s").format(Identifier(name)) for name in filters)
    statement = SQL(
        "SELECT newest.* FROM unnest(%s::text[]) AS wanted(name) CROSS JOIN LATERAL"
        " (SELECT {} FROM {} WHERE symbol = wanted.name{} ORDER BY {} LIMIT 1) AS newest"
    ).format(_columns(table), Identifier(table.name), conditions, _order(table, descending=True))
    return Statement(statement, [list(symbols), *filters.values()])


def _columns(table: Table) -> Composed:
    return SQL(", ").join(map(Identifier, table.column_names))


def _time(table: Table) -> Composed:
    """What queries go by; an index of the table is over the same words."""
    if table.query_time is None:
        return SQL("{}").format(Identifier(table.time))
    return SQL("coalesce({}, {})").format(Identifier(table.query_time), Identifier(table.time))


def _order(table: Table, *, descending: bool) -> Composed:
    """By time, then by the rest of the key, so that equal times have an order too."""
    rest = [SQL("{}").format(Identifier(name)) for name in table.key if name not in (table.time, "symbol", "interval")]
    direction = SQL(" DESC") if descending else SQL("")
    return SQL(", ").join(part + direction for part in (_time(table), *rest))
