"""The end of the topics, followed by a thread: what was there just before, then all that comes.

Every process reads all partitions by itself, so there is no consumer group, and nothing is committed. The event loop is
handed portions, and a few of them at most: a loop that is busy makes the thread wait, and the consumer's bounded queue
after it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from marketpipeline.backoff import Backoff

__all__ = ["Listener", "Tail"]

_log = logging.getLogger(__name__)

_AT_ONCE, _AHEAD = 500, 4
_POLL_SECONDS, _BROKER_SECONDS, _CATCH_UP_SECONDS = 0.25, 2.0, 10.0
_LOOK_SECONDS, _LOOK_SOONER_SECONDS = 10.0, 1.0
"""How often it is looked whether there are more partitions; and while a topic is missing, or the broker is away."""

_ATTEMPTS = 5
"""So often a broker that is there may fail: a topic that was made this moment has no leader yet."""

_Place = tuple[str, int]
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Listener(Protocol[T_contra]):
    """Who is told, on the event loop."""

    def caught_up(self, records: Sequence[T_contra], complete_since: int) -> None:
        """What was there before; of what was received from `complete_since` (microseconds) on it is all."""

    def came(self, records: Sequence[T_contra]) -> None:
        """What has come."""

    def reached(self, live: bool) -> None:
        """The broker is there, or away."""


class Tail(threading.Thread, Generic[T]):
    """Follows the topics until `stop`; `most_before` is how many records of before it gives at the most.

    `read` makes of a message what the listener is told, and when ingestion received that, in microseconds; None of what
    is left out.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topics: frozenset[str],
        most_before: int,
        read: Callable[[bytes], tuple[T, int] | None],
        listener: Listener[T],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(name="stream", daemon=True)
        self._config = config | {"enable.partition.eof": True, "error_cb": self._failed}
        self._topics, self._most_before, self._read = topics, most_before, read
        self._listener, self._loop = listener, loop
        self._slots = threading.Semaphore(_AHEAD)
        self._stopping = threading.Event()
        self._places: set[_Place] = set()
        self._live: bool | None = None

    def stop(self) -> None:
        """Have it end; it takes up to a quarter of a second."""
        self._stopping.set()

    def run(self) -> None:
        """Follow, whatever happens to the broker."""
        backoff = Backoff(0.1, 10.0)
        while not self._stopping.is_set():
            consumer = Consumer(self._config)
            try:
                self._follow(consumer, backoff)
            except KafkaException as error:
                if backoff.attempt >= _ATTEMPTS or error.args[0].code() in (*_REFUSED, *_GONE):
                    self._away(str(error))
            finally:
                consumer.close()
            self._stopping.wait(backoff.next())

    def _follow(self, consumer: Consumer, backoff: Backoff) -> None:
        self._catch_up(consumer)
        backoff.reset()
        look_at = 0.0
        while not self._stopping.is_set():
            if updates := self._poll(consumer, {}):
                self._reached()
                self._tell("came", updates)
            if (now := time.monotonic()) >= look_at:
                look_at = now + (_LOOK_SECONDS if self._look(consumer) else _LOOK_SOONER_SECONDS)

    def _catch_up(self, consumer: Consumer) -> None:
        """Read what was there before, and tell it as one."""
        self._places = self._find(consumer)
        each = self._most_before // max(1, len(self._places))
        starts, open_places = [], set()
        begun: dict[_Place, int] = {}
        for place in self._places:
            low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=_BROKER_SECONDS)
            starts.append(TopicPartition(*place, max(low, high - each)))
            if high - each > low:
                begun[place] = 0
            if high > low:
                open_places.add(place)
        consumer.assign(starts)
        updates: list[T] = []
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while open_places and not self._stopping.is_set() and time.monotonic() < deadline:
            updates += self._poll(consumer, begun, open_places)
        self._reached()
        self._tell("caught_up", updates, max(begun.values(), default=0))

    def _find(self, consumer: Consumer) -> set[_Place]:
        known = consumer.list_topics(timeout=_BROKER_SECONDS).topics
        return {(name, partition) for name in self._topics & known.keys() for partition in known[name].partitions}

    def _look(self, consumer: Consumer) -> bool:
        """Whether all is there; partitions that are new are read from their beginning."""
        try:
            found = self._find(consumer)
        except KafkaException as error:
            self._away(str(error))
            return False
        self._reached()
        if new := found - self._places:
            consumer.incremental_assign([TopicPartition(*place, OFFSET_BEGINNING) for place in new])
            self._places |= new
        return self._topics == {name for name, _ in self._places}

    def _poll(self, consumer: Consumer, begun: dict[_Place, int], open_places: set[_Place] | None = None) -> list[T]:
        """What comes next. Noted is when the first of each of `begun` was received, and which places are at an end."""
        first = consumer.poll(_POLL_SECONDS)
        messages = [first, *consumer.consume(_AT_ONCE - 1, 0)] if first is not None else []
        records = []
        for message in messages:
            place = (message.topic() or "", message.partition() or 0)
            if (failure := message.error()) is not None:
                if failure.code() == KafkaError._PARTITION_EOF and open_places is not None:
                    open_places.discard(place)
                elif failure.code() in _REFUSED:
                    raise KafkaException(failure)
            elif (found := self._read(message.value() or b"")) is not None:
                records.append(found[0])
                if begun.get(place) == 0:
                    begun[place] = found[1]
        return records

    def _failed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN or error.fatal():
            self._away(str(error))

    def _away(self, reason: str) -> None:
        if self._live is not False:
            self._live = False
            _log.warning("the stream has no broker", extra={"error": reason})
            self._tell("reached", False)

    def _reached(self) -> None:
        if not self._live:
            self._live = True
            self._tell("reached", True)

    def _tell(self, method: str, *arguments: Any) -> None:
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            if self._stopping.is_set():
                return
        try:
            self._loop.call_soon_threadsafe(self._hear, method, arguments)
        except RuntimeError:  # the loop has ended
            self._stopping.set()

    def _hear(self, method: str, arguments: tuple[Any, ...]) -> None:
        self._slots.release()
        if not self._stopping.is_set():
            getattr(self._listener, method)(*arguments)


_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED)
_GONE = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
