"""Looks at a running pipeline from outside, the way a user could: its cache, its topics, its processes' health."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from marketpipeline.errors import MarketPipelineError, RetryableError
from marketpipeline.kafka import consumer_config
from marketpipeline.local.drain import ConsumerGroup, group_of_job, groups_of_sinks
from marketpipeline.local.managed_process import ManagedProcess, State
from marketpipeline.local.offsets import Offsets
from marketpipeline.plan import Plan
from marketpipeline.readers import NewestRecords, Readers
from marketpipeline.records import (
    Alert,
    BookMetrics,
    Candle,
    DeadLetter,
    FeedEvent,
    Heartbeat,
    Quote,
    Record,
    Trade,
    decode,
)
from marketpipeline.settings import KafkaSettings
from marketpipeline.store import newest_kinds
from marketpipeline.topics import TopicKind

__all__ = ["Observation", "Observer", "Rates", "SymbolView", "first_candle"]

TAILED = (TopicKind.ALERTS, TopicKind.EVENTS, TopicKind.DEAD_LETTERS)
MOST_KEPT = 200
MOST_AT_ONCE = 5_000
LAG_EVERY_SECONDS = 2.0
BROKER_SECONDS = 2.0


@dataclass(slots=True)
class SymbolView:
    """The newest of each kind of one symbol; candles by interval."""

    symbol: str
    trade: Trade | None = None
    quote: Quote | None = None
    book: BookMetrics | None = None
    forming: dict[str, Candle] = field(default_factory=dict)
    closed: dict[str, Candle] = field(default_factory=dict)


@dataclass(slots=True)
class Observation:
    """What one look has seen. `news` are the records of the tailed topics since the look before, oldest first."""

    symbols: Sequence[SymbolView] = ()
    news: Sequence[Record] = ()
    lag: Mapping[str, int] = field(default_factory=dict)


class Rates:
    """Counters of health reports as rates: from the oldest report of the last seconds to the newest."""

    def __init__(self, span: float = 5.0) -> None:
        self._span = span
        self._seen: dict[str, list[tuple[float, dict[str, int]]]] = {}

    def note(self, name: str, details: Mapping[str, object], now: float) -> None:
        """Take in what a component says."""
        counters = {k: v for k, v in details.items() if isinstance(v, int) and not isinstance(v, bool)}
        seen = self._seen.setdefault(name, [])
        if seen and seen[-1][1] == counters and now - seen[-1][0] < 1.0:
            return
        seen.append((now, counters))
        while len(seen) > 2 and seen[1][0] < now - self._span:
            seen.pop(0)

    def of(self, name: str, key: str) -> float | None:
        """Change by second of a counter, None before there are two reports with it."""
        seen = [(at, counters[key]) for at, counters in self._seen.get(name, []) if key in counters]
        if len(seen) < 2 or seen[-1][0] <= seen[0][0]:
            return None
        return max(0.0, (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0]))


class Observer:
    """Whatever does not answer is left out of the observation. The broker is asked in a thread, one at a time."""

    def __init__(self, plan: Plan, kafka: KafkaSettings, readers: Readers, windows: Sequence[str]) -> None:
        self._plan = plan
        self._kafka = kafka
        self._readers = readers
        self._kinds = [*newest_kinds(windows), *(f"closed-candle:{window}" for window in windows)]
        self._consumer: Consumer | None = None
        self._offsets: Offsets | None = None
        self._lag: dict[str, int] = {}
        self._lag_at = 0.0
        self.alerts: deque[Alert] = deque(maxlen=MOST_KEPT)
        self.events: deque[FeedEvent] = deque(maxlen=MOST_KEPT)
        self.alert_count = 0
        self.gap_count = 0
        self.dead_letters = 0
        self.late_trades = 0
        self._late_before: int | None = None
        self.newest_dead_letter: DeadLetter | None = None
        self.rates = Rates()

    async def look(self, symbols: Sequence[str], processes: Mapping[str, ManagedProcess]) -> Observation:
        """One look at everything."""
        for managed in processes.values():
            self.rates.note(managed.name, managed.details, time.monotonic())
        seen = Observation(symbols=await self._latest(symbols))
        if "broker" in processes and processes["broker"].state is State.READY:
            news, seen.lag = await asyncio.to_thread(self._ask_broker)
            for record in news:
                self._count(record)
            seen.news = [record for record in news if not _is_over_at_once(record)]
        return seen

    async def open(self) -> None:
        """Begin to connect; what is not there yet is left out."""
        await self._readers.__aenter__()

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.__aexit__()
        if self._consumer is not None:
            await asyncio.to_thread(self._consumer.close)

    def _ask_broker(self) -> tuple[list[Record], Mapping[str, int]]:
        return self._news(), self._lags()

    def _count(self, record: Record) -> None:
        if isinstance(record, Alert):
            self.alert_count += record.status == "open"
            if not _is_over_at_once(record):
                self.alerts.append(record)
        elif isinstance(record, FeedEvent):
            self.events.append(record)
            self.gap_count += record.kind == "gap"
        elif isinstance(record, DeadLetter):
            self.dead_letters += 1
            self.newest_dead_letter = record

    async def _latest(self, symbols: Sequence[str]) -> list[SymbolView]:
        try:
            found = (await self._readers.newest(symbols, self._kinds)).symbols
        except MarketPipelineError:
            found = {}
        return [_symbol_view(symbol, found.get(symbol, {})) for symbol in symbols]

    def _news(self) -> list[Record]:
        """Records of the tailed topics that came since the last call; from the end of each on at the first."""
        try:
            if self._consumer is None:
                self._consumer = self._tail()
            messages = self._consumer.consume(MOST_AT_ONCE, timeout=0.01)
        except (KafkaException, RetryableError):
            return []
        self._count_late(self._consumer)
        news: list[Record] = []
        for message in messages:
            value = message.value()
            if message.error() is None and value is not None:
                try:
                    record = decode(value)
                except msgspec.MsgspecError:
                    continue
                if not isinstance(record, Heartbeat):
                    news.append(record)
        return news

    def _count_late(self, consumer: Consumer) -> None:
        """By where their topic ends: there may be too many to read. What an earlier run left does not count."""
        topic = self._plan.topic(TopicKind.LATE)
        if topic is None:
            return
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        with suppress(KafkaException):
            end = sum(consumer.get_watermark_offsets(place, timeout=BROKER_SECONDS)[1] for place in places)
            self._late_before = end if self._late_before is None else self._late_before
            self.late_trades = end - self._late_before

    def _tail(self) -> Consumer:
        topics = [topic for topic in self._plan.topics if topic.kind in TAILED]
        ends = Offsets(self._kafka).ends(topics)
        config = consumer_config(self._kafka, "local-view", f"{self._plan.pipeline}.local-view")
        consumer = Consumer(config | {"log_level": 0, "allow.auto.create.topics": False})
        consumer.assign(
            [
                TopicPartition(topic.name, number, ends.get((topic.name, number), 0))
                for topic in topics
                for number in range(topic.partitions)
            ]
        )
        return consumer

    def _lags(self) -> Mapping[str, int]:
        """Records that each group is behind, by workload; asked for every few seconds only."""
        if time.monotonic() - self._lag_at < LAG_EVERY_SECONDS:
            return self._lag
        self._lag_at = time.monotonic()
        self._offsets = self._offsets or Offsets(self._kafka)
        job = group_of_job(self._plan)
        groups = {"stream-job": job} if job else {}
        groups |= {group.name: group for group in groups_of_sinks(self._plan)}
        for name, group in groups.items():
            behind = self._behind(group)
            if behind is not None:
                self._lag[name] = behind
        return self._lag

    def _behind(self, group: ConsumerGroup) -> int | None:
        assert self._offsets is not None
        try:
            return self._offsets.behind(group.id, self._offsets.ends(group.topics))
        except RetryableError:
            return None


def _is_over_at_once(record: Record) -> bool:
    """The closing of an alert that lasts no time says nothing that its opening has not said."""
    return isinstance(record, Alert) and record.status == "closed" and record.started_at == record.ended_at


def first_candle(symbols: Sequence[SymbolView], began: int) -> Candle | None:
    """A candle that was made since `began` (microseconds): what an earlier run left does not count."""
    candles = (candle for symbol in symbols for candle in symbol.forming.values())
    return next((candle for candle in candles if candle.process_time >= began), None)


def _symbol_view(symbol: str, newest: NewestRecords) -> SymbolView:
    view = SymbolView(symbol)
    for kind, record in newest.items():
        match record:
            case Trade():
                view.trade = record
            case Quote():
                view.quote = record
            case BookMetrics():
                view.book = record
            case Candle() if kind.startswith("closed-"):
                view.closed[record.interval] = record
            case Candle():
                view.forming[record.interval] = record
    return view
