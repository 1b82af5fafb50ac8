"""What is known of the running job: asked of Flink once a second, read by the health check and the metrics."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from marketpipeline.errors import RetryableError
from marketpipeline.telemetry import Health
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marketpipeline_job.runtime.rest import FlinkRest
from marketpipeline_job.runtime.state import Start

__all__ = ["Checkpoint", "Monitor", "Reading", "read"]

_log = logging.getLogger(__name__)

_FLOW = re.compile(r"\d+\.(?P<operator>.+)\.(?P<metric>numRecordsIn|numRecordsOut|numRecordsSend|pendingRecords)$")
_BUSY = re.compile(r"\d+\.busyTimeMsPerSecond$")
_ASSIGNED = ".KafkaSourceReader.topic."
_SOURCE = re.compile(r"Source__(\w+)\[\d+\]$")
_SINK = re.compile(r"(\w+?)(?:\[\d+\])?__Writer$")
_AGREEING = 8
"""So many readings tell that a record was not read: a busy source is always between its two counts."""
_NAMES_EVERY = 10
"""Names of metrics, hundreds for each task, change while it starts; then they are asked for at every tenth look."""
_UPSERT = "Sink"
"""Flink gives a buffering upsert sink no name; there is one, of candles."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last complete one; times in seconds, since the epoch where absolute."""

    id: int
    completed_at: float
    duration: float
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the job. Counts are by topic kind in SQL's spelling, since the job was last (re)started."""

    state: str
    failure: str = ""
    assigned: bool = False
    read: Mapping[str, float] = field(default_factory=dict)
    parsed: Mapping[str, float] = field(default_factory=dict)
    written: Mapping[str, float] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)
    busy: float = 0.0
    checkpoints: int = 0
    checkpoints_failed: int = 0
    checkpoint: Checkpoint | None = None

    @property
    def unparsed(self) -> dict[str, int]:
        """Records that were read and made no row, by topic kind; the two counts are not of quite the same moment."""
        return {kind: max(0, int(count - self.parsed.get(kind, 0.0))) for kind, count in self.read.items()}

    @property
    def late_ratio(self) -> float:
        """Late trades for each record of trades that was read."""
        read = self.read.get("trades", 0.0)
        return self.written.get("late", 0.0) / read if read else 0.0


def read(rest: FlinkRest, *, names_again: bool = True) -> Reading:
    """Ask Flink for all of it. Raises RetryableError when it does not answer."""
    job = rest.job()
    running = job["state"] == "RUNNING" and all(vertex["status"] == "RUNNING" for vertex in job["vertices"])
    state = "RUNNING" if running else "STARTING" if job["state"] == "RUNNING" else str(job["state"])
    counts: dict[str, dict[str, float]] = {"read": {}, "parsed": {}, "written": {}, "lag": {}}
    assigned, busy = True, 0.0
    for vertex in job["vertices"] if running else ():
        names = rest.metric_names(vertex["id"], again=names_again)
        if vertex["name"].startswith("Source:"):
            assigned = assigned and any(_ASSIGNED in name for name in names)
        values = rest.metrics(vertex["id"], [name for name in names if _flow(name) or _BUSY.match(name)])
        busy = max([busy, *(value / 1000 for name, value in values.items() if _BUSY.match(name))])
        for name, value in values.items():
            _count(name, value, counts)
    completed = rest.checkpoints()
    return Reading(
        state=state,
        failure="" if running else rest.failure(),
        assigned=running and assigned,
        busy=busy,
        checkpoints=completed["counts"]["completed"],
        checkpoints_failed=completed["counts"]["failed"],
        checkpoint=_checkpoint(completed),
        **counts,
    )


def _count(name: str, value: float, counts: Mapping[str, dict[str, float]]) -> None:
    if (flow := _flow(name)) is not None:
        target, kind = flow
        counts[target][kind] = counts[target].get(kind, 0.0) + value


def _flow(name: str) -> tuple[str, str] | None:
    """What a metric counts, and of which topic kind; None for one that is not looked at."""
    if (found := _FLOW.match(name)) is None:
        return None
    operator, metric = found["operator"], found["metric"]
    if source := _SOURCE.match(operator):
        target = {"numRecordsIn": "read", "numRecordsOut": "parsed", "pendingRecords": "lag"}.get(metric)
        return None if target is None else (target, source[1])
    if metric == "numRecordsSend" and (sink := _SINK.match(operator)):
        return "written", "candles" if sink[1] == _UPSERT else sink[1]
    return None


def _checkpoint(answer: Mapping[str, dict[str, dict[str, int]]]) -> Checkpoint | None:
    last = (answer.get("latest") or {}).get("completed")
    if not last:
        return None
    return Checkpoint(
        id=last["id"],
        completed_at=last["latest_ack_timestamp"] / 1000,
        duration=last["end_to_end_duration"] / 1000,
        size=last["state_size"],
    )


class Monitor(Collector):
    """The last reading, as health and as metrics. `look` is called by the one loop of the process."""

    def __init__(self) -> None:
        self._reading = Reading("STARTING")
        self._rest: FlinkRest | None = None
        self._start: Start | None = None
        self._running_before = False
        self._looks = 0
        self._restarts = 0
        self._unparsed: deque[Mapping[str, int]] = deque(maxlen=_AGREEING)
        self.unreadable: dict[str, int] = {}
        """Records that were not JSON, by topic kind: those that some readings in a row agree on. It never goes down."""

    @property
    def watching(self) -> bool:
        """Whether there is a job to ask about."""
        return self._rest is not None

    def watch(self, rest: FlinkRest, start: Start | None = None) -> None:
        """From now on ask this Flink, whose job started so."""
        self._rest, self._start = rest, start

    def look(self) -> Reading:
        """Take a reading. Where Flink does not answer the state is UNKNOWN."""
        if self._rest is None:
            return self._reading
        self._looks += 1
        settled = self._reading.assigned and self._reading.lag.keys() >= self._reading.read.keys()
        try:
            self._reading = read(self._rest, names_again=not settled or self._looks % _NAMES_EVERY == 0)
        except RetryableError as error:
            self._reading = Reading("UNKNOWN", str(error))
        running = self._reading.state == "RUNNING"
        if self._running_before and not running:
            self._restarts += 1
            _log.warning("the job does not run", extra={"state": self._reading.state, "why": self._reading.failure})
        self._running_before = running
        self._count_unreadable(self._reading.unparsed)
        return self._reading

    def _count_unreadable(self, now: Mapping[str, int]) -> None:
        self._unparsed.append(now)
        for kind in now:
            lasting = len(self._unparsed) == _AGREEING
            sure = min(one.get(kind, 0) for one in self._unparsed) if lasting else 0
            self.unreadable[kind] = max(sure, self.unreadable.get(kind, 0))

    def health(self) -> Health:
        """Ready when every task runs and every source has its partitions; degraded where input could not be read."""
        now = self._reading
        last = now.checkpoint
        details: dict[str, object] = {
            "job": now.state,
            "interruptions": self._restarts,
            "read": now.read,
            "written": now.written,
            "lag": now.lag,
            "late": int(now.written.get("late", 0)),
            "unreadable": sum(self.unreadable.values()),
            "checkpoint_age_seconds": None if last is None else round(time.time() - last.completed_at, 3),
        }
        if self._start is not None:
            details["state"] = {"origin": self._start.origin.value, "reason": self._start.reason}
        if now.state in ("STARTING", "CREATED", "INITIALIZING"):
            return Health("starting", details)
        if now.state != "RUNNING":
            return Health("failed", details | {"reason": now.failure})
        if not now.assigned:
            return Health("starting", details)
        return Health("degraded" if details["unreadable"] else "ok", details)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus: names as everywhere in the project."""
        now, prefix = self._reading, "marketpipeline_stream_job"
        yield _family(CounterMetricFamily, f"{prefix}_records_read", "Records taken from a topic.", now.read)
        yield _family(CounterMetricFamily, f"{prefix}_records_written", "Records sent to a topic.", now.written)
        yield _family(CounterMetricFamily, f"{prefix}_unreadable", "Records that were not JSON.", self.unreadable)
        yield _family(GaugeMetricFamily, f"{prefix}_lag_records", "Records in a topic and not read yet.", now.lag)
        yield CounterMetricFamily(f"{prefix}_late", "Trades that came too late.", now.written.get("late", 0.0))
        yield GaugeMetricFamily(
            f"{prefix}_late_ratio",
            "Late trades, as a share of all records of trades.",
            now.late_ratio,
        )
        yield GaugeMetricFamily(f"{prefix}_running", "1 while every task runs.", float(now.state == "RUNNING"))
        yield CounterMetricFamily(f"{prefix}_interruptions", "Times that it stopped running.", self._restarts)
        yield GaugeMetricFamily(f"{prefix}_busy_ratio", "Share of time that the busiest task works.", now.busy)
        yield CounterMetricFamily(f"{prefix}_checkpoints", "Complete checkpoints.", now.checkpoints)
        yield CounterMetricFamily(f"{prefix}_checkpoints_failed", "Checkpoints given up.", now.checkpoints_failed)
        if (last := now.checkpoint) is not None:
            age = time.time() - last.completed_at
            yield GaugeMetricFamily(f"{prefix}_checkpoint_age_seconds", "Age of the last checkpoint.", age)
            yield GaugeMetricFamily(f"{prefix}_checkpoint_duration_seconds", "Time that it took.", last.duration)
            yield GaugeMetricFamily(f"{prefix}_checkpoint_bytes", "Its size.", last.size)


def _family(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily], name: str, text: str, values: Mapping[str, float]
) -> Metric:
    family = kind(name, text, labels=["topic"])
    for topic, value in sorted(values.items()):
        family.add_metric([topic.replace("_", "-")], value)
    return family
