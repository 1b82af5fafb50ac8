"""The layout of the cache: the newest record of each kind per symbol, and the recent alerts.

    <prefix>:latest:<kind>:<symbol>   hash {order, record}, expires when it is not renewed
    <prefix>:{alerts}:records         hash id → record
    <prefix>:{alerts}:order           hash id → order
    <prefix>:{alerts}:index           sorted set of ids by started_at

Kinds are named in `record_kinds`: `trade`, `quote`, `book` (metrics), `ticker`, `candle:<interval>` (the newest,
forming or closed) and `closed-candle:<interval>`; `heartbeat` is the newest one of any feed of the symbol. `record` is
the record's JSON as on its topic. `order` is a text that sorts as the records follow one another; a write whose order
is below the stored one is refused, so that a replay or a second writer never puts older data over newer. The braces
keep the keys of the alerts on one node of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType

from marketpipeline.record_kinds import KIND_OF, KINDS
from marketpipeline.records import Alert, Heartbeat, Record
from marketpipeline.topics import TopicKind

__all__ = ["ENTRIES", "HEARTBEAT", "REDIS_TOPICS", "LatestKeys", "alert_order", "latest_entries", "newest_kinds"]

REDIS_TOPICS = frozenset(kind.topic for kind in KINDS if kind.in_cache) | {TopicKind.EVENTS}
"""The topics that the sink into Redis reads; of the events the heartbeats beside them."""

HEARTBEAT = "heartbeat"
"""The entry of the heartbeats, which have no topic and so no kind of their own."""

ENTRIES = MappingProxyType({entry.name: (kind, entry) for kind in KINDS for entry in kind.newest})
"""Every entry by its name, with the kind of record that it is of."""


def newest_kinds(windows: Iterable[str]) -> list[str]:
    """Every kind that tells of now, for a pipeline with candles of these intervals."""
    return [
        name
        for entry in (entry for _, entry in ENTRIES.values() if not entry.where)
        for name in ([entry.name] if entry.by is None else [f"{entry.name}:{window}" for window in windows])
    ]


@dataclass(frozen=True, slots=True)
class LatestKeys:
    """Names of the keys of one pipeline, whose first part is `prefix`."""

    prefix: str

    def latest(self, kind: str, symbol: str) -> str:
        """The newest record of a kind."""
        return f"{self.prefix}:latest:{kind}:{symbol}"

    def keeps(self, kind: str) -> bool:
        """Whether there can be a newest record of a kind."""
        base, _, part = kind.partition(":")
        return kind == HEARTBEAT or (base in ENTRIES and bool(part) == (ENTRIES[base][1].by is not None))

    def parse(self, key: str) -> tuple[str, str]:
        """Kind and symbol of a key that `latest` made."""
        kind, _, symbol = key.removeprefix(self.latest("", "")[:-1]).partition(":")
        if kind in ENTRIES and ENTRIES[kind][1].by is not None:
            part, _, symbol = symbol.partition(":")
            kind = f"{kind}:{part}"
        return kind, symbol

    @property
    def alerts(self) -> tuple[str, str, str]:
        """Records, order and index of the recent alerts."""
        base = f"{self.prefix}:{{alerts}}"
        return f"{base}:records", f"{base}:order", f"{base}:index"


def _order(*parts: int) -> str:
    return ":".join(f"{part:020d}" for part in parts)


def latest_entries(record: Record) -> Iterator[tuple[str, str]]:
    """The kinds that a record is the newest of, perhaps, each with its order; none for a record not kept here."""
    if isinstance(record, Heartbeat):
        yield HEARTBEAT, _order(record.receive_time)
    kind = KIND_OF.get(type(record))
    for entry in kind.newest if kind is not None else ():
        if all(getattr(record, field) == value for field, value in entry.where):
            name = entry.name if entry.by is None else f"{entry.name}:{getattr(record, entry.by)}"
            yield name, _order(*entry.order(record))


def alert_order(alert: Alert) -> str:
    """The order of the records of one alert: it opens, may escalate, closes."""
    rank = KIND_OF[Alert].rank
    return _order(*(rank.of(alert) if rank else ()), alert.event_time)
