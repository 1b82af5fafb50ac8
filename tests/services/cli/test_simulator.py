"""`marketpipeline simulator` as a user starts it: a process, its options, its errors, its end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port, wait_for
from tests.support.tied import tied

COMMAND = [sys.executable, "-m", "marketpipeline", "simulator"]


def get(port: int, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


@contextmanager
def started(*options: str, port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(tied([*COMMAND, *options]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: process.poll() is not None or get(port, "/health/live"), "the exchange is open")
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    port = free_port()
    options = ["--port", str(port), "--symbol", "SOLUSDT", "--seed", "7", "--scenario", "calm", "--fault", "gap@1h"]
    with started(*options, port=port) as process:
        assert get(port, "/control/status")["symbols"] == ["SOLUSDT"]
        assert get(port, "/api/v3/depth?symbol=SOLUSDT")["bids"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        for name, value in (
            ("exchange_requests_total", "1.0"),
            ("exchange_frames_total", r"\d"),
            ("exchange_clock", r"\d"),
        ):
            assert re.search(rf"(?m)^marketpipeline_{name}\{{.*\}} {value}", metrics), name
        process.send_signal(number)
        assert process.wait(10) == 0


def test_whose_protocols_it_speaks() -> None:
    port = free_port()
    with started("--port", str(port), "--exchange", "okx", port=port):
        assert get(port, "/api/v5/public/time")["code"] == "0"
    refused = run("--exchange", "nasdaq", "--port", str(free_port()))
    assert refused.returncode == 2
    assert "must be one of binance, okx" in refused.stderr


def test_a_replay(capture: Callable[[str], Path]) -> None:
    port = free_port()
    paths = [str(capture(f"binance_{name}_20240808.gz")) for name in ("btcusdt", "ethusdt")]
    with started("--port", str(port), "--replay", paths[0], "--replay", paths[1], "--speed", "max", port=port):
        status = get(port, "/control/status")
        assert (status["mode"], status["speed"], status["started"]) == ("replay", None, False)
        assert status["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_settings_from_a_file(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "exchange.json"
    config.write_text(json.dumps({"http": {"host": "127.0.0.1", "port": port}, "symbols": ["ADAUSDT"], "speed": 3}))
    with started("--config", str(config), port=port):
        status = get(port, "/control/status")
        assert (status["symbols"], status["speed"]) == (["ADAUSDT"], 3.0)
    done = run("--config", str(config), "--port", "1")
    assert done.returncode == 2
    assert "--config stands alone" in done.stderr


def test_a_truncated_capture_is_refused_and_nothing_is_served(capture: Callable[[str], Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(capture("binance_illiquid_20211012.gz").read_bytes()[:4000])
    done = run("--replay", str(cut), "--port", "0")
    assert done.returncode == 2
    assert str(cut) in done.stderr
    assert "must be a complete gzip file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speed", "0"], "must be a number above 0, e.g. 20, or max"),
        (["--speed", "fast"], "must be a number above 0, e.g. 20, or max"),
        (["--port", "99999"], "0<=x<=65535"),
        (["--fault", "gpa@3s"], "did you mean 'gap'?"),
        (["--scenario", "whale@now"], "the time after @ is wrong"),
        (["--replay", "/nowhere.gz"], "must be readable: No such file"),
        (["--symbol", ""], "must be"),
        (["--symbol", "BTCUSDT", "--symbol", "BTCUSDT"], "once"),
    ],
)
def test_what_is_wrong_is_named(options: list[str], said: str) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use() -> None:
    port = free_port()
    with started("--port", str(port), port=port):
        done = run("--port", str(port))
    assert done.returncode == 2
    assert f"http.port: {port}: must be free on 127.0.0.1" in done.stderr
