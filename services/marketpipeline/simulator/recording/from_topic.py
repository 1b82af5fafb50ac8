"""A capture made from the topic `raw`: a span of what ingestion kept, merged into the order in which it came.

A partition is in order but for what several processes write at once, and partitions are read at different speeds. So
frames wait in one heap until every partition was read far enough past them. What comes by several connections of a
stream, as from a pair of processes, is written once: a replay has one exchange.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from marketpipeline.errors import InvalidInput, PermanentError, Problem, RetryableError
from marketpipeline.kafka import consumer_config
from marketpipeline.records import RawFrame, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["Part", "TopicSpan", "record_topic"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

DISORDER = 5_000_000
"""µs by which a frame in a partition may be older than one before it."""
DOUBLE_WITHIN = 10_000_000
"""µs within which the same bytes by another connection are the same message."""
MOST, ENOUGH = 50_000, 25_000
"""Frames of a partition that wait when reading it stops, and when it goes on."""
DELIVERED_WITHIN = 60_000_000
"""µs after it came that a frame may have been given to the broker's client, whose time the broker keeps."""
CALL_SECONDS = 10.0
LED_SECONDS = 30.0
SILENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class TopicSpan:
    """What to read: from `since` on and before `until` (µs; None for the ends of the topic), of some exchanges, and of
    some symbols where these are given."""

    exchanges: Collection[str]
    symbols: Collection[str] | None = None
    since: int | None = None
    until: int | None = None

    def has(self, frame: RawFrame) -> bool:
        """Whether a frame is in it; what belongs to no symbol always is."""
        return (
            frame.exchange in self.exchanges
            and (self.symbols is None or not frame.symbol or frame.symbol in self.symbols)
            and (self.since is None or frame.receive_time >= self.since)
            and (self.until is None or frame.receive_time < self.until)
        )


@dataclass(frozen=True, slots=True)
class Part:
    """The capture of one exchange, as it was written. `doubles` came by a second connection and are not in it."""

    path: Path
    lines: int
    size: int
    doubles: int


def record_topic(
    kafka: KafkaSettings, prefix: str, span: TopicSpan, out: Path, progress: Callable[[int], None]
) -> list[Part]:
    """Write the capture of each exchange of the span: to `out`, or beside each other with the exchange's name in it.

    `progress` is told the number of frames now and then. Raises InvalidInput where there is no such topic or the file
    exists, RetryableError when the broker does not answer, PermanentError when the span has nothing of an exchange.
    """
    several = len(span.exchanges) > 1
    paths = {name: out.with_name(f"{out.stem}-{name}{out.suffix}") if several else out for name in span.exchanges}
    doubles = {name: _Doubles() for name in paths}
    with ExitStack() as opened:
        writers: dict[str, CaptureWriter] = {}
        for name, path in sorted(paths.items()):
            writers[name] = CaptureWriter(path)
            opened.callback(writers[name].close)
        for count, frame in enumerate(_frames(kafka, prefix, span), 1):
            if not doubles[frame.exchange].has(frame):
                _write(writers[frame.exchange], frame)
            if count % 10_000 == 0:
                progress(count)
    if empty := sorted(name for name, writer in writers.items() if not writer.lines):
        raise PermanentError(f"the topic holds nothing of {', '.join(empty)} in this span")
    return [Part(writers[n].path, writers[n].lines, writers[n].size, doubles[n].dropped) for n in sorted(writers)]


def _write(writer: CaptureWriter, frame: RawFrame) -> None:
    if frame.request:
        writer.add_answer(frame.receive_time * 1000, frame.request, frame.data)
    else:
        writer.add_frame(frame.receive_time * 1000, frame.data)


class _Doubles:
    """Which messages of a stream came before, by another connection. `dropped` counts them."""

    def __init__(self) -> None:
        self.dropped = 0
        self._known: dict[tuple[str, str], str] = {}
        self._order: deque[tuple[int, tuple[str, str]]] = deque()

    def has(self, frame: RawFrame) -> bool:
        """Whether this one did."""
        if not frame.stream:
            return False
        while self._order and self._order[0][0] < frame.receive_time - DOUBLE_WITHIN:
            self._known.pop(self._order.popleft()[1], None)
        place = (frame.stream, frame.payload)
        first = self._known.setdefault(place, frame.connection)
        if first != frame.connection:
            self.dropped += 1
            return True
        self._order.append((frame.receive_time, place))
        return False


def _frames(kafka: KafkaSettings, prefix: str, span: TopicSpan) -> Iterator[RawFrame]:
    """The frames of the span in the order of their receive times."""
    name = f"{prefix}-record"
    consumer: Any = Consumer(consumer_config(kafka, name, name) | {"logger": logging.getLogger("librdkafka")})
    try:
        topic = topic_name(prefix, TopicKind.RAW)
        for frame in _Reading(consumer, topic, _patiently(lambda: _offsets(consumer, topic, span))).frames():
            if span.has(frame):
                yield frame
    except KafkaException as error:
        raise RetryableError(f"cannot read the topic: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _patiently(ask: Callable[[], T]) -> T:
    """Ask until the broker answers: one that has just started leads no partition for a moment."""
    deadline = time.monotonic() + LED_SECONDS
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _offsets(consumer: Any, topic: str, span: TopicSpan) -> dict[int, tuple[int, int]]:
    """By partition the offsets to begin with and to end before."""
    known = consumer.list_topics(topic, timeout=CALL_SECONDS).topics[topic]
    if known.error is not None or not known.partitions:
        expected = "does not exist; a pipeline has it with `raw` among its feeds"
        raise InvalidInput("record", [Problem("--from-topic", topic, expected)])
    parts = [TopicPartition(topic, number) for number in known.partitions]
    bounds = {part.partition: consumer.get_watermark_offsets(part, timeout=CALL_SECONDS) for part in parts}

    def at(time: int | None, otherwise: int) -> dict[int, int]:
        if time is None:
            return {number: ends[otherwise] for number, ends in bounds.items()}
        sought = [TopicPartition(topic, number, time // 1000) for number in bounds]
        found = consumer.offsets_for_times(sought, timeout=CALL_SECONDS)
        return {f.partition: bounds[f.partition][1] if f.offset in (OFFSET_END, -1) else f.offset for f in found}

    first = at(span.since, 0)
    last = at(None if span.until is None else span.until + DELIVERED_WITHIN, 1)
    return {number: (first[number], last[number]) for number in bounds if first[number] < last[number]}


class _Reading:
    """Partitions of the topic side by side, each from an offset to another; what is read waits until it is its turn."""

    def __init__(self, consumer: Any, topic: str, offsets: Mapping[int, tuple[int, int]]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._ends = {number: end for number, (_, end) in offsets.items()}
        self._latest = dict.fromkeys(offsets, 0)
        self._waiting: Counter[int] = Counter()
        self._paused: set[int] = set()
        self._heap: list[tuple[int, str, int, int, int, RawFrame]] = []
        consumer.assign([TopicPartition(topic, number, start) for number, (start, _) in offsets.items()])

    def frames(self) -> Iterator[RawFrame]:
        """All of them. Raises RetryableError when nothing comes for too long."""
        heard = time.monotonic()
        while self._latest:
            messages = self._consumer.consume(1_000, timeout=0.2)
            for message in messages:
                self._take(message)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() > heard + SILENT_SECONDS:
                raise RetryableError(f"{self._topic} was not read to the end: nothing came for {SILENT_SECONDS:g} s")
            for position in self._consumer.position([TopicPartition(self._topic, number) for number in self._latest]):
                if position.offset >= self._ends[position.partition]:
                    del self._latest[position.partition]
            yield from self._ripe()
        while self._heap:
            yield self._pop()

    def _take(self, message: Any) -> None:
        if message.error() is not None:
            raise RetryableError(f"cannot read {self._topic}: {message.error().str()}")
        number = message.partition()
        if message.offset() >= self._ends[number]:
            return
        try:
            frame = decode(message.value() or b"")
        except msgspec.MsgspecError as error:
            _log.warning("%s[%d] %d is no frame: %s", self._topic, number, message.offset(), error)
            return
        if isinstance(frame, RawFrame):
            self._latest[number] = max(self._latest.get(number, 0), frame.receive_time)
            self._waiting[number] += 1
            place = (frame.receive_time, frame.connection, frame.sequence, message.offset(), number)
            heapq.heappush(self._heap, (*place, frame))

    def _ripe(self) -> Iterator[RawFrame]:
        """What nothing older can come after; and the oldest, while no partition may be read because of what waits."""
        surely = min(self._latest.values(), default=0) - DISORDER
        while self._heap and (self._heap[0][0] < surely or self._is_full()):
            yield self._pop()
        for number in self._latest:
            waiting = self._waiting[number]
            if waiting >= MOST and number not in self._paused:
                self._paused.add(number)
                self._consumer.pause([TopicPartition(self._topic, number)])
            elif waiting <= ENOUGH and number in self._paused:
                self._paused.discard(number)
                self._consumer.resume([TopicPartition(self._topic, number)])

    def _is_full(self) -> bool:
        """Whether each partition is paused, or is about to be: none is read on unless something is written."""
        least = {number: ENOUGH + 1 if number in self._paused else MOST for number in self._latest}
        return bool(least) and all(self._waiting[number] >= least[number] for number in least)

    def _pop(self) -> RawFrame:
        *_, number, frame = heapq.heappop(self._heap)
        self._waiting[number] -= 1
        return frame
