"""What the processes' counters tell of the data: whether it flows, how far stores are behind, gaps of the last hour.

Only numbers of `/health` are compared, by the operator's clock: a process whose frames grew has read something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.plan import Component

from marketpipeline_operator.names import COMPONENT, PROCESS, Object

__all__ = ["DataState", "Reading", "data_of", "read"]

_HOUR = 3600.0
_SAMPLE_SECONDS = 60.0
"""Time between two samples of the gaps that are kept."""


@dataclass(frozen=True)
class Reading:
    """The counters of one process, as last read; `moved` is when its frames were last seen to grow.

    `gaps` holds times and counts of the last hour, the oldest first.
    """

    frames: int | None = None
    moved: float | None = None
    lag: int | None = None
    gaps: tuple[tuple[float, int], ...] = ()

    @property
    def gaps_in_the_last_hour(self) -> int:
        """By the oldest sample that is kept."""
        return max(0, self.gaps[-1][1] - self.gaps[0][1]) if self.gaps else 0


@dataclass(frozen=True)
class DataState:
    """Of a pipeline: when the last record was read (seconds since the epoch), and by whom none was for a while.

    `lag` is by component the records that it has to store still. None is what nothing is known of yet.
    """

    newest: float | None = None
    silent: tuple[str, ...] = ()
    gaps: int | None = None
    lag: Mapping[str, int] = field(default_factory=dict)

    @property
    def flows(self) -> bool | None:
        return None if self.newest is None else not self.silent


def read(answer: Any, before: Reading | None, now: float) -> Reading:
    """The next reading from an answer of `/health`; of the first nothing is known but that it is one."""
    before = before or Reading()
    if not isinstance(answer, dict):
        return before
    frames, lag, gaps = (_count(answer.get(name)) for name in ("frames", "lag", "gaps"))
    moved = now if frames is not None and before.frames is not None and frames > before.frames else before.moved
    samples = before.gaps
    if gaps is not None and (not samples or now - samples[-1][0] >= _SAMPLE_SECONDS or gaps != samples[-1][1]):
        samples = (*(each for each in samples if now - each[0] < _HOUR), (now, gaps))
    return Reading(frames, moved, lag, samples)


def data_of(pods: Iterable[Object], readings: Mapping[str, Reading], now: float, patience: float) -> DataState:
    """The whole of a pipeline's Pods; silent is who has read nothing for longer than `patience`, in seconds."""
    newest: float | None = None
    silent, lag, gaps = [], dict[str, int](), None
    for pod in pods:
        labels, reading = pod["metadata"].get("labels", {}), readings.get(pod["metadata"].get("uid", ""))
        if reading is None:
            continue
        component = labels.get(COMPONENT, "")
        if reading.lag is not None:
            lag[component] = lag.get(component, 0) + reading.lag
        if component != Component.INGESTION.value:
            continue
        gaps = (gaps or 0) + reading.gaps_in_the_last_hour
        if reading.moved is not None:
            newest = max(newest or 0.0, reading.moved)
            if now - reading.moved > patience:
                silent.append(labels.get(PROCESS, ""))
    return DataState(newest, tuple(sorted(silent)), gaps, lag)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
