"""The real job of a test: its process, its topics, what is sent to it and what it wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.records import Record, decode, encode
from marketpipeline.topics import TopicKind, topic_name

from tests.conftest import PROJECT, free_port, wait_for
from tests.flink_jobs.examples import plain_settings
from tests.support.tied import tied

__all__ = ["RunningJob"]

KINDS = (
    TopicKind.TRADES, TopicKind.BOOK, TopicKind.THRESHOLDS, TopicKind.BOOK_METRICS, TopicKind.CANDLES,
    TopicKind.ALERTS, TopicKind.LATE, TopicKind.DEAD_LETTERS, TopicKind.TRADE_STATISTICS, TopicKind.BOOK_STATISTICS,
)  # fmt: skip
PARTITIONS = 3
AWKWARD = "check points, 50%41 of \"'all' #ü"
"""Every folder has to do: what one program splits at, another decodes."""


class RunningJob:
    """A job on topics of its own. They and its checkpoints stay the same over `kill` and `start`."""

    def __init__(
        self, address: str, prefix: str, folder: Path, *, python: str | Path = sys.executable, **changes: Any
    ) -> None:
        self.python = str(python)
        self.prefix, self.folder, self.log = prefix, folder, folder / "job.log"
        self.checkpoints = folder / AWKWARD
        self.port = free_port()
        self._config = folder / "job.json"
        self.settings = plain_settings(
            topic_prefix=prefix,
            consumer_group=f"{prefix}.stream-job",
            http={"host": "127.0.0.1", "port": self.port},
            checkpoint_directory=self.checkpoints.as_uri(),
            **({"kafka": {"bootstrap_servers": address}} | changes),
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._connect(address)
        self.configure()
        self._make_topics()

    def configure(self, **changes: Any) -> None:
        """Other settings from the next start on."""
        self.settings |= changes
        self._config.write_text(json.dumps(self.settings))

    def move(self, address: str) -> None:
        """From now on use this broker, with topics of the same names that are new there."""
        self._connect(address)
        self.configure(kafka={"bootstrap_servers": address})
        self._make_topics()

    def _connect(self, address: str) -> None:
        self._client: dict[str, str | int | float | bool] = {"bootstrap.servers": address}
        self._producer = Producer(self._client | {"partitioner": "murmur2_random", "linger.ms": 2})

    def make_topics_again(self) -> None:
        """Delete the topics, and make them under the same names."""
        admin = AdminClient(self._client)
        names = [self.topic(kind) for kind in KINDS]
        for future in admin.delete_topics(names, operation_timeout=30).values():
            future.result(30)
        wait_for(lambda: not set(names) & set(admin.list_topics(timeout=10).topics), "the topics to be gone")
        self._make_topics()
        self._connect(str(self._client["bootstrap.servers"]))  # a producer that knows nothing of those that are gone

    def _make_topics(self) -> None:
        topics = [NewTopic(self.topic(kind), PARTITIONS, 1) for kind in KINDS]
        admin = AdminClient(self._client)
        for future in admin.create_topics(topics).values():
            future.result(30)

    def ends(self, kind: TopicKind) -> dict[int, int]:
        """The next offset of each partition of a topic."""
        consumer = Consumer(self._client | {"group.id": "reader", "enable.auto.commit": False})
        try:
            numbers = range(PARTITIONS)
            return {
                n: consumer.get_watermark_offsets(TopicPartition(self.topic(kind), n), timeout=10)[1] for n in numbers
            }
        finally:
            consumer.close()

    def topic(self, kind: TopicKind) -> str:
        return topic_name(self.prefix, kind)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        arguments = [self.python, "-m", "marketpipeline_job", "--config", str(self._config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                tied(arguments),
                cwd=PROJECT,
                env={**os.environ, "HTTP_PROXY": "http://127.0.0.1:9"},  # the loopback is not reached through it
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._is_ready, f"the job to be ready, see {self.log}", seconds=240, every=0.2)

    def health(self) -> tuple[int, dict[str, Any]]:
        """What /health says; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def jvm(self) -> int:
        """Process id of its JVM."""
        assert self._process is not None
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=True
        )
        pids = [int(pid) for pid in found.stdout.split()]
        assert len(pids) == 1, pids
        return pids[0]

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def stop(self) -> int:
        """End it as an operator does; gives its status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout=60)
        self._process = None
        return status

    def wait_for_end(self) -> int:
        """Its status, once it ends by itself."""
        assert self._process is not None
        status = self._process.wait(timeout=30)
        self._process = None
        return status

    def send(self, kind: TopicKind, records: Iterable[Record | tuple[str, bytes]]) -> None:
        """Append records (or a key and raw bytes) to a topic, and wait until the broker has them."""
        failed: list[str] = []

        def told(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failed.append(error.str())

        for record in records:
            key, value = record if isinstance(record, tuple) else (record.symbol, encode(record))
            while True:
                try:
                    self._producer.produce(self.topic(kind), value, key, on_delivery=told)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(30) == 0
        assert not failed, failed

    def caught_up(self, *kinds: TopicKind) -> None:
        """Wait until the job has committed all that these topics hold now."""
        consumer = Consumer(self._client | {"group.id": self.settings["consumer_group"], "enable.auto.commit": False})
        try:
            ends = {(kind, number): end for kind in kinds for number, end in self.ends(kind).items()}

            def behind() -> bool:
                asked = [TopicPartition(self.topic(kind), number) for kind, number in ends]
                committed = {(p.topic, p.partition): p.offset for p in consumer.committed(asked, timeout=10)}
                return all(committed[self.topic(kind), n] >= end for (kind, n), end in ends.items() if end)

            wait_for(behind, f"the job to commit {', '.join(kinds)}, see {self.log}", seconds=120, every=0.2)
        finally:
            consumer.close()

    def send_traced(self, kind: TopicKind, record: Record, headers: list[tuple[str, str | bytes | None]]) -> None:
        """Append a record with headers."""
        self._producer.produce(self.topic(kind), encode(record), record.symbol, headers=headers)
        assert self._producer.flush(30) == 0

    def headers(self, kind: TopicKind, symbol: str) -> list[list[tuple[str, bytes]]]:
        """Headers of a symbol's records; an empty list for a record without."""
        return [message.headers() or [] for message in self._messages(kind) if message.key() == symbol.encode()]

    def rows(self, kind: TopicKind) -> list[Any]:
        """Every record of a topic, decoded, in the order of its partition."""
        return [decode(message.value()) for message in self._messages(kind)]

    def _messages(self, kind: TopicKind) -> list[Any]:
        consumer = Consumer(self._client | {"group.id": "reader", "enable.auto.commit": False})
        try:
            found: list[Any] = []
            for number in range(PARTITIONS):
                partition = TopicPartition(self.topic(kind), number, 0)
                end = consumer.get_watermark_offsets(partition, timeout=10)[1]
                consumer.assign([partition])
                count = 0
                while count < end:
                    messages = consumer.consume(min(10_000, end - count), 10)
                    assert messages, f"{kind} ends after {count} of {end} records"
                    for message in messages:
                        assert message.error() is None, message.error()
                        found.append(message)
                    count += len(messages)
            return found
        finally:
            consumer.close()

    def wait_rows(self, kind: TopicKind, condition: Callable[[list[Any]], object], what: str) -> list[Any]:
        """The rows of a topic, once they meet a condition."""

        def rows() -> list[Any]:
            found = self.rows(kind)
            return found if condition(found) else []

        return wait_for(rows, f"{what}, see {self.log}", seconds=60, every=0.1)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"the job ended with {self._process.returncode}: {self.log.read_text()[-3000:]}")
        return self.health()[0] == 200


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc").is_dir()
