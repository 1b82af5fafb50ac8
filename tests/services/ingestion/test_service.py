"""Ingestion as a Python object: start it in the background, look at it, stop it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.ingestion import Ingestion
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import TopicKind

from tests.conftest import PROJECT, wait_for
from tests.services.ingestion.processes import Processes

SYMBOL = "binance:BTCUSDT"


def test_start_look_stop(processes: Processes) -> None:
    processes.start_exchange("--symbol", "BTCUSDT")
    ingestion = Ingestion(IngestionSettings(**processes.settings("BTCUSDT")))
    assert ingestion.health().status == "starting"
    ingestion.start()
    wait_for(lambda: ingestion.health().status == "ok" and ingestion.metrics()["produced"], "records", seconds=60)
    metrics = ingestion.metrics()
    assert {"produced", "dlq", "connected", "frames", "synced_through", "pending", "in_flight"} <= set(metrics)
    assert metrics["connected"] is True
    assert ingestion.stop()
    produced = ingestion.metrics()["produced"]
    kinds = (TopicKind.TRADES, TopicKind.BOOK, TopicKind.EVENTS)
    assert produced == sum(len(processes.records(kind)) for kind in kinds), "all of it is in the topics"
    assert ingestion.stop(), "once more does nothing"


def test_the_example_of_the_documentation_runs_as_it_is_printed(processes: Processes, tmp_path: Path) -> None:
    script = PROJECT / "docs" / "examples" / "ingestion.py"
    assert f"```python\n{script.read_text()}```" in (PROJECT / "docs" / "module.md").read_text()
    processes.start_exchange("--symbol", "BTCUSDT")
    settings = processes.settings("BTCUSDT")
    urls = {f"{kind}Urls": {"binance": settings[f"{kind}_url"]} for kind in ("websocket", "rest")}
    spec = {"symbols": ["binance:BTCUSDT"], "ingestion": urls, "broker": {"topicPrefix": processes.prefix}}
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "example"}}
    manifest = tmp_path / "example.yaml"
    manifest.write_text(json.dumps(head | {"spec": spec}))
    broker = settings["kafka"]["bootstrap_servers"]
    done = subprocess.run(
        [sys.executable, str(script), str(manifest), broker, "8"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "the broker has everything"
    last = ast.literal_eval(done.stdout.splitlines()[-2])
    assert (last["doing"], last["connected"], last["books"]) == ("running", True, {"synced": 1, "of": 1})
    assert last["produced"] > 0
    line = r"received \d+ \([\d.]+/s\), processed \d+ .*, buffered \d+, connected 1 of 1, reconnects 0"
    assert re.search(line, done.stderr)
    assert "all 1 books are in sync after" in done.stderr


def test_it_is_started_once(processes: Processes) -> None:
    ingestion = Ingestion(IngestionSettings(**processes.settings("BTCUSDT")))
    ingestion.start()
    with pytest.raises(RuntimeError, match="once"):
        ingestion.start()
    assert ingestion.stop()


def test_a_replica_without_symbols_is_well(processes: Processes) -> None:
    settings = [IngestionSettings(**processes.settings("BTCUSDT", replica=number, replicas=2)) for number in (0, 1)]
    processes.start_exchange("--symbol", "BTCUSDT")
    both = [Ingestion(one) for one in settings]
    for ingestion in both:
        ingestion.start()
    wait_for(lambda: all(ingestion.health().status == "ok" for ingestion in both), "both to be well", seconds=60)
    assert sorted(len(ingestion.metrics()["symbols"]) for ingestion in both) == [0, 1]  # type: ignore[arg-type]
    assert all(ingestion.stop() for ingestion in both)


def test_an_unknown_exchange_is_named() -> None:
    settings = IngestionSettings(
        pipeline="test", kafka={"bootstrap_servers": "x"}, topic_prefix="t", exchange="binanse", symbols=["BTCUSDT"],
        feeds=["trades"], levels=20, websocket_url="ws://x", rest_url="http://x",
    )  # fmt: skip
    with pytest.raises(InvalidInput, match=r"exchange: 'binanse': must be one of: .*binance"):
        Ingestion(settings)
