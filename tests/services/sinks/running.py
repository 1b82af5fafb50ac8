"""A runner in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from marketpipeline.settings import HttpSettings
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.backoff import Backoff
from marketpipeline.sinks.base import Backpressure, Delivery, Sink
from marketpipeline.sinks.measures import Measures
from marketpipeline.sinks.runner import Runner
from marketpipeline.topics import TopicKind

from tests.services.sinks.topics import Topics

__all__ = ["RunningSink", "Stubborn"]


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
        self.measures = Measures(sink.name)
        self.runner = Runner(sink, self.settings, self.measures, Backoff(0.02, 0.2))
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
