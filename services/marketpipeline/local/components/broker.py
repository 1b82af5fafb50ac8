"""The broker: Kafka's own, from its jars, as one KRaft process on the loopback."""

from __future__ import annotations

import base64
import shutil
import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marketpipeline.local.component import Command, NotReady

__all__ = ["Broker"]

_NODE = 1
_CONFIG = "server.properties"
_LOGGING = "log4j2.properties"
"""Named as seen from the folder, where it runs: Kafka splits a path at commas and reads the file as Latin-1."""

_LOG4J = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One Kafka process with its data in `folder`.

    `java` is the program to run, `jars` the folder of Kafka's jars. `port` is for clients, `controller_port` for the
    process itself; both on 127.0.0.1. `heap_mb` bounds its heap: a broker's work is done by the page cache, which is
    also why the quick compiler alone does better here (docs/decisions/0070).
    """

    java: str
    jars: Path
    folder: Path
    port: int
    controller_port: int
    heap_mb: int = 384
    name: str = "broker"
    after: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 30.0
    ready_seconds: float = 120.0

    @property
    def address(self) -> str:
        """What clients connect to, as host:port."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> Sequence[Command]:
        """Write the configuration; format the data folder when it is new, or when that was cut short."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _CONFIG).write_text(self._properties(), encoding="utf-8")
        (self.folder / _LOGGING).write_text(_LOG4J, encoding="utf-8")
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)  # a killed broker leaves its native libraries
        (self.folder / "tmp").mkdir()
        formatted = self.folder / "formatted"
        if formatted.exists():
            return ()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", _CONFIG)
        return self._java(128, *tool), Command(("touch", formatted.name), directory=self.folder)

    def command(self) -> Command:
        """The broker."""
        return self._java(self.heap_mb, "kafka.Kafka", _CONFIG)

    def check(self) -> Mapping[str, object]:
        """Ready when it answers a request for its metadata, which it does once it is registered and unfenced."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient({"bootstrap.servers": self.address, "broker.address.family": "v4", "log_level": 0})
        try:
            metadata = client.list_topics(timeout=1.5)
        except KafkaException as error:
            raise NotReady(f"no answer from {self.address}: {error.args[0].str()}") from error
        if not metadata.brokers:
            raise NotReady("it has not registered itself yet")
        return {"topics": len(metadata.topics)}

    def alive(self) -> bool:
        """Its process tells: a server that is busy recovering is not to be ended."""
        return True

    def _java(self, heap_mb: int, *arguments: str) -> Command:
        options = (
            f"-Xmx{heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            "-Duser.language=en",
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            f"-Dlog4j2.configurationFile={_LOGGING}",
        )
        return Command((self.java, *options, "-cp", f"{self.jars}/*", *arguments), directory=self.folder)

    def _properties(self) -> str:
        """The configuration.

        Internal topics have one partition, so that a start loads and a restart recovers little. After a kill the
        broker may register itself again only when the session of its former self is over: that bounds the restart.
        """
        entries = {
            "process.roles": "broker,controller",
            "node.id": _NODE,
            "controller.quorum.voters": f"{_NODE}@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": "data",
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 4_000,
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            "socket.request.max.bytes": 64 * 1024 * 1024,
        }
        return "".join(f"{key}={value}\n" for key, value in entries.items())
