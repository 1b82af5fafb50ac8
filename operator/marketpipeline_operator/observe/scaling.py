"""How many processes of a part there shall be, by what was measured of it.

Up at once, down when fewer have been enough for the whole cool-down, as Kubernetes' own autoscaler does. What one
process of a sink can do is learnt while it is behind, and no sink is taken below what its load needs by that: it would
be behind again, and go up and down for ever. Pure but for the history that an `Autoscaler` keeps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from marketpipeline.schema import Scaling, seconds
from marketpipeline.spec import MarketPipeline
from marketpipeline.venues import split_symbol

from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.flow import DataState

__all__ = ["JOB", "Autoscaler", "Load", "Part", "Scaled", "entry_of", "parts_of", "scaled_of", "with_replicas"]

JOB = "stream-job"
_INGESTION = "ingestion"
_TOLERANCE = 0.1
"""A load that is off its target by less changes nothing."""
_HEADROOM = 0.8
"""The share of what a process was seen to do that it is trusted with."""
_LASTING_SECONDS = 180.0
"""How long the job has to be too busy: after each start it is, while it reads what has come meanwhile."""
_SETTLE_SECONDS = 60.0
"""Time from one step up to the next: the processes of the last have to show what they do first."""


@dataclass(frozen=True)
class Part:
    """A part that is scaled: its bounds, where it starts, and the most processes that can have work."""

    name: str
    scaling: Scaling
    start: int
    useful: int

    @property
    def target(self) -> float:
        """What one process is to bear, in the part's own unit."""
        return float(self.scaling.target)  # type: ignore[attr-defined]  # every kind of scaling has one, of its own unit

    def bounded(self, wanted: int) -> int:
        """Within `min` and `max`, and no more than can have work, unless `min` says so."""
        return max(self.scaling.min, min(wanted, self.scaling.max, self.useful))


@dataclass(frozen=True)
class Load:
    """What was measured: by the processes themselves, and by Flink the share of time that its busiest task works."""

    data: DataState
    busy: float | None = None


@dataclass(frozen=True)
class Scaled:
    """What was decided for a part: its processes, since when (seconds since the epoch) and why.

    `capacity` is what one process was seen to do a second at most, while it was behind.
    """

    replicas: int
    since: float = 0.0
    reason: str = ""
    capacity: float | None = None


@dataclass
class Autoscaler:
    """The decisions for one part, and the numbers that would have been enough within the cool-down."""

    _enough: list[tuple[float, int]] = field(default_factory=list)
    _began: float | None = None

    def decide(self, part: Part, now: Scaled, load: Load, at: float) -> Scaled:
        """The next decision after `now`; the same where nothing is known or nothing has to change."""
        current = part.bounded(now.replicas)
        if current != now.replicas:
            return Scaled(current, at, f"from {now.replicas} to {current}: the bounds of its scaling", now.capacity)
        wanted, why, capacity = _wanted(part, current, now.capacity, load)
        now = Scaled(now.replicas, now.since, now.reason, capacity)
        if wanted is None:
            self._began = None if part.name == JOB else self._began
            return now
        cool_down, lasting = seconds(part.scaling.cool_down), _LASTING_SECONDS if part.name == JOB else 0.0
        if self._began is None:
            self._began = at
            self._enough.clear()
        kept = max(cool_down, lasting)
        self._enough = [(time, count) for time, count in self._enough if at - time <= kept] + [(at, wanted)]
        least = min(count for time, count in self._enough if at - time <= lasting)
        if least > current:
            settled = at - now.since >= _SETTLE_SECONDS and at - self._began >= lasting
            return self._changed(now, least, why, at) if settled else now
        lowest = max(count for time, count in self._enough if at - time < cool_down or time == at)
        settled = at - max(self._began, now.since) >= cool_down
        return self._changed(now, lowest, why, at) if lowest < current and settled else now

    def _changed(self, now: Scaled, replicas: int, why: str, at: float) -> Scaled:
        self._enough.clear()
        self._began = at
        return Scaled(replicas, at, f"from {now.replicas} to {replicas}: {why}", now.capacity)


def _wanted(part: Part, current: int, capacity: float | None, load: Load) -> tuple[int | None, str, float | None]:
    """How many are enough by what is known, why, and what one process can do; None where nothing is known."""
    data = load.data
    if part.name == JOB:
        if load.busy is None:
            return None, "", capacity
        return _by_load(part, current, load.busy * current), f"a task is busy {load.busy:.0%} of the time", capacity
    if part.name == _INGESTION:
        rates = [rate for workload, rate in data.rates.items() if workload.startswith(f"{_INGESTION}-")]
        if not rates:
            return None, "", capacity
        return _by_load(part, current, max(rates)), f"{max(rates):,.0f} frames a second of one exchange", capacity
    lag, rate = data.lag.get(part.name), data.rates.get(part.name)
    if lag is None:
        return None, "", capacity
    if rate is not None and (lag > part.target * current or (capacity and rate / current > capacity)):
        capacity = max(capacity or 0.0, rate / current)
    needed = math.ceil(rate / (capacity * _HEADROOM)) if rate and capacity else 1
    return (
        part.bounded(max(min(needed, current), math.ceil(lag / part.target))),
        f"{lag:,} records to store, {rate or 0:,.0f} stored a second",
        capacity,
    )


def _by_load(part: Part, current: int, load: float) -> int:
    """Enough for a load; as many as there are where that is off by little."""
    if abs(load / (current * part.target) - 1) <= _TOLERANCE:
        return current
    return part.bounded(max(1, math.ceil(load / part.target)))


def parts_of(pipeline: MarketPipeline, symbols: Sequence[str], *, with_job: bool) -> list[Part]:
    """What is scaled of a pipeline that follows these symbols; the job only where it is ours to scale."""
    spec, found = pipeline.spec, list[Part]()
    partitions = spec.broker.partitions
    if spec.ingestion.scaling:
        followed = Counter(split_symbol(symbol)[0] for symbol in symbols)
        most = max(followed.values(), default=1)
        found.append(Part(_INGESTION, spec.ingestion.scaling, spec.ingestion.replicas, most))
    for kind, sink in spec.sinks.enabled():
        if sink.scaling:
            found.append(Part(kind.component, sink.scaling, sink.replicas, partitions))
    if spec.processing.scaling and with_job:
        found.append(Part(JOB, spec.processing.scaling, spec.processing.parallelism, partitions))
    return found


def with_replicas(pipeline: MarketPipeline, replicas: Mapping[str, int]) -> MarketPipeline:
    """The pipeline with these numbers of processes in place of its own, by the name of the part."""
    spec = pipeline.spec
    changed: dict[str, Any] = {}
    if (count := replicas.get(_INGESTION)) is not None:
        changed["ingestion"] = spec.ingestion.model_copy(update={"replicas": count})
    if (count := replicas.get(JOB)) is not None:
        changed["processing"] = spec.processing.model_copy(update={"parallelism": count})
    sinks = {
        kind.name: sink.model_copy(update={"replicas": replicas[kind.component]})
        for kind, sink in spec.sinks.enabled()
        if kind.component in replicas
    }
    if sinks:
        changed["sinks"] = spec.sinks.model_copy(update=sinks)
    return pipeline.model_copy(update={"spec": spec.model_copy(update=changed)})


def scaled_of(entry: Object) -> Scaled:
    """A decision as the status keeps it."""
    since = datetime.fromisoformat(entry["since"]).timestamp() if "since" in entry else 0.0
    return Scaled(entry["replicas"], since, entry.get("reason", ""), entry.get("perProcess"))


def entry_of(name: str, scaled: Scaled) -> Object:
    """A decision for the status."""
    found: Object = {"name": name, "replicas": scaled.replicas}
    if scaled.since:
        found |= {"since": datetime.fromtimestamp(scaled.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if scaled.reason:
        found["reason"] = scaled.reason
    return found if scaled.capacity is None else found | {"perProcess": round(scaled.capacity)}
