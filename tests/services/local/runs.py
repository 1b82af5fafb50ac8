"""`marketpipeline run` as a user starts it, for tests: a pipeline without a stream job, which is up within seconds."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition
from marketpipeline.records import decode
from marketpipeline.topics import TopicKind, topic_name

from tests.conftest import wait_for
from tests.support.tied import tied

__all__ = ["Runs", "everything_in"]

MANIFEST = """\
apiVersion: marketpipeline.dev/v1alpha1
kind: MarketPipeline
metadata: {name: quotes}
spec:
  symbols: [binance:BTCUSDT, binance:ETHUSDT]
  feeds: [quotes]
  api: {enabled: false}
"""
COMPONENTS = {"broker", "postgres", "valkey", "simulator", "ingestion-binance", "sink-timescale", "sink-redis"}


class Runs:
    """`marketpipeline run` on one state folder, one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.environment: dict[str, str] = {}
        self.log = folder / "run.log"
        self.manifest = folder / "quotes.yaml"
        self.manifest.write_text(MANIFEST)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        self.start_as(self.command(*options))

    def start_as(self, command: Sequence[str]) -> None:
        with self.log.open("ab") as out:
            command = tied(command)
            self.process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder, env=self._environment)

    def command(self, *options: str) -> list[str]:
        run = [sys.executable, "-m", "marketpipeline", "run", str(self.manifest), "--no-ui"]
        return [*run, "--state", str(self.state), *options]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def refused(self, *options: str) -> str:
        """What a run says that must not start, status 2."""
        done = subprocess.run(self.command(*options), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def components(self) -> dict[str, Any]:
        try:
            live: dict[str, Any] = json.loads((self.state / "state.json").read_text())
        except (OSError, ValueError):
            return {}
        components: dict[str, Any] = live["components"]
        return components

    def on_a_terminal(self, *options: str) -> tuple[int, str]:
        """Status of a run with its screen, and all that it drew."""
        master, slave = pty.openpty()
        command = [word for word in self.command(*options) if word != "--no-ui"]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
        os.close(slave)
        drawn = bytearray()
        while True:
            try:
                drawn += os.read(master, 65_536)
            except OSError:  # the last process that had the terminal is gone
                break
        os.close(master)
        return process.wait(timeout=60), drawn.decode(errors="replace")

    def wait_until_ready(self) -> None:
        def all_ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            found = self.components()
            return set(found) == COMPONENTS and all(component["pid"] for component in found.values())

        wait_for(all_ready, f"everything runs, see {self.log}", seconds=200, every=0.2)

    def processes(self) -> list[int]:
        """Everything on this machine that names the state folder or runs in it."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "status", "cwd"]):
            words = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
            mine = self.process is not None and process.pid == self.process.pid
            if any(str(self.state) in word for word in words) and not mine and process.info["status"] != "zombie":
                found.append(process.pid)
        return found

    def read(self, pipeline: str, kind: TopicKind) -> list[Any]:
        """Everything in a topic so far."""
        return everything_in(topic_name(pipeline, kind), self.components()["broker"]["url"])

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=120)

    def query(self, what: str, symbol: str) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "marketpipeline", "query", what, symbol, "--format", "json"]
        done = subprocess.run(
            [*command, "--state", str(self.state)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env=self._environment,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def everything_in(topic: str, address: str) -> list[Any]:
    """The records of a topic so far."""
    consumer: Any = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
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
