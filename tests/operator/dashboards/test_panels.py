"""Every panel asks its store a question that it answers, and both stores give the same answer to the same panel."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from marketpipeline_operator.dashboards import files

from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, deliver, trade
from tests.services.sinks.stores import ClickHouseStore, PostgresStore
from tests.support.clickhouse import RunningClickHouse
from tests.support.postgres import RunningPostgres
from tests.support.prometheus import verdicts

FROM, TO = (datetime.fromtimestamp(START / 1e6, UTC) + timedelta(minutes=minutes) for minutes in (-5, 60))
BOARDS = ("market_overview", "order_book_monitor", "symbol_deep_dive", "trading_analytics")


def questions(store: str, name: str) -> Iterator[tuple[str, str, bool]]:
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


def expanded(sql: str) -> str:
    """As Grafana and its two plugins expand variables and macros, with a resolution of ten seconds."""
    values = {
        "symbol": f"'{BTC}','{ETH}'" if "IN (" in sql or "ARRAY[" in sql else f"'{BTC}'",
        "exchange": "'binance'",
        "interval": "'1m'",
    }
    for name, value in values.items():
        sql = sql.replace(f"${{{name}:sqlstring}}", value)
    sql = re.sub(r"\$__timeGroup\((\w+), \$__interval\)", r"floor(extract(epoch FROM \1) / 10) * 10", sql)
    for word, moment in (("From", FROM), ("To", TO)):
        sql = sql.replace(f"$__time{word}()", f"'{moment:%FT%TZ}'")
    sql = sql.replace("$__interval_ms", "10000")
    sql = re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 10 second)", sql)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= '{FROM:%F %T}' AND \1 <= '{TO:%F %T}'", sql)
    assert "$" not in sql
    return sql


def plain(value: Any) -> Any:
    """A value as both stores give it: times in seconds, numbers rounded to what a sum in another order keeps."""
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp(), 6)
    if value is None or isinstance(value, str):
        return value
    return float(f"{float(value):.9g}") if math.isfinite(float(value)) else None


@pytest.fixture(scope="module")
def stores(postgres: RunningPostgres, clickhouse: RunningClickHouse) -> dict[str, Any]:
    """Both with the same half hour of two symbols."""
    records = [
        record
        for symbol in (BTC, ETH)
        for record in (
            *(candle(minute, symbol) for minute in range(30)),
            *(book(number * 50, symbol, ask_depth=1_000.0 + number) for number in range(100)),
            *(trade(number, symbol) for number in range(60)),
            alert(0, symbol),
            alert(1, symbol, rule="whale_trade"),
        )
    ]
    found: dict[str, Any] = {
        "timescale": PostgresStore(postgres, postgres.create_database()),
        "clickhouse": ClickHouseStore(clickhouse),
    }
    for store in found.values():
        sink = store.sink()
        sink.open()
        sink.write(deliver(*records))
        sink.close()
    return found


@pytest.mark.parametrize("name", BOARDS)
def test_both_stores_answer_every_panel_alike(stores: dict[str, Any], name: str) -> None:
    ours, theirs = (list(questions(store, name)) for store in ("timescale", "clickhouse"))
    assert [title for title, _, _ in ours] == [title for title, _, _ in theirs]
    for (title, in_timescale, over_time), (_, in_clickhouse, _) in zip(ours, theirs, strict=True):
        rows = [[plain(v) for v in row] for row in stores["timescale"].query(expanded(in_timescale))]
        others = [[plain(v) for v in row] for row in stores["clickhouse"].query(expanded(in_clickhouse))]
        assert rows, f"{title}: nothing to show"
        assert sorted(map(repr, rows)) == sorted(map(repr, others)), title
        if over_time:
            times = [row[0] for row in rows]
            assert times == sorted(times), f"{title}: Grafana wants rows in the order of time"
            assert all(FROM.timestamp() - 10 <= time <= TO.timestamp() for time in times), title
            assert any(isinstance(value, float) for row in rows for value in row[1:]), f"{title}: no number"


@pytest.mark.parametrize("name", files.__all__)
def test_a_dashboard_keeps_the_rules_of_its_readers(name: str) -> None:
    """Those of Grafana's dashboard linter: titles, texts, units, targets, a data source to choose, variables that
    follow the time, rates over an interval that follows the zoom, no bare counter, and nobody edits what is generated.

    Its rules for `job` and `instance` do not hold here: a pipeline and a namespace are what a reader chooses.
    """
    board = json.loads(getattr(files, name)())
    assert board["editable"] is False
    assert all(v["refresh"] == 2 for v in board["templating"]["list"] if v["type"] == "query")
    assert board["templating"]["list"][0]["name"] == "datasource"
    assert board["templating"]["list"][0]["label"] == "Data source"
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    assert board["templating"]["list"][0]["type"] == "datasource"
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["type"] in ("table", "candlestick") or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            expression = target.get("expr", "")
            assert all(part == "$__rate_interval" for part in re.findall(r"rate\([^\[]+\[([^]]+)\]", expression)), (
                panel["title"]
            )
            # Each counter is within a rate or an increase.
            for counter in re.finditer(r"(\w*)\(?\w+_(?:total|count|bucket)\{", expression):
                assert re.search(r"(rate|increase)\($", expression[: counter.end()].rpartition("marketpipeline_")[0]), (
                    expression
                )


def test_dashboards_have_addresses_of_their_own_and_links_lead_to_them() -> None:
    boards = [json.loads(getattr(files, name)()) for name in files.__all__]
    uids = [board["uid"] for board in boards]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids), "Grafana refuses a longer one"
    links = set(re.findall(r"/d/([\w-]+)\?", json.dumps(boards)))
    assert links
    assert links <= set(uids)


def test_every_expression_of_the_system_health_is_one_for_prometheus(tmp_path: Path) -> None:
    """promtool refuses a rule whose expression it cannot parse."""
    board = json.loads(files.prometheus_system_health())
    targets = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    rules = [
        {"record": f"panel:{n}", "expr": expr.replace("$__rate_interval", "5m").replace("$", "")}
        for n, expr in enumerate(targets)
    ]
    assert verdicts(tmp_path, {"groups": [{"name": "panels", "rules": rules}]}, []) == ""
