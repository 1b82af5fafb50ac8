"""What the processes' counters tell of the data: whether it flows, how far stores are behind, gaps of the last hour.

Only numbers of `/health` are compared, by the operator's clock: a process whose frames grew has read something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.plan import Component

from marketpipeline_operator.names import COMPONENT, PROCESS, WORKLOAD, Object

__all__ = ["DataState", "Reading", "data_of", "read"]

_HOUR = 3600.0
_SAMPLE_SECONDS = 60.0
"""Time between two samples of the gaps that are kept."""


@dataclass(frozen=True)
class Reading:
    """The counters of one process, as last read; `moved` is when its frames were last seen to grow.

    `gaps` holds times and counts of the last hour, the oldest first. `rate` is how many frames it read, or rows it
    stored, a second between the last two answers; None of a process that has just started.
    """

    frames: int | None = None
    rows: int | None = None
    at: float | None = None
    rate: float | None = None
    moved: float | None = None
    lag: int | None = None
    gaps: tuple[tuple[float, int], ...] = ()

    @property
    def silence(self) -> float:
        """Seconds for which it was seen to read nothing: who was not asked, or did not answer, may have read."""
        return 0.0 if self.at is None or self.moved is None else self.at - self.moved

    @property
    def gaps_in_the_last_hour(self) -> int:
        """By the oldest sample that is kept."""
        return max(0, self.gaps[-1][1] - self.gaps[0][1]) if self.gaps else 0


@dataclass(frozen=True)
class DataState:
    """Of a pipeline: when the last record was read (seconds since the epoch), and by whom none was for a while.

    `lag` is by component the records that it has to store still, `rates` by workload what its processes do a second, of
    those of which all are known. None is what nothing is known of yet.
    """

    newest: float | None = None
    silent: tuple[str, ...] = ()
    gaps: int | None = None
    lag: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)

    @property
    def flows(self) -> bool | None:
        return None if self.newest is None else not self.silent


def read(answer: Any, before: Reading | None, now: float) -> Reading:
    """The next reading from an answer of `/health`; of the first nothing is known but that it is one."""
    before = before or Reading()
    if not isinstance(answer, dict):
        return before
    frames, rows, lag, gaps = (_count(answer.get(name)) for name in ("frames", "rows", "lag", "gaps"))
    moved = now if frames is not None and before.frames is not None and frames > before.frames else before.moved
    samples = before.gaps
    if gaps is not None and (not samples or now - samples[-1][0] >= _SAMPLE_SECONDS or gaps != samples[-1][1]):
        samples = (*(each for each in samples if now - each[0] < _HOUR), (now, gaps))
    return Reading(frames, rows, now, _rate(frames, rows, before, now), moved, lag, samples)


def _rate(frames: int | None, rows: int | None, before: Reading, now: float) -> float | None:
    count, known = (frames, before.frames) if frames is not None else (rows, before.rows)
    if count is None or known is None or before.at is None or count < known or now <= before.at:
        return None
    return (count - known) / (now - before.at)


def data_of(pods: Iterable[Object], readings: Mapping[str, Reading], patience: float) -> DataState:
    """The whole of a pipeline's Pods; silent is who has read nothing for longer than `patience`, in seconds."""
    newest: float | None = None
    silent, lag, gaps = [], dict[str, int](), None
    rates: dict[str, dict[str, list[float | None]]] = {}
    for pod in pods:
        labels, reading = pod["metadata"].get("labels", {}), readings.get(pod["metadata"].get("uid", ""))
        if reading is None:
            continue
        component, workload = labels.get(COMPONENT, ""), labels.get(WORKLOAD, "")
        # Pods of a process of ingestion read the same symbols, in a handover or as a pair; those of a sink share them.
        share = labels.get(PROCESS, "") if component == Component.INGESTION.value else pod["metadata"]["uid"]
        rates.setdefault(workload, {}).setdefault(share, []).append(reading.rate)
        if reading.lag is not None:
            lag[component] = lag.get(component, 0) + reading.lag
        if component != Component.INGESTION.value:
            continue
        gaps = (gaps or 0) + reading.gaps_in_the_last_hour
        if reading.moved is not None:
            newest = max(newest or 0.0, reading.moved)
            if reading.silence > patience:
                silent.append(labels.get(PROCESS, ""))
    return DataState(newest, tuple(sorted(silent)), gaps, lag, dict(_totals(rates)))


def _totals(rates: Mapping[str, Mapping[str, list[float | None]]]) -> Iterator[tuple[str, float]]:
    """By workload, of those whose processes' rates are all known."""
    for workload, shares in rates.items():
        known = [[rate for rate in each if rate is not None] for each in shares.values()]
        if all(known):
            yield workload, sum(max(each) for each in known)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
