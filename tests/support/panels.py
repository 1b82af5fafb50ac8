"""The dashboards' own questions, asked as Grafana would, and whether two stores answer them alike."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from marketpipeline_operator.dashboards import files

__all__ = ["BOARDS", "check_alike"]

BOARDS = ("market_overview", "order_book_monitor", "symbol_deep_dive", "trading_analytics")
"""Those that ask a store."""

Ask = Callable[[str], Sequence[Sequence[Any]]]


def check_alike(
    board: str,
    symbols: tuple[str, str],
    between: tuple[datetime, datetime],
    timescale: Ask,
    clickhouse: Ask,
    unknown: frozenset[str] = frozenset(),
) -> None:
    """Every panel, variable and mark of a dashboard has rows of its shape, and the same from both stores; those whose
    titles are `unknown` may have no number."""
    ours, theirs = (list(_questions(store, board)) for store in ("timescale", "clickhouse"))
    assert [title for title, _, _ in ours] == [title for title, _, _ in theirs]
    first, last = (moment.timestamp() for moment in between)
    for (title, in_timescale, over_time), (_, in_clickhouse, _) in zip(ours, theirs, strict=True):
        rows = [[_plain(v) for v in row] for row in timescale(_expanded(in_timescale, symbols, between))]
        others = [[_plain(v) for v in row] for row in clickhouse(_expanded(in_clickhouse, symbols, between))]
        assert rows, f"{title}: nothing to show"
        assert sorted(map(repr, rows)) == sorted(map(repr, others)), title
        if over_time:
            times = [row[0] for row in rows]
            assert times == sorted(times), f"{title}: Grafana wants rows in the order of time"
            assert all(first - 10 <= time <= last for time in times), title
            numbers = any(isinstance(value, float) for row in rows for value in row[1:])
            assert numbers or title in unknown, f"{title}: no number"


def _questions(store: str, name: str) -> Iterator[tuple[str, str, bool]]:
    """Title, SQL and whether it is over time, of each panel, variable and annotation of a dashboard."""
    board = json.loads(getattr(files, f"{store}_{name}")())
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"], False
    for mark in board.get("annotations", {}).get("list", []):
        yield mark["name"], mark["target"]["rawSql"], False
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["rawSql"], target["format"] in ("time_series", 0)


def _expanded(sql: str, symbols: tuple[str, str], between: tuple[datetime, datetime]) -> str:
    """As Grafana and its two plugins expand variables and macros, with a resolution of ten seconds."""
    values = {
        "symbol": f"'{symbols[0]}','{symbols[1]}'" if "IN (" in sql or "ARRAY[" in sql else f"'{symbols[0]}'",
        "exchange": "'binance'",
        "interval": "'1m'",
    }
    for name, value in values.items():
        sql = sql.replace(f"${{{name}:sqlstring}}", value)
    sql = re.sub(r"\$__timeGroup\((\w+), \$__interval\)", r"floor(extract(epoch FROM \1) / 10) * 10", sql)
    since, until = between
    for word, moment in (("From", since), ("To", until)):
        sql = sql.replace(f"$__time{word}()", f"'{moment:%FT%TZ}'")
    sql = sql.replace("$__interval_ms", "10000")
    sql = re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 10 second)", sql)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= '{since:%F %T}' AND \1 <= '{until:%F %T}'", sql)
    assert "$" not in sql
    return sql


def _plain(value: Any) -> Any:
    """A value as both stores give it: times in seconds, numbers rounded to what a sum in another order keeps."""
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp(), 6)
    if value is None or isinstance(value, str):
        return value
    return float(f"{float(value):.9g}") if math.isfinite(float(value)) else None
