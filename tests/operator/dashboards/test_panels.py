"""Every panel asks its store a question that it answers, and both stores give the same answer to the same panel."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from marketpipeline_operator.dashboards import files

from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, deliver, trade
from tests.services.sinks.stores import ClickHouseStore, PostgresStore
from tests.support.clickhouse import RunningClickHouse
from tests.support.panels import BOARDS, check_alike
from tests.support.postgres import RunningPostgres
from tests.support.prometheus import verdicts

FROM, TO = (datetime.fromtimestamp(START / 1e6, UTC) + timedelta(minutes=minutes) for minutes in (-5, 60))


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
    check_alike(name, (BTC, ETH), (FROM, TO), stores["timescale"].query, stores["clickhouse"].query)


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
