"""A pipeline is changed while it runs, by its user and by what its selectors stand for: what differs is replaced,
ingestion by handover, and no trade is missed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from marketpipeline.records import AggTrade, FeedEvent
from marketpipeline.topics import TopicKind

from tests.conftest import wait_for
from tests.services.local.runs import Runs

MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {name: NAME}
spec:
  symbols: [binance:BTCUSDT, "binance:top-2-USDT", "binance:E*"]
  exclude: [binance:ET*USDC, "binance:ETC*"]
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

    @property
    def symbols(self) -> list[str]:
        """Those that are followed, without the exchange and in order."""
        try:
            live: dict[str, Any] = json.loads((self.state / "state.json").read_text())
        except (OSError, ValueError):
            return []
        return sorted(symbol.partition(":")[2] for symbol in live["symbols"])

    def fault(self, name: str, query: str) -> None:
        url = f"{self.components()['simulator']['url']}/control/faults/{name}?{query}"
        with urlopen(Request(url, method="POST"), timeout=10) as answer:
            assert answer.status == 200

    def events(self, feed: str | None = None) -> Counter[tuple[str, str]]:
        found = [event for event in self.read("changed", TopicKind.EVENTS) if isinstance(event, FeedEvent)]
        return Counter((event.kind, event.symbol.partition(":")[2]) for event in found if feed in (None, event.feed))

    def pids(self) -> dict[str, Any]:
        return {name: component["pid"] for name, component in self.components().items()}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Changed]:
    running = Changed(tmp_path)
    running.environment["MARKETPIPELINE_LISTING_SECONDS"] = "1"
    running.write()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.end(signal.SIGINT)


@pytest.mark.timeout(600)
def test_a_run_is_changed_while_trades_come_and_none_is_missed(run: Changed) -> None:
    run.start()
    wait_for(lambda: run.pids() and all(run.pids().values()), "everything runs", seconds=200)
    wait_for(lambda: run.symbols == ["BTCUSDT", "ETHBTC", "ETHUSDT"], "what is listed is followed", seconds=60)
    chosen = Counter({("followed", "ETHBTC"): 1, ("followed", "ETHUSDT"): 1})
    wait_for(lambda: run.events("symbols") == chosen, "the events topic knows", seconds=60, every=1)
    before = run.pids()
    wait_for(lambda: run.read("changed", TopicKind.AGG_TRADES), "trades")

    run.write(levels=10)
    assert "ingestion-binance: the next one is in sync, the last one has stopped" in run.apply()
    after = run.pids()
    assert {name for name in before if after.get(name) != before[name]} == {"ingestion-binance"}

    before = run.pids()
    run.fault("volume", "symbol=ADAUSDT&factor=1000")
    wait_for(lambda: run.symbols == ["ADAUSDT", "BTCUSDT", "ETHBTC", "ETHUSDT"], "one is traded most", seconds=100)
    run.fault("delist", "symbol=ETHBTC&seconds=600")
    wait_for(lambda: run.symbols == ["ADAUSDT", "BTCUSDT", "ETHUSDT"], "one is listed no more", seconds=100)
    after = run.pids()
    assert {name for name in before if after[name] != before[name]} == {"ingestion-binance"}
    chosen += Counter({("followed", "ADAUSDT"): 1, ("unfollowed", "ETHBTC"): 1})
    wait_for(lambda: run.events("symbols") == chosen, "the events topic knows both", seconds=60, every=1)

    run.write(levels=10, copies=2)
    run.apply()
    assert set(run.pids()) == set(before) - {"ingestion-binance"} | {"ingestion-binance-a", "ingestion-binance-b"}

    run.write(name="other")
    assert "must be of a run of 'other'" in run.apply(status=2)
    run.write(levels=0)
    assert "spec.depth.levels" in run.apply(status=2)
    run.write(more="  suspend: true\n")
    assert "not changed" in run.apply(status=1)

    trades = [record for record in run.read("changed", TopicKind.AGG_TRADES) if isinstance(record, AggTrade)]
    ids = list(dict.fromkeys(trade.agg_trade_id for trade in trades if trade.symbol == "binance:BTCUSDT"))
    assert all(second == first + 1 for first, second in pairwise(ids))
    assert not [kind for kind, _ in run.events() if kind in ("gap", "rejected")]
    assert run.end(signal.SIGINT) == 130
    assert "ingestion-binance-a is stopped" in run.log.read_text()
