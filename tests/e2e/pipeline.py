"""Running a whole pipeline as a user does, by the command line, and reading back what its tables hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FLINK_PYTHON, free_port, require, wait_for
from tests.support import captures
from tests.support.tied import tied

__all__ = ["ALL", "LENGTH", "OTHERS", "START", "SYMBOLS", "Pipeline"]

SYMBOLS = {"binance:BTCUSDT": captures.BTC, "binance:ETHUSDT": captures.ETH}
"""Recorded ones where they are present, and the capture that each is in; else the simulator stands in for them."""
ALL = SYMBOLS | dict.fromkeys(captures.SIMULATED_SYMBOLS, captures.SIMULATED)
"""Those and simulated ones, whose capture has holes in a book, a quiet market and every scenario: one run is both."""

START = 1723161255_000000
LENGTH = 340_000_000
"""Exchange time at which the captures of ALL start, and what they hold of it, in microseconds."""

OTHERS = dict.fromkeys(captures.OKX_SYMBOLS, captures.OKX)
"""Symbols of another exchange, two of them contracts: each run of ALL and these has two exchanges at once."""

MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {{name: replayed}}
spec:
  symbols: [{symbols}]
  feeds: [{feeds}]
  depth: {{levels: 20, calculate: 10}}
  thresholds: {{imbalance: {{medium: 0.5, high: 0.7}}, whaleTrade: 50000}}
  processing: {{parallelism: {parallelism}}}
  ingestion: {ingestion}
  sinks: {sinks}
  api: {{port: {port}}}
"""


class Pipeline:
    """One pipeline with a state folder of its own, below `folder`."""

    def __init__(
        self,
        folder: Path,
        symbols: Sequence[str] = tuple(ALL),
        parallelism: int = 1,
        ingestion: str = "{}",
        feeds: str = "book, trades, quotes",
        sinks: str = "{}",
    ) -> None:
        require(FLINK_PYTHON.exists(), "Flink's environment is absent: run `make setup`")
        self.state = folder / "state"
        self.manifest = folder / "pipeline.yaml"
        self.log = folder / "run.log"
        self.port = free_port()
        values = {"symbols": ", ".join(symbols), "parallelism": parallelism, "ingestion": ingestion}
        values |= {"feeds": feeds, "sinks": sinks}
        self.manifest.write_text(MANIFEST.format(port=self.port, **values))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """`marketpipeline run` in the background, without its screen."""
        command = [*self._command("run", str(self.manifest), "--state", str(self.state), "--no-ui"), *options]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(tied(command), stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def wait(self, seconds: float) -> int:
        """The exit status of `run`; the test fails with the end of its log when that takes longer."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            pytest.fail(f"the run did not end within {seconds:g} s:\n{self.tail()}")

    def run(self, *options: str, seconds: float) -> None:
        """`marketpipeline run`, which has to end with status 0."""
        self.start(*options)
        status = self.wait(seconds)
        assert status == 0, f"the run ended with status {status}:\n{self.tail()}"

    def stop(self) -> None:
        """As Ctrl-C does; by force after a minute."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tail(self, lines: int = 60) -> str:
        """The end of what `run` printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self, component: str) -> None:
        """kill -9 of a component's own process, whose id the state folder names; returns once it is gone."""
        pid = self.running(component)
        os.kill(pid, signal.SIGKILL)
        again = f"{component} is started again"
        wait_for(lambda: self.running(component, wait=False) not in (pid, None), again, seconds=300)

    def running(self, component: str, *, wait: bool = True) -> Any:
        """The process id of a component that is ready, or None with `wait=False`."""

        def pid() -> Any:
            try:
                known = json.loads((self.state / "state.json").read_text())
            except (OSError, ValueError):
                return None
            return known["components"].get(component, {}).get("pid")

        return wait_for(pid, f"{component} runs", seconds=180) if wait else pid()

    def exchange_clock(self) -> int:
        """The time of the exchange that is replayed, in microseconds; 0 before it serves."""
        try:
            with urllib.request.urlopen(self._control("status"), timeout=5) as answer:
                return int(json.load(answer)["clock"] or 0)
        except (OSError, ValueError, KeyError):
            return 0

    def change_speed(self, speed: int) -> None:
        """Let the exchange go on at so many times its own speed."""
        request = urllib.request.Request(self._control(f"speed/{speed}"), method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def _control(self, what: str) -> str:
        """Address of what the exchange that is replayed is asked or told; KeyError before it serves."""
        known = json.loads((self.state / "state.json").read_text())
        return f"{known['components']['simulator']['url']}/control/{what}"

    def query(self, what: str, symbol: str, *options: str) -> list[dict[str, Any]]:
        """`marketpipeline query`, its lines as objects."""
        command = self._command("query", what, symbol, "--state", str(self.state), "--format", "json", *options)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def record(self, out: Path) -> list[Path]:
        """`marketpipeline record --from-topic` of all that was kept; the captures, one an exchange."""
        command = self._command("record", str(self.manifest), "--out", str(out), "--from-topic")
        done = subprocess.run(
            [*command, "--state", str(self.state)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return [Path(line.partition(": ")[0]) for line in done.stdout.splitlines()[:-1]]

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "marketpipeline", *arguments]
