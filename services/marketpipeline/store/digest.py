"""What two stores compare a day by: the count of its rows and hashes of their ids, symbol by symbol.

The ids are the natural key and, of rows that are replaced, how far on they are. Text of the key (symbol, interval, id)
is what rows are grouped by; the numbers of the key become one number below 2³¹ − 1 a row, whose sum and sum of squares
do not depend on an order. PostgreSQL and DataFusion compute it by the same words. Pure.
"""

from __future__ import annotations

from marketpipeline.store.lake import LakeTable

__all__ = ["Digest", "differences", "digest_sql"]

Digest = dict[tuple[str, ...], tuple[int, ...]]
"""By the texts of the key: rows, sum, sum of squares."""

_PRIME = 2_147_483_647


def digest_sql(table: LakeTable, micros: str) -> tuple[str, str]:
    """`GROUP BY …` and `SELECT …` of a table's digest; `micros` turns a column of a time into microseconds."""
    types = {column.name: column.type for column in table.columns}
    measures = table.rank.measures if table.rank is not None else ()
    texts = [name for name in table.key if types[name] == "text"]
    texts += [measure.column for measure in measures if measure.stages]
    numbers = [f'"{name}"' for name in table.key if types[name] == "integer"]
    numbers += [micros.format(f'"{name}"') for name in table.key if types[name] == "time"]
    numbers += [f'coalesce(CAST("{m.column}" AS INT), -1)' for m in measures if not m.stages]
    hashed = "0"
    for number in numbers:
        hashed = f"(({hashed} * 31 + {number} % {_PRIME}) % {_PRIME})"
    hashed = f"CAST({hashed} AS BIGINT)"
    grouped = ", ".join(f'"{name}"' for name in texts)
    sums = f"count(*) AS n, coalesce(sum({hashed}), 0) AS s, coalesce(sum({hashed} * {hashed} % {_PRIME}), 0) AS q"
    return f"GROUP BY {grouped}", f"SELECT {grouped}, {sums}"


def differences(warm: Digest, cold: Digest) -> list[str]:
    """In words, what the second lacks of the first, or has otherwise; nothing where it has it whole."""
    found = []
    for key in sorted(warm.keys() | cold.keys()):
        here, there = warm.get(key, (0, 0, 0)), cold.get(key, (0, 0, 0))
        if here != there:
            same = "other ids" if here[0] == there[0] else f"{here[0]} rows here, {there[0]} in the archive"
            found.append(f"{' '.join(key)}: {same}")
    return found
