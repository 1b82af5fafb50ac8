"""The newest book of each symbol, with its levels: no store keeps those, so they are read from their topic."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from marketpipeline.api.stream.tail import Tail
from marketpipeline.kafka import consumer_config
from marketpipeline.records import Book, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["Books"]

_MOST_BEFORE = 2_000
_PATIENCE_SECONDS = 3.0
_LINGER_SECONDS = 60.0


class Books:
    """Follows the topic of the books from the first question on, and a minute beyond the last one."""

    def __init__(self, kafka: KafkaSettings | None, prefix: str, client: str) -> None:
        self._config = None if kafka is None else consumer_config(kafka, client, f"{prefix}.api")
        self._topic = topic_name(prefix, TopicKind.BOOK)
        self._newest: dict[str, Book] = {}
        self._tail: Tail[Book] | None = None
        self._begun = asyncio.Event()
        self._end: asyncio.TimerHandle | None = None

    async def of(self, symbol: str) -> Book | None:
        """The newest book; None where the broker is away, or has none of this symbol near the end of the topic."""
        if self._config is None:
            return None
        loop = asyncio.get_running_loop()
        if self._end is not None:
            self._end.cancel()
        self._end = loop.call_later(_LINGER_SECONDS, self._stop)
        if self._tail is None:
            self._begun.clear()
            self._newest.clear()
            self._tail = Tail(self._config, frozenset({self._topic}), _MOST_BEFORE, _book, self, loop)
            self._tail.start()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._begun.wait()
        except TimeoutError:
            return None
        return self._newest.get(symbol)

    async def close(self) -> None:
        """Stop at once."""
        tail = self._tail
        self._stop()
        if self._end is not None:
            self._end.cancel()
        if tail is not None:
            await asyncio.to_thread(tail.join, 5.0)

    def _stop(self) -> None:
        if self._tail is not None:
            self._tail.stop()
            self._tail = None

    def caught_up(self, found: Sequence[Book], complete_since: int) -> None:
        """As the tail's listener."""
        self.came(found)
        self._begun.set()

    def came(self, found: Sequence[Book]) -> None:
        """As the tail's listener: of two books of a symbol the one that was received later counts."""
        for book in found:
            known = self._newest.get(book.symbol)
            if known is None or known.receive_time <= book.receive_time:
                self._newest[book.symbol] = book

    def reached(self, live: bool) -> None:
        """As the tail's listener: an old book is no book, so none is given while the broker is away."""
        if not live:
            self._newest.clear()
            self._begun.set()


def _book(payload: bytes) -> tuple[Book, int] | None:
    try:
        record = decode(payload)
    except msgspec.MsgspecError:
        return None
    return (record, record.receive_time) if isinstance(record, Book) else None
