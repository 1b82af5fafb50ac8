"""The newest book of each symbol, with its levels: no store keeps those, so they are read from their topic.

Who streams them is told as often as a screen can show it, whatever the exchange sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from marketpipeline.api.stream import LEVELS, Hub, levels_of
from marketpipeline.api.stream.tail import Tail
from marketpipeline.kafka import consumer_config
from marketpipeline.records import Book, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["Books"]

_MOST_BEFORE = 2_000
_PATIENCE_SECONDS = 3.0
_LINGER_SECONDS = 60.0
_TELL_SECONDS = 0.25


class Books:
    """Follows the topic of the books from the first question on, or the first reader, and a minute beyond the last.

    What comes while there are readers goes to the hub, of each symbol the newest.
    """

    def __init__(self, kafka: KafkaSettings | None, prefix: str, client: str, hub: Hub) -> None:
        self._config = None if kafka is None else consumer_config(kafka, client, f"{prefix}.api")
        self._hub = hub
        self._readers = 0
        self._untold: dict[str, Book] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._topic = topic_name(prefix, TopicKind.BOOK)
        self._newest: dict[str, Book] = {}
        self._tail: Tail[Book] | None = None
        self._begun = asyncio.Event()
        self._end: asyncio.TimerHandle | None = None

    async def of(self, symbol: str) -> Book | None:
        """The newest book; None where the broker is away, or has none of this symbol near the end of the topic."""
        if self._config is None:
            return None
        self._start(self._config)
        self._linger()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._begun.wait()
        except TimeoutError:
            return None
        return self._newest.get(symbol)

    def acquire(self) -> None:
        """A reader streams them from now on."""
        self._readers += 1
        if self._config is not None:
            self._start(self._config)
            self._linger()
            self._tell(self._newest.values())

    def release(self) -> None:
        """A reader is gone."""
        self._readers -= 1
        self._linger()

    async def close(self) -> None:
        """Stop at once."""
        tail = self._tail
        self._stop()
        for timer in (self._end, self._telling):
            if timer is not None:
                timer.cancel()
        if tail is not None:
            await asyncio.to_thread(tail.join, 5.0)

    def _start(self, config: dict[str, Any]) -> None:
        if self._tail is None:
            self._begun.clear()
            self._newest.clear()
            loop = asyncio.get_running_loop()
            self._tail = Tail(config, frozenset({self._topic}), _MOST_BEFORE, _book, self, loop)
            self._tail.start()

    def _linger(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = None if self._readers else asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._stop)

    def _stop(self) -> None:
        if self._tail is not None:
            self._tail.stop()
            self._tail = None
            self._hub.forget(LEVELS)

    def _tell(self, books: Iterable[Book]) -> None:
        self._untold |= {book.symbol: book for book in books}
        if self._untold and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_TELL_SECONDS, self._tell_now)

    def _tell_now(self) -> None:
        self._telling = None
        self._hub.pass_on([levels_of(book) for book in self._untold.values()])
        self._untold.clear()

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
        if self._readers:
            self._tell([self._newest[symbol] for symbol in {book.symbol for book in found}])

    def reached(self, live: bool) -> None:
        """As the tail's listener: an old book is no book, so none is given while the broker is away."""
        if not live:
            self._newest.clear()
            self._untold.clear()
            self._hub.forget(LEVELS)
            self._begun.set()


def _book(payload: bytes) -> tuple[Book, int] | None:
    try:
        record = decode(payload)
    except msgspec.MsgspecError:
        return None
    return (record, record.receive_time) if isinstance(record, Book) else None
