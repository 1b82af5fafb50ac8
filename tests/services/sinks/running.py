"""A runner in a thread of the test, or as the process that a platform starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketpipeline.backoff import Backoff
from marketpipeline.settings import HttpSettings
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.base import Backpressure, Delivery, Sink
from marketpipeline.sinks.metrics import SinkMetrics
from marketpipeline.sinks.runner import Runner
from marketpipeline.topics import TopicKind

from tests.conftest import free_port, wait_for
from tests.services.sinks.topics import Topics
from tests.support.postgres import PASSWORD
from tests.support.tied import tied

__all__ = ["RunningSink", "SinkProcess", "Stubborn"]


class RunningSink:
    """Runs as long as the `with` block; `left_nothing` tells afterwards how it ended."""

    def __init__(self, sink: Sink, topics: Topics, **changes: Any) -> None:
        fields: dict[str, Any] = {"batch_rows": 500, "flush_interval_ms": 20, "drain_timeout_ms": 5_000}
        self.group = f"{topics.prefix}.sink-{sink.name}"
        self.settings = SinkSettings(
            pipeline="test",
            http=HttpSettings(host="127.0.0.1", port=0),
            kafka=topics.kafka,
            topic_prefix=topics.prefix,
            consumer_group=self.group,
            **(fields | changes),
        )
        self.sink, self.topics = sink, topics
        self.metrics = SinkMetrics(sink.name)
        self.runner = Runner(sink, self.settings, self.metrics, Backoff(0.02, 0.2))
        self.left_nothing: bool | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.left_nothing = self.runner.run()
        except Exception as error:  # noqa: BLE001 - it is the test's to judge
            self.error = error

    def __enter__(self) -> RunningSink:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ask it to stop and wait for that."""
        self.runner.stop()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the runner does not stop"

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.error is not None:
            raise self.error

    def drained(self) -> None:
        """Wait until everything written so far is stored and committed."""
        self.topics.wait_until_drained(self.group, self.sink.topics)


class Stubborn:
    """A sink that refuses batches for as long as `open_gate` was not called, around one that takes them."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner
        self._gate = threading.Event()
        self.refused = threading.Event()

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def topics(self) -> frozenset[TopicKind]:
        return self._inner.topics

    def open(self) -> None:
        self._inner.open()

    def open_gate(self) -> None:
        self._gate.set()

    def write(self, deliveries: Sequence[Delivery]) -> None:
        if not self._gate.is_set():
            self.refused.set()
            raise Backpressure("not now")
        self._inner.write(deliveries)

    def close(self) -> None:
        self._inner.close()


class SinkProcess:
    """`marketpipeline sink-…` with a settings file of its own; the store's `secret` is in its environment."""

    def __init__(
        self,
        folder: Path,
        command: str,
        topics: Topics,
        store: dict[str, Any],
        secret: str | None = "password",
        **changes: Any,
    ) -> None:
        self.port = free_port()
        self.group = f"{topics.prefix}.{command}"
        self._command = command
        self._secret = secret
        self._log = folder / "log"
        self._config = folder / "settings.json"
        settings: dict[str, Any] = {
            "pipeline": "test",
            "http": {"host": "127.0.0.1", "port": self.port},
            "kafka": {"bootstrap_servers": topics.kafka.bootstrap_servers},
            "topic_prefix": topics.prefix,
            "consumer_group": self.group,
            "batch_rows": 500,
            "flush_interval_ms": 20,
            "store": store,
        }
        self._config.write_text(json.dumps(settings | changes))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = [sys.executable, "-m", "marketpipeline", self._command, "--config", str(self._config)]
        secrets = {} if self._secret is None else {f"MARKETPIPELINE_STORE__{self._secret.upper()}": PASSWORD}
        environment = os.environ | secrets
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(tied(arguments), env=environment, stdout=log, stderr=log)
        wait_for(self.is_ready, "the sink is ready", seconds=60)

    def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return bool(self.health()["status"] == "ok")
        except (OSError, urllib.error.HTTPError):
            return False

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/health"))
        return found

    def log(self) -> str:
        return self._log.read_text()

    def end(self, how: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(timeout=30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end(signal.SIGKILL)
