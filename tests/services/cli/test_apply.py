"""A pipeline is changed while it runs: what differs is replaced, ingestion by handover, and no trade is missed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from marketpipeline.records import AggTrade, FeedEvent, decode
from marketpipeline.topics import TopicKind, topic_name

from tests.conftest import wait_for
from tests.services.local.runs import Runs

MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {name: NAME}
spec:
  symbols: [binance:BTCUSDT]
  feeds: [quotes, aggTrades]
  depth: {levels: LEVELS}
  ingestion: {redundancy: COPIES}
  sinks: {timescale: {enabled: false}}
  api: {enabled: false}
"""


class Changed(Runs):
    """A run whose manifest is written anew."""

    def write(self, name: str = "changed", levels: int = 20, copies: int = 1, more: str = "") -> None:
        values = {"NAME": name, "LEVELS": str(levels), "COPIES": str(copies)}
        text = MANIFEST
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        self.manifest.write_text(text + more)

    def apply(self, status: int = 0) -> str:
        command = [sys.executable, "-m", "marketpipeline", "apply", str(self.manifest), "--state", str(self.state)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == status, done.stdout + done.stderr + self.log.read_text()
        return done.stdout + done.stderr

    def pids(self) -> dict[str, Any]:
        return {name: component["pid"] for name, component in self.components().items()}

    def read(self, kind: TopicKind) -> list[Any]:
        """Everything in a topic so far."""
        address = self.components()["broker"]["url"]
        consumer: Any = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
        topic = topic_name("changed", kind)
        found = []
        try:
            for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
                place = TopicPartition(topic, partition, 0)
                _, end = consumer.get_watermark_offsets(place, timeout=10)
                consumer.assign([place])
                read = 0
                while read < end:
                    for message in consumer.consume(min(1_000, end - read), timeout=5):
                        found.append(decode(message.value()))
                        read = message.offset() + 1
        finally:
            consumer.close()
        return found


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Changed]:
    running = Changed(tmp_path)
    running.write()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.end(signal.SIGINT)


@pytest.mark.timeout(600)
def test_a_run_is_changed_while_trades_come_and_none_is_missed(run: Changed) -> None:
    run.start()
    wait_for(lambda: run.pids() and all(run.pids().values()), "everything runs", seconds=200)
    before = run.pids()
    wait_for(lambda: run.read(TopicKind.AGG_TRADES), "trades")

    run.write(levels=10)
    assert "ingestion-binance: the next one is in sync, the last one has stopped" in run.apply()
    after = run.pids()
    assert {name for name in before if after.get(name) != before[name]} == {"ingestion-binance"}

    run.write(levels=10, copies=2)
    run.apply()
    assert set(run.pids()) == set(before) - {"ingestion-binance"} | {"ingestion-binance-a", "ingestion-binance-b"}

    run.write(name="other")
    assert "must be of a run of 'other'" in run.apply(status=2)
    run.write(levels=0)
    assert "spec.depth.levels" in run.apply(status=2)
    run.write(more="  suspend: true\n")
    assert "not changed" in run.apply(status=1)

    trades = [record for record in run.read(TopicKind.AGG_TRADES) if isinstance(record, AggTrade)]
    ids = list(dict.fromkeys(trade.agg_trade_id for trade in trades))
    assert all(second == first + 1 for first, second in pairwise(ids))
    kinds = Counter(record.kind for record in run.read(TopicKind.EVENTS) if isinstance(record, FeedEvent))
    assert kinds["gap"] == kinds["rejected"] == 0
    assert run.end(signal.SIGINT) == 130
    assert "ingestion-binance-a is stopped" in run.log.read_text()
