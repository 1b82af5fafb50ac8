"""The API as a process: started by its command, asked over a socket, its stores killed, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port, wait_for
from tests.services.api.serving import Stores
from tests.services.sinks.samples import BTC, candle, trade
from tests.support.postgres import PASSWORD, RunningPostgres
from tests.support.tied import tied
from tests.support.valkey import RunningValkey


class Process:
    """`marketpipeline api`; passwords come by the environment, as on a cluster."""

    def __init__(self, folder: Path, stores: Stores) -> None:
        self.port = free_port()
        self.log = folder / "log"
        self.config = folder / "settings.json"
        settings = stores.settings(http={"host": "127.0.0.1", "port": self.port}).model_dump(mode="json")
        for store in ("timescale", "redis"):
            del settings["stores"][store]["password"]
        self.config.write_text(json.dumps(settings))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        return [sys.executable, "-m", "marketpipeline", "api", "--config", str(self.config)]

    def start(self) -> None:
        environment = os.environ | {
            "MARKETPIPELINE_STORES__TIMESCALE__PASSWORD": PASSWORD,
            "MARKETPIPELINE_STORES__REDIS__PASSWORD": PASSWORD,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(tied(self.command()), env=environment, stdout=log, stderr=log)
        wait_for(lambda: self.status("/health") == 200, "the API is ready", seconds=60)

    def status(self, path: str) -> int:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def process(stores: Stores, tmp_path: Path) -> Iterator[Process]:
    found = Process(tmp_path, stores)
    yield found
    found.close()


KLINES = "/api/v1/analytics/klines/BTCUSDT"
REALTIME = "/api/v1/market/realtime"


def test_it_serves_and_measures_and_ends_with_status_0(process: Process, stores: Stores) -> None:
    stores.put(trade(1), candle())
    process.start()
    assert json.loads(process.get(KLINES))["candles"][0]["symbol"] == BTC
    assert json.loads(process.get(REALTIME))["source"] == "redis"
    assert process.status("/api/v1/analytics/klines/NOPE") == 404
    metrics = process.get("/metrics")
    assert 'marketpipeline_api_request_duration_seconds_count{method="GET"' in metrics
    assert 'route="/api/v1/analytics/klines/{symbol}",status="404"} 1' in metrics
    assert json.loads(process.get("/openapi.json"))["info"]["title"] == "marketpipeline: test"
    assert process.process is not None
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(timeout=20) == 0
    assert "Traceback" not in process.log.read_text()
    for line in process.log.read_text().splitlines():
        json.loads(line)


def test_stores_may_be_killed_and_come_back(
    process: Process, stores: Stores, postgres: RunningPostgres, valkey: RunningValkey
) -> None:
    stores.put(trade(1), candle())
    process.start()
    assert process.status(KLINES) == process.status(REALTIME) == 200
    valkey.kill()
    try:
        assert json.loads(process.get(REALTIME))["source"] == "timescale"
        postgres.kill()
        try:
            assert process.status(REALTIME) == process.status(KLINES) == process.status("/health") == 503
            assert process.status("/health/live") == 200
            began = time.monotonic()
            wait_for(lambda: process.status(KLINES) == 503 and time.monotonic() - began > 8, "a longer outage")
        finally:
            postgres.start()
        wait_for(lambda: process.status(KLINES) == 200, "the database is read again", seconds=15)
    finally:
        valkey.start()
    wait_for(lambda: json.loads(process.get(REALTIME))["source"] == "redis", "the cache is read again", seconds=15)
    assert "Traceback" not in process.log.read_text()


def test_it_starts_before_its_stores(process: Process, stores: Stores, postgres: RunningPostgres) -> None:
    postgres.stop()
    try:
        process.start()
        assert process.status(KLINES) == 503
    finally:
        postgres.start()
    wait_for(lambda: process.status(KLINES) == 200, "the database is read", seconds=15)


def test_a_port_in_use_is_a_clear_error(process: Process) -> None:
    with socket.create_server(("127.0.0.1", process.port)):
        done = subprocess.run(process.command(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"http.port: {process.port}: must be free on 127.0.0.1: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_settings_are_named(process: Process) -> None:
    settings: dict[str, Any] = json.loads(process.config.read_text())
    process.config.write_text(json.dumps(settings | {"max_rows": 0, "simbols": []}))
    done = subprocess.run(process.command(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "max_rows: 0" in done.stderr
    assert "simbols" in done.stderr
