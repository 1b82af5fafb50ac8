"""The row of an alert: as the functions of the rules find it, and as the SQL of a plugin makes it."""

from __future__ import annotations

from collections.abc import Mapping

from marketpipeline.records import Alert

from marketpipeline_job.ddl import columns
from marketpipeline_job.sql import lines

__all__ = ["found", "insert"]


def found(view: str) -> str:
    """The statement that appends the alerts among the rows that a function gave."""
    values = {"type": "'alert'", "v": "CAST(1 AS BIGINT)", "symbol": "symbol"}
    selected = lines(values.get(name, f"f.alert.`{name}`") for name in columns(Alert))
    return f"{_into()}\nSELECT\n{selected}\nFROM {view} AS f\nWHERE f.alert IS NOT NULL"


def insert(rule: str, values: Mapping[str, str], query: str) -> str:
    """The statement that appends the alerts of `rule`: `query` (from FROM on), and an expression for each other column.

    A column without an expression is one of the query's, of the same name.
    """
    none = f"CAST(NULL AS {columns(Alert)['made_of']})"  # only patterns are made of others
    fixed = {"type": "'alert'", "v": "CAST(1 AS BIGINT)", "rule": f"'{rule}'", "made_of": none}
    selected = lines((fixed | dict(values)).get(name, f"`{name}`") for name in columns(Alert))
    return f"{_into()}\nSELECT\n{selected}\n{query}"


def _into() -> str:
    return f"INSERT INTO alerts ({', '.join(f'`{name}`' for name in columns(Alert))})"
