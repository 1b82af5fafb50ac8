"""The row of an alert, as every family inserts it."""

from __future__ import annotations

from collections.abc import Mapping

from marketpipeline.records import Alert

from marketpipeline_job.ddl import columns
from marketpipeline_job.sql import lines

__all__ = ["insert"]


def insert(rule: str, values: Mapping[str, str], query: str) -> str:
    """The statement that appends the alerts of `rule`: `query` (from FROM on), and an expression for each other column.

    A column without an expression is one of the query's, of the same name.
    """
    fixed = {"type": "'alert'", "v": "CAST(1 AS BIGINT)", "rule": f"'{rule}'"}
    names = list(columns(Alert))
    into = ", ".join(f"`{name}`" for name in names)
    selected = lines((fixed | dict(values)).get(name, f"`{name}`") for name in names)
    return f"INSERT INTO alerts ({into})\nSELECT\n{selected}\n{query}"
