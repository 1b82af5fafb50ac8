"""The topics are read for the stream while it has readers, and a while longer, for one that comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from marketpipeline.api.stream.hub import KEPT, Hub
from marketpipeline.api.stream.tail import Tail
from marketpipeline.api.stream.updates import Update, update_of
from marketpipeline.kafka import consumer_config
from marketpipeline.records import Record, decode
from marketpipeline.settings import KafkaSettings
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["Feed"]

_log = logging.getLogger(__name__)

_LINGER_SECONDS = 60.0
_READY_SECONDS = 10.0


class Feed:
    """Fills the hub from the topics between `acquire` and `release`; everything is called on the event loop.

    `newest` gives what the stores have as newest: a record from before the place where the topics are read from, as the
    last candle of an hour, or of a quiet symbol, is in snapshots by it.
    """

    def __init__(
        self,
        hub: Hub,
        kafka: KafkaSettings,
        prefix: str,
        topics: Iterable[TopicKind],
        client: str,
        newest: Callable[[], Awaitable[Iterable[Record]]],
    ) -> None:
        self._hub, self._newest = hub, newest
        self._topics = frozenset(topic_name(prefix, kind) for kind in topics)
        self._config = consumer_config(kafka, client, f"{prefix}.api")
        self._holders = 0
        self._tail: Tail[Update] | None = None
        self._begun = asyncio.Event()
        self._seeding: asyncio.Task[None] | None = None
        self._end: asyncio.TimerHandle | None = None

    async def acquire(self) -> None:
        """Read from now on. Returns when what was before is taken in, or it is known that the broker is away."""
        self._holders += 1
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if self._tail is None:
            self._begun.clear()
            self._tail = Tail(self._config, self._topics, KEPT, _read, self, asyncio.get_running_loop())
            self._tail.start()
            self._seeding = asyncio.create_task(self._seed())
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._begun.wait()
                if self._seeding is not None:
                    await asyncio.shield(self._seeding)
        except TimeoutError:
            _log.warning("the stream begins without what was before: the broker or the stores take too long")

    def release(self) -> None:
        """A reader is gone."""
        self._holders -= 1
        if self._holders == 0 and self._tail is not None:
            self._end = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._stop)

    async def close(self) -> None:
        """Stop at once."""
        tail = self._tail
        self._stop()
        if self._seeding is not None:
            self._seeding.cancel()
        if tail is not None:
            await asyncio.to_thread(tail.join, 5.0)

    def _stop(self) -> None:
        if self._tail is not None:
            self._tail.stop()
            self._tail = None
            self._hub.set_live(False)

    async def _seed(self) -> None:
        self._hub.seed(filter(None, map(update_of, await self._newest())))

    def caught_up(self, updates: Sequence[Update], complete_since: int) -> None:
        """As the tail's listener."""
        self._hub.begin(complete_since)
        self._hub.take_in(updates)
        self._begun.set()

    def came(self, updates: Sequence[Update]) -> None:
        """As the tail's listener."""
        self._hub.publish(updates)

    def reached(self, live: bool) -> None:
        """As the tail's listener."""
        self._hub.set_live(live)
        if not live:
            self._begun.set()


def _read(payload: bytes) -> tuple[Update, int] | None:
    """Nothing of a record that is not streamed, or cannot be read: that one is a dead letter of the sinks."""
    try:
        update = update_of(decode(payload))
    except (msgspec.MsgspecError, OverflowError):
        return None
    return None if update is None else (update, update.received)
