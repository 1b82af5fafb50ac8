"""The stream job as benchmarks run it: pinned or not, on topics of its own, and what its process and topics tell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.kafka import producer_config
from marketpipeline.records import SymbolThresholds, encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.support import ROOT, free_port
from tests.flink_jobs.examples import plain_settings
from tests.flink_jobs.running import KINDS
from tests.support.tied import tied

__all__ = ["PARTITIONS", "PYTHON", "Job", "ends", "make_topics", "other_cores", "produce", "running_job"]

PYTHON = ROOT / "flink-jobs" / ".venv" / "bin" / "python"
PARTITIONS = 3
START_SECONDS = 300.0
PATTERN = "flip_widening_whale|HIGH|30000000|imbalance_flip,spread_widening,whale_trade"

Message = tuple[str, bytes]
"""Key and value."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job that runs: its process, where it answers, its settings, and how long its start took."""

    pid: int
    url: str
    settings: dict[str, Any]
    start_seconds: float

    def health(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                said: dict[str, Any] = json.load(answer)
                return said
        except (OSError, urllib.error.URLError, ValueError):
            return {}

    def metrics(self) -> str:
        """Its page for Prometheus."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def jvm(self) -> int:
        """The process id of its JVM."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True, check=False
        )
        return int(found.stdout.split()[0])

    def kill(self) -> None:
        """End it as `kill -9` does; its JVM ends with it."""
        os.kill(self.pid, signal.SIGKILL)

    def cpu_seconds(self) -> float:
        """Processor time of the process and its JVM so far."""
        ticks = 0
        for one in (self.pid, self.jvm()):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_job(folder: Path, address: str, prefix: str, *, core: int | None = None, **changes: Any) -> Iterator[Job]:
    """A job with its state in `folder`, once it is ready; on one core, or on any. It ends as an operator ends it."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    settings = plain_settings(
        topic_prefix=prefix,
        consumer_group=f"{prefix}.stream-job",
        kafka={"bootstrap_servers": address},
        http={"host": "127.0.0.1", "port": port},
        checkpoint_directory=(folder / "checkpoints").as_uri(),
        **({"checkpoint_interval_ms": 1_000} | changes),
    )
    (folder / "job.json").write_text(json.dumps(settings))
    pinned = None if core is None else lambda: os.sched_setaffinity(0, {core})
    began = time.monotonic()
    with (folder / "job.log").open("wb") as log:
        process = subprocess.Popen(
            tied([str(PYTHON), "-m", "marketpipeline_job", "--config", str(folder / "job.json")]),
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=pinned,
        )  # fmt: skip
    job = Job(process.pid, f"http://127.0.0.1:{port}", settings, 0.0)
    try:
        while job.health().get("status") not in ("ok", "degraded"):
            if process.poll() is not None or time.monotonic() > began + START_SECONDS:
                raise SystemExit(f"the job did not start:\n{(folder / 'job.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield Job(process.pid, job.url, settings, round(time.monotonic() - began, 1))
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def make_topics(address: str, prefix: str, symbols: Iterable[str], **config: str) -> None:
    """All topics of a job, and in theirs the thresholds and the pattern of each symbol, as a platform does."""
    admin = AdminClient({"bootstrap.servers": address})
    topics = [NewTopic(topic_name(prefix, kind), PARTITIONS, 1, config=config) for kind in KINDS]
    for future in admin.create_topics(topics).values():
        future.result(30)
    values = plain_settings()["thresholds"]
    rows = [SymbolThresholds(symbol=one, effective_from=0, values=values, patterns=PATTERN) for one in symbols]
    produce(address, topic_name(prefix, TopicKind.THRESHOLDS), ((row.symbol, encode(row)) for row in rows))


def produce(address: str, topic: str, messages: Iterable[Message]) -> None:
    """Append, and wait until the broker has all of them."""
    producer = Producer(producer_config(KafkaSettings(bootstrap_servers=address), "benchmark", linger_ms=5.0))
    for key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


def ends(address: str, topic: str) -> int:
    """How many records were ever appended to a topic."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "benchmark"})
    try:
        return sum(consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in range(PARTITIONS))
    finally:
        consumer.close()


def other_cores() -> None:
    """Leave the first core, where there is another, to the job."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {0} or cores)
