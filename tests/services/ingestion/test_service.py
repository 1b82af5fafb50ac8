"""Ingestion as a Python object: start it in the background, look at it, stop it."""

from __future__ import annotations

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.ingestion import Ingestion
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
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
