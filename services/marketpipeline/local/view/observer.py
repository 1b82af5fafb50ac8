"""Looks at a running pipeline from outside, the way a user could: its cache, its topics, its processes' health."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import redis
from confluent_kafka import Consumer, KafkaException, TopicPartition

from marketpipeline.errors import RetryableError
from marketpipeline.kafka import consumer_config
from marketpipeline.local.drain import Reader, reader_of_job, readers_of_sinks
from marketpipeline.local.managed_process import ManagedProcess, State
from marketpipeline.local.offsets import Offsets
from marketpipeline.plan import Plan
from marketpipeline.records import Alert, BookMetrics, Candle, DeadLetter, FeedEvent, Quote, Record, Trade, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.sink_kinds.redis import RedisStoreSettings
from marketpipeline.store import LatestKeys
from marketpipeline.topics import TopicKind

__all__ = ["Observation", "Observer", "Rates", "SymbolView", "first_candle"]

TAILED = (TopicKind.ALERTS, TopicKind.EVENTS, TopicKind.DEAD_LETTERS)
MOST_KEPT = 200
MOST_AT_ONCE = 5_000
LAG_EVERY_SECONDS = 2.0


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


def _client(store: RedisStoreSettings) -> redis.Redis:
    password = store.password.get_secret_value() if store.password else None
    return redis.Redis.from_url(store.url, password=password, socket_timeout=2)


class Observer:
    """Blocking; one thread at a time. Whatever does not answer is left out of the observation."""

    def __init__(
        self, plan: Plan, kafka: KafkaSettings, store: RedisStoreSettings | None, windows: Sequence[str]
    ) -> None:
        self._plan = plan
        self._kafka = kafka
        self._keys = LatestKeys(store.prefix if store else "")
        self._redis = _client(store) if store else None
        self._windows = windows
        self._consumer: Consumer | None = None
        self._offsets: Offsets | None = None
        self._lag: dict[str, int] = {}
        self._lag_at = 0.0
        self.alerts: deque[Alert] = deque(maxlen=MOST_KEPT)
        self.events: deque[FeedEvent] = deque(maxlen=MOST_KEPT)
        self.alert_count = 0
        self.gap_count = 0
        self.dead_letters = 0
        self.newest_dead_letter: DeadLetter | None = None
        self.rates = Rates()

    def look(self, symbols: Sequence[str], processes: Mapping[str, ManagedProcess]) -> Observation:
        """One look at everything."""
        for managed in processes.values():
            self.rates.note(managed.name, managed.details, time.monotonic())
        seen = Observation(symbols=self._latest(symbols))
        if "broker" in processes and processes["broker"].state is State.READY:
            news = self._news()
            for record in news:
                self._count(record)
            seen.news = [record for record in news if not _is_over_at_once(record)]
            seen.lag = self._lags()
        return seen

    def close(self) -> None:
        """Let go of every connection."""
        if self._redis is not None:
            self._redis.close()
        if self._consumer is not None:
            self._consumer.close()

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

    def _latest(self, symbols: Sequence[str]) -> list[SymbolView]:
        kinds = ["trade", "quote", "book"]
        kinds += [f"{kind}:{window}" for window in self._windows for kind in ("candle", "closed-candle")]
        if self._redis is None:
            return [SymbolView(symbol) for symbol in symbols]
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for symbol in symbols:
                    for kind in kinds:
                        pipeline.hget(self._keys.latest(kind, symbol), "record")
                found = iter(pipeline.execute())
        except redis.RedisError:
            return [SymbolView(symbol) for symbol in symbols]
        return [_symbol_view(symbol, [(kind, next(found)) for kind in kinds]) for symbol in symbols]

    def _news(self) -> list[Record]:
        """Records of the tailed topics that came since the last call; from the end of each on at the first."""
        try:
            if self._consumer is None:
                self._consumer = self._tail()
            messages = self._consumer.consume(MOST_AT_ONCE, timeout=0.01)
        except (KafkaException, RetryableError):
            return []
        news: list[Record] = []
        for message in messages:
            value = message.value()
            if message.error() is None and value is not None:
                try:
                    news.append(decode(value))
                except msgspec.MsgspecError:
                    continue
        return news

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
        """Records that each reader is behind, by workload; asked for every few seconds only."""
        if time.monotonic() - self._lag_at < LAG_EVERY_SECONDS:
            return self._lag
        self._lag_at = time.monotonic()
        self._offsets = self._offsets or Offsets(self._kafka)
        job = reader_of_job(self._plan)
        readers = {"stream-job": job} if job else {}
        readers |= {reader.name: reader for reader in readers_of_sinks(self._plan)}
        for name, reader in readers.items():
            behind = self._behind(reader)
            if behind is not None:
                self._lag[name] = behind
        return self._lag

    def _behind(self, reader: Reader) -> int | None:
        assert self._offsets is not None
        try:
            return self._offsets.behind(reader.group, self._offsets.ends(reader.topics))
        except RetryableError:
            return None


def _is_over_at_once(record: Record) -> bool:
    """The closing of an alert that lasts no time says nothing that its opening has not said."""
    return isinstance(record, Alert) and record.status == "closed" and record.started_at == record.ended_at


def first_candle(symbols: Sequence[SymbolView], began: int) -> Candle | None:
    """A candle that was made since `began` (microseconds): what an earlier run left does not count."""
    candles = (candle for symbol in symbols for candle in symbol.forming.values())
    return next((candle for candle in candles if candle.process_time >= began), None)


def _symbol_view(symbol: str, found: Sequence[tuple[str, bytes | None]]) -> SymbolView:
    view = SymbolView(symbol)
    for kind, value in found:
        if value is None:
            continue
        try:
            record = decode(value)
        except msgspec.MsgspecError:
            continue
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
