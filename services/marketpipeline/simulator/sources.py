"""Where frames come from: one small interface for captures and for the simulated market."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Protocol

from marketpipeline.errors import InvalidCapture, Problem
from marketpipeline.simulator.captures import Capture
from marketpipeline.simulator.frames import Frame

__all__ = ["Replay", "Source"]


class Source(Protocol):
    """Frames in the order of their `due`, which is in nanoseconds on the source's own clock."""

    @property
    def streams(self) -> frozenset[str]:
        """What it is known to hold; a replay waits for readers of these. Empty where any can be asked for."""
        ...

    @property
    def makes(self) -> frozenset[str]:
        """What it tells by itself; other streams may follow from these."""
        ...

    @property
    def symbols(self) -> Sequence[str]:
        """Every symbol that there is."""
        ...

    @property
    def volumes(self) -> Mapping[str, float]:
        """What was traded of each on the day before, in quote units; empty where that is not known."""
        ...

    @property
    def snapshots(self) -> Sequence[Frame]:
        """Books to start from."""
        ...

    @property
    def answers(self) -> Mapping[str, Sequence[int]]:
        """By symbol when REST told its book, in order."""
        ...

    @property
    def past(self) -> Sequence[Frame]:
        """Trades that only REST tells, each frame a page of them."""
        ...

    @property
    def first_event_time(self) -> int:
        """The earliest event time of all frames, in microseconds; 0 where none has one."""
        ...

    @property
    def last_event_time(self) -> int:
        """The latest event time of all frames, in microseconds; of those so far where there is no end."""
        ...

    def next_due(self) -> int | None:
        """When the next frame is due; None at the end."""
        ...

    def next_event_time(self) -> int:
        """The event time of the next frame, 0 where it is unknown."""
        ...

    def take(self, until: int | None, limit: int) -> list[Frame]:
        """The next frames, at most `limit`, due at or before `until`; regardless of time when that is None."""
        ...


class Replay:
    """Captures merged in the order of their receive times."""

    def __init__(self, captures: Sequence[Capture]) -> None:
        _refuse_overlaps(captures)
        self.captures = captures
        self.streams = frozenset(stream for capture in captures for stream in capture.streams)
        self.makes = self.streams
        self.symbols = sorted({symbol for capture in captures for symbol in capture.symbols})
        times = [capture.first_event_time for capture in captures if capture.first_event_time]
        self.first_event_time = min(times, default=0)
        self.last_event_time = max(capture.last_event_time for capture in captures)
        self.volumes: Mapping[str, float] = {}
        self.snapshots = _first_snapshots(captures)
        self.answers = {
            symbol: sorted(due for capture in captures for due in capture.answers.get(symbol, ()))
            for symbol in self.symbols
        }
        self.past = [frame for capture in captures for frame in capture.past]
        self._frames: Iterator[Frame] = heapq.merge(*(c.frames() for c in captures), key=attrgetter("due"))
        self._next: Frame | None = next(self._frames, None)

    def next_due(self) -> int | None:
        """See `Source.next_due`."""
        return None if self._next is None else self._next.due

    def next_event_time(self) -> int:
        """See `Source.next_event_time`."""
        return 0 if self._next is None else self._next.event_time

    def take(self, until: int | None, limit: int) -> list[Frame]:
        """See `Source.take`."""
        taken: list[Frame] = []
        frame = self._next
        frames = self._frames
        end = 1 << 62 if until is None else until
        while frame is not None and len(taken) < limit and frame.due <= end:
            taken.append(frame)
            frame = next(frames, None)
        self._next = frame
        return taken


def _first_snapshots(captures: Sequence[Capture]) -> list[Frame]:
    found: dict[str, Frame] = {}
    for capture in captures:
        for symbol, frame in capture.snapshots.items():
            if frame.stream:
                continue  # it is pushed: before that nobody knows the book
            if symbol not in found or frame.due < found[symbol].due:
                found[symbol] = frame
    return list(found.values())


def _refuse_overlaps(captures: Sequence[Capture]) -> None:
    """A stream that two captures hold at the same time would be sent twice, and be called the exchange's fault."""
    spans: dict[str, list[tuple[int, int, Capture]]] = {}
    for capture in captures:
        for stream, (first, last) in capture.spans.items():
            spans.setdefault(stream, []).append((first, last, capture))
    for stream, found in spans.items():
        ordered = sorted(found, key=lambda span: span[:2])
        for (_, last, before), (first, _, after) in pairwise(ordered):
            if first <= last:
                expected = f"holds it for a time that {before.path} holds too; give each recording once"
                raise InvalidCapture(str(after.path), [Problem("stream", stream, expected)])
