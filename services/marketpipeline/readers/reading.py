"""Asking the stores: the one interface that each of them answers by, and which of them is asked first.

The API, `query`, the staleness check and the terminal view all read this way. A store's reader is one class with
the methods of `Reader`; it is asynchronous, and `blocking` is the shell for callers that are not.

What is newest is asked of the quickest store first, and of the next what that one lacks (a value that expired, a cache
that is new) or all of it while the first is away. The history is asked of one store only, the first that keeps the
table: another one may keep less of it, and an answer that lacks rows must not look like a whole one. With an archive
that one store is two, of which each day is asked of one: see `tiers`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol, Self, runtime_checkable

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.readers.outliers import without_outliers
from marketpipeline.readers.questions import HistoryQuery
from marketpipeline.records import Record
from marketpipeline.sink_kinds import ReadRank
from marketpipeline.store.latest import ENTRIES
from marketpipeline.store.rows import JsonRow
from marketpipeline.store.tables import TABLES

__all__ = [
    "Answer",
    "Count",
    "Counting",
    "KeptBack",
    "NewestRecords",
    "NotKept",
    "Reader",
    "Readers",
    "StoreHealth",
    "TierState",
]

_log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 10.0
"""Until a store is asked again for what it lacks too, as a feed that is off, or after it was away."""

NewestRecords = dict[str, Record]
"""Of one symbol the newest record by kind; a kind without a record is absent. Kinds are the cache's: see `latest`."""


class NotKept(PermanentError):
    """This pipeline has no store that keeps what is asked for."""


class Reader(Protocol):
    """One store. Every method but the first three raises RetryableError while the store is away."""

    @property
    def name(self) -> str:
        """The store's name in answers and logs."""

    def keeps_newest(self, kind: str) -> bool:
        """Whether it can have newest records of this kind."""

    def keeps_history(self, table: str) -> bool:
        """Whether it can have rows of this table."""

    async def open(self) -> None:
        """Begin to connect; the store may come later."""

    async def close(self) -> None:
        """Close its connections."""

    async def check(self) -> int | None:
        """Whether it answers; the version of its schema, if it has one."""

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> dict[str, NewestRecords]:
        """The newest record of each kind that it keeps, for each of the symbols."""

    async def seen(self, symbols: Sequence[str]) -> dict[str, int]:
        """When the newest record or heartbeat of each symbol was received, in microseconds, to the minute.

        A symbol that nothing was ever received of is absent.
        """

    def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """The rows, in batches that are never empty."""

    async def holdings(self) -> dict[str, set[str]]:
        """The symbols that it has anything of, each with the kinds of `newest` that it has, as far as they can be told
        without reading everything."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a store has of a symbol, in one UTC day where days were asked for.

    `first` and `last` are times of rows as answers write them. `sums` are by column.
    """

    symbol: str
    day: date | None
    store: str
    rows: int
    first: str
    last: str
    sums: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Counting(Protocol):
    """A reader whose store counts by itself, so that a long span costs its time and not the reader's memory."""

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        """Of each symbol, or of each of its UTC days, the rows of a query and the sums of some columns.

        In order of days and symbols; what has no rows is absent. A limit and an order of the query mean nothing here.
        """


@dataclass(frozen=True, slots=True)
class KeptBack:
    """A UTC day of a table that should have gone to the archive and did not, why, and since when."""

    table: str
    day: date
    reason: str
    since: str


@runtime_checkable
class Archived(Protocol):
    """A reader whose days go to an archive."""

    async def archived_days(self, table: str) -> Collection[date]:
        """The UTC days of a table that the archive answers for."""

    async def kept_back(self) -> Sequence[KeptBack]:
        """The days that could not go yet."""


@dataclass(frozen=True, slots=True)
class TierState:
    """A store as a tier: `hot` has what is newest, `warm` the history, `cold` what the history gave up.

    `archived_days` is by table how many days of a warm store the cold one answers for, `kept_back` the days that it
    should and does not.
    """

    tier: str
    store: str
    error: str | None
    archived_days: Mapping[str, int] = field(default_factory=dict)
    kept_back: Sequence[KeptBack] = ()


_TIERS = {ReadRank.NEWEST: "hot", ReadRank.HISTORY: "warm", ReadRank.ARCHIVE: "cold"}


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How a store is: `error` is None where it answers, which took `latency_ms`."""

    error: str | None = None
    latency_ms: float | None = None
    schema_version: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The newest records by symbol, and the names of the stores that they come from."""

    sources: tuple[str, ...]
    symbols: dict[str, NewestRecords]


@dataclass(slots=True)
class _Lacks:
    """What a store was found not to have, so that it is not asked each time: by symbol, until when and which kinds."""

    away_until: float = 0.0
    kinds: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)

    def of(self, symbol: str, now: float) -> frozenset[str]:
        until, kinds = self.kinds.get(symbol, (0.0, frozenset[str]()))
        return kinds if now < until else frozenset()


class Readers:
    """The readers of one pipeline's stores, in the order in which each sort of question is put to them."""

    def __init__(
        self, newest: Sequence[Reader], history: Sequence[Reader], ranks: Mapping[str, ReadRank] | None = None
    ) -> None:
        """`ranks` tells by a reader's name which tier its store is."""
        self._newest = tuple(newest)
        self._history = tuple(history)
        self._ranks = dict(ranks or {})
        self._lacks = {reader.name: _Lacks() for reader in newest}

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Every reader once, those of the history first."""
        return tuple({reader.name: reader for reader in (*self._history, *self._newest)}.values())

    async def __aenter__(self) -> Self:
        for reader in self.readers:
            await reader.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self.readers:
            await reader.close()

    async def newest(self, symbols: Sequence[str], kinds: Sequence[str]) -> Answer:
        """The newest record of each kind for each symbol, whichever store has it.

        Raises RetryableError when every store that could answer is away, NotKept where there is none.
        """
        found: dict[str, NewestRecords] = {symbol: {} for symbol in symbols}
        answered: list[str] = []
        gave: list[str] = []
        away: RetryableError | None = None
        for reader in self._newest:
            asked = self._missing(reader, found, kinds, completing=bool(answered))
            if answered and not asked:
                continue
            try:
                records = await reader.newest(list(asked), kinds)
            except RetryableError as error:
                away = away or error
                self._note_away(reader, error, completing=bool(answered))
                continue
            answered.append(reader.name)
            self._note_lacks(reader, asked, records)
            for symbol, newest in records.items():
                if newest.keys() - found[symbol].keys() and reader.name not in gave:
                    gave.append(reader.name)
                found[symbol] = _newer(found[symbol], newest)
        if not answered:
            raise away or NotKept("this pipeline has no store that keeps newest values: its sinks are disabled")
        return Answer(tuple(gave or answered[:1]), found)

    def _missing(
        self, reader: Reader, found: Mapping[str, NewestRecords], kinds: Sequence[str], *, completing: bool
    ) -> dict[str, frozenset[str]]:
        """The symbols to ask a reader for, each with the kinds that it may have and no store before had.

        Only a store that completes another's answer is spared questions that it could not answer a moment ago.
        """
        lacks, now = self._lacks[reader.name], time.monotonic()
        kept = frozenset(kind for kind in kinds if reader.keeps_newest(kind))
        if not completing:
            return dict.fromkeys(found, kept)
        if now < lacks.away_until:
            return {}
        missing = {symbol: kept - newest.keys() - lacks.of(symbol, now) for symbol, newest in found.items()}
        return {symbol: kinds for symbol, kinds in missing.items() if kinds}

    def _note_away(self, reader: Reader, error: RetryableError, *, completing: bool) -> None:
        if completing:
            self._lacks[reader.name].away_until = time.monotonic() + ASK_AGAIN_SECONDS
            _log.warning(
                "what another store lacks is not looked for here", extra={"store": reader.name, "error": str(error)}
            )

    def _note_lacks(
        self, reader: Reader, asked: Mapping[str, frozenset[str]], records: Mapping[str, NewestRecords]
    ) -> None:
        until = time.monotonic() + ASK_AGAIN_SECONDS
        lacks = self._lacks[reader.name].kinds
        lacks |= {symbol: (until, kinds - records.get(symbol, {}).keys()) for symbol, kinds in asked.items()}

    async def seen(self, symbols: Sequence[str]) -> dict[str, int]:
        """As each reader's: the newest that any store knows of.

        Raises RetryableError when every store is away, NotKept where there is none.
        """
        found: list[dict[str, int]] = []
        away: RetryableError | None = None
        for reader in self.readers:
            try:
                found.append(await reader.seen(symbols))
            except RetryableError as error:
                away = away or error
        if not found:
            raise away or NotKept("this pipeline has no store that can be asked: its sinks are disabled")
        return {symbol: max(seen[symbol] for seen in found if symbol in seen) for symbol in set().union(*found)}

    def history(self, query: HistoryQuery) -> AsyncIterator[list[JsonRow]]:
        """The rows of a table, in batches. Raises NotKept where no store keeps it, RetryableError."""
        if query.without_outliers:
            return without_outliers(self.history, replace(query, without_outliers=False))
        for reader in self._history:
            if reader.keeps_history(query.table.name):
                return reader.history(query)
        raise NotKept(f"this pipeline keeps no history of {query.table.name}: the sink that would is disabled")

    async def rows(self, query: HistoryQuery) -> list[JsonRow]:
        """The rows of a table, all of them at once: for a query with a limit."""
        found: list[JsonRow] = []
        async for batch in self.history(query):
            found += batch
        return found

    async def holdings(self) -> dict[str, set[str]]:
        """The symbols that some store has anything of, each with the kinds that there are.

        Raises RetryableError when every store is away.
        """
        found: dict[str, set[str]] = {}
        answered, away = False, None
        for reader in self.readers:
            try:
                held = await reader.holdings()
            except RetryableError as error:
                away = away or error
                continue
            answered = True
            for symbol, kinds in held.items():
                found.setdefault(symbol, set()).update(kinds)
        if away is not None and not answered:
            raise away
        return found

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        """As `Counting.count`, by the store that answers for the history of the table.

        Raises NotKept where no store counts, RetryableError.
        """
        for reader in self._history:
            if reader.keeps_history(query.table.name) and isinstance(reader, Counting):
                return await reader.count(query, sums, daily=daily)
        raise NotKept(f"this pipeline has no store that counts rows of {query.table.name}")

    @property
    def have_archive(self) -> bool:
        """Whether days of the history go to an archive."""
        return ReadRank.ARCHIVE in self._ranks.values() and any(isinstance(reader, Archived) for reader in self.readers)

    async def kept_back(self) -> list[KeptBack]:
        """The days that should be in the archive and are not. Raises RetryableError."""
        return [day for reader in self.readers if isinstance(reader, Archived) for day in await reader.kept_back()]

    async def tiers(self) -> list[TierState]:
        """Every store as a tier, the hot one first."""
        found, states = await self.health(), []
        for name, rank in sorted(self._ranks.items(), key=lambda ranked: ranked[1]):
            reader = next(reader for reader in self.readers if reader.name == name)
            days: dict[str, int] = {}
            kept_back: Sequence[KeptBack] = ()
            if isinstance(reader, Archived) and found[name].error is None:
                for table in TABLES:
                    days[table.name] = len(await reader.archived_days(table.name))
                kept_back = await reader.kept_back()
            archived = {table: count for table, count in days.items() if count}
            states.append(TierState(_TIERS[rank], name, found[name].error, archived, kept_back))
        return states

    async def health(self) -> dict[str, StoreHealth]:
        """How each store is, by its name."""
        return {reader.name: await _health(reader) for reader in self.readers}


def _newer(first: NewestRecords, second: NewestRecords) -> NewestRecords:
    """Of each kind the record that follows the other: of two candles of one window it is the one with more trades."""
    found = second | first
    for kind in first.keys() & second.keys():
        _, entry = ENTRIES[kind.partition(":")[0]]
        if entry.order(second[kind]) > entry.order(first[kind]):
            found[kind] = second[kind]
    return found


async def _health(reader: Reader) -> StoreHealth:
    began = time.perf_counter()
    try:
        version = await reader.check()
    except RetryableError as error:
        return StoreHealth(str(error))
    return StoreHealth(None, round((time.perf_counter() - began) * 1000, 3), version)
