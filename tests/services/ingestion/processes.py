"""The processes of one test: an exchange on loopback and the ingestion that reads it into a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.records import AnyRecord, Book, FeedEvent, Heartbeat, Trade, decode
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import Feed, TopicKind, topic_name

from tests.conftest import free_port, wait_for
from tests.support.broker import RunningBroker
from tests.support.tied import tied

__all__ = ["PARTITIONS", "Processes"]

PARTITIONS = 3
COMMAND = [sys.executable, "-m", "marketpipeline"]


class Processes:
    """Starts and ends processes; `records` reads a topic whole as (partition, record), in order."""

    def __init__(self, broker: RunningBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.prefix = broker.prefix()
        self.exchange_port = free_port()
        self.port = free_port()
        self.ingestion: subprocess.Popen[bytes] | None = None
        self.second: subprocess.Popen[bytes] | None = None
        self.second_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._read: dict[TopicKind, list[tuple[int, AnyRecord]]] = {}
        admin = AdminClient({"bootstrap.servers": broker.address})
        topics = [NewTopic(topic_name(self.prefix, kind), PARTITIONS, 1) for kind in TopicKind]
        for made in admin.create_topics(topics).values():
            made.result(30)
        names = {topic.topic for topic in topics}

        def led() -> bool:
            known = admin.list_topics(timeout=10).topics
            there = [known[name] for name in names if name in known and known[name].error is None]
            partitions = [partition for topic in there for partition in topic.partitions.values()]
            return len([one for one in partitions if one.leader >= 0 and one.error is None]) == len(names) * PARTITIONS

        wait_for(led, "the topics to be there")

    @property
    def exchange_url(self) -> str:
        return f"http://127.0.0.1:{self.exchange_port}"

    def start_exchange(self, *options: str) -> None:
        """`marketpipeline simulator` with these options."""
        self._spawn("simulator", ["simulator", "--port", str(self.exchange_port), *options])
        wait_for(lambda: self.exchange(), "the exchange to open")

    def settings(
        self, *symbols: str, feeds: tuple[Feed, ...] = (Feed.BOOK, Feed.TRADES), **more: Any
    ) -> dict[str, Any]:
        """Settings of the ingestion, as the plan would write them."""
        return {
            "pipeline": "test", "http": {"host": "127.0.0.1", "port": self.port}, "topic_prefix": self.prefix,
            "kafka": {"bootstrap_servers": self.broker.address}, "exchange": "binance", "symbols": list(symbols),
            "feeds": [feed.value for feed in feeds], "levels": 20, "websocket_url": f"ws://127.0.0.1:{self.exchange_port}",
            "rest_url": self.exchange_url, "backoff_initial_ms": 100, **more,
        }  # fmt: skip

    def start_ingestion(self, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
        """`marketpipeline ingestion` with these settings."""
        IngestionSettings(**settings)
        self._read.clear()
        path = self.folder / "ingestion.json"
        path.write_text(json.dumps(settings))
        self.ingestion = self._spawn("ingestion", ["ingestion", "--config", str(path)])
        return self.ingestion

    def start_second(self, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
        """One more `marketpipeline ingestion` that reads the same."""
        path = self.folder / "second.json"
        path.write_text(json.dumps(settings | {"http": {"host": "127.0.0.1", "port": self.second_port}}))
        self.second = self._spawn("second", ["ingestion", "--config", str(path)])
        return self.second

    def stop_ingestion(self) -> int:
        """SIGTERM; returns the status."""
        assert self.ingestion is not None
        self.ingestion.send_signal(signal.SIGTERM)
        return self.ingestion.wait(40)

    def kill_ingestion(self) -> None:
        assert self.ingestion is not None
        self.ingestion.kill()
        self.ingestion.wait(10)

    def log(self, name: str = "ingestion") -> str:
        return (self.folder / f"{name}.log").read_text()

    def exchange(self) -> dict[str, Any]:
        """What the exchange says of itself; empty while it does not."""
        return _get(f"{self.exchange_url}/control/status")

    def fault(self, name: str, **parameters: object) -> None:
        """Let something go wrong now."""
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        self._control(f"faults/{name}?{query}")

    def change_speed(self, speed: int) -> None:
        """Let the exchange go on at so many times its own speed."""
        self._control(f"speed/{speed}")

    def _control(self, what: str) -> None:
        request = urllib.request.Request(f"{self.exchange_url}/control/{what}", method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def health(self, port: int | None = None) -> dict[str, Any]:
        """`/health` of the ingestion, or of what serves on `port`; empty while it does not answer."""
        return _get(f"http://127.0.0.1:{port or self.port}/health")

    def wait_replayed(self, share: float = 1.0, seconds: float = 90.0) -> None:
        """Wait until a share of the replay has been read by the ingestion."""

        def reached() -> bool:
            status, health = self.exchange(), self.health()
            if not status.get("started"):
                return False
            if share < 1.0:
                start, end = 1_723_161_255_000_000, status["last_event_time"]
                return bool(health.get("synced_through", 0) >= start + share * (end - start))
            done = status["finished"] and health.get("synced_through", 0) >= status["last_event_time"]
            return bool(done and not health["pending"] and not health["in_flight"])

        wait_for(reached, f"{share:.0%} of the replay to be read: {self.health()}", seconds=seconds)

    def records(self, kind: TopicKind) -> list[tuple[int, AnyRecord]]:
        """Everything in a topic; read once, after the ingestion was stopped."""
        assert self.ingestion is None or self.ingestion.poll() is not None, "it still writes"
        if kind not in self._read:
            self._read[kind] = self._read_topic(kind)
        return self._read[kind]

    def _read_topic(self, kind: TopicKind) -> list[tuple[int, AnyRecord]]:
        consumer: Any = Consumer(
            {"bootstrap.servers": self.broker.address, "group.id": "test", "enable.auto.commit": False}
        )
        found = []
        try:
            for partition in range(PARTITIONS):
                place = TopicPartition(topic_name(self.prefix, kind), partition, 0)
                _, end = consumer.get_watermark_offsets(place, timeout=10)
                consumer.assign([place])
                read = 0
                while read < end:
                    for message in consumer.consume(min(5_000, end - read), timeout=5):
                        assert message.error() is None, message.error()
                        record = decode(message.value())
                        assert message.key() == record.symbol.encode() or (kind is TopicKind.RAW and not record.symbol)
                        found.append((partition, record))
                        read = message.offset() + 1
        finally:
            consumer.close()
        return found

    def trades(self, symbol: str) -> list[Trade]:
        records = [record for _, record in self.records(TopicKind.TRADES) if record.symbol == symbol]
        return [record for record in records if isinstance(record, Trade)]

    def books(self, symbol: str) -> list[Book]:
        records = [record for _, record in self.records(TopicKind.BOOK) if record.symbol == symbol]
        return [record for record in records if isinstance(record, Book)]

    def heartbeats(self, kind: TopicKind) -> list[Heartbeat]:
        return [record for _, record in self.records(kind) if isinstance(record, Heartbeat)]

    def events(self, symbol: str | None = None) -> list[FeedEvent]:
        records = [record for _, record in self.records(TopicKind.EVENTS)]
        return [r for r in records if isinstance(r, FeedEvent) and symbol in (None, r.symbol)]

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            command = tied([*COMMAND, *arguments])
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        return process


def _get(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: dict[str, Any] = json.load(answer)
            return body
    except urllib.error.HTTPError as error:
        refused: dict[str, Any] = json.loads(error.read() or b"{}")
        return refused
    except OSError:
        return {}
