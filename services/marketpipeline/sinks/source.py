"""The consumer: what it has given out, what the store has, what the broker knows of that.

It reads every topic of the pipeline that the sink stores, also one that appears later, and commits only what the
sink said it has. The end of a partition counts as reached, so that what is committed equals the end also where the
last records are control records or were compacted away.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from marketpipeline.errors import PermanentError
from marketpipeline.kafka import consumer_config
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.base import Place
from marketpipeline.topics import TopicKind, topic_name

__all__ = ["Offsets", "Place", "Source"]

_log = logging.getLogger(__name__)

_LAG_INTERVAL = 1.0
_COMMIT_TIMEOUT = 30.0
"""Seconds."""

Offsets = dict[Place, int]
"""The next offset to read of each partition."""


class Source:
    """One member of the sink's consumer group. All methods are called from one thread; others read the attributes.

    `on_revoke` is told before partitions are handed over, while their offsets can still be committed, `on_lost` when
    they went to another member, whose rows are then that member's to store. `lag` is how many records of each
    partition were not given out yet, as of the last second's fetches.

    Its membership is not static: a killed process is missed for a session's time-out (10 s), but one that is stopped,
    as in every rollout and every new run, leaves its partitions to the next at once (docs/decisions/0053).
    """

    def __init__(
        self,
        settings: SinkSettings,
        kinds: Iterable[TopicKind],
        client_id: str,
        on_lost: Callable[[set[Place]], None],
        on_revoke: Callable[[], None] = lambda: None,
    ) -> None:
        names = sorted(topic_name(settings.topic_prefix, kind) for kind in kinds)
        self._patterns = [f"^{name.replace('.', '[.]')}$" for name in names]
        self._on_lost = on_lost
        self._on_revoke = on_revoke
        self._reached: Offsets = {}
        self._stored: Offsets = {}
        self._committed: Offsets = {}
        self._committing_since: float | None = None
        self._held = False
        self._next_lag = 0.0
        self.assigned: set[Place] = set()
        self.lag: dict[Place, int] = {}
        self.joined = False
        self.commit_failures = 0
        config = consumer_config(settings.kafka, client_id, settings.consumer_group) | {
            "enable.partition.eof": True,
            "topic.metadata.refresh.interval.ms": 5_000,
            "on_commit": self._on_commit,
            "error_cb": self._on_error,
        }
        self._consumer = Consumer(config)

    def start(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            self._patterns, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke_lost
        )

    def poll(self, limit: int, timeout: float) -> tuple[list[Message], Offsets]:
        """Up to `limit` messages within `timeout` seconds, and how far that brings each of their partitions.

        Raises PermanentError when the broker will never serve this consumer.
        """
        messages: list[Message] = []
        reached: Offsets = {}
        try:
            consumed = self._consumer.consume(limit, timeout)
        except KafkaException as error:
            self._judge(error.args[0])
            return [], {}
        for message in consumed:
            failure, place = message.error(), (message.topic() or "", message.partition() or 0)
            offset = message.offset() or 0
            if failure is None:
                messages.append(message)
                reached[place] = offset + 1
            elif failure.code() == KafkaError._PARTITION_EOF:
                reached[place] = offset
            else:
                self._judge(failure)
        if self._held:
            self._pause()
        self._reached |= {place: offset for place, offset in reached.items() if place in self.assigned}
        self._update_lag()
        return messages, reached

    def hold(self) -> None:
        """Stop the flow; `poll` then only keeps the membership, and gives at most what a new partition brings."""
        if not self._held:
            self._held = True
            self._pause()

    def release(self) -> None:
        """Let it flow again."""
        if self._held:
            self._held = False
            self._consumer.resume(self._consumer.assignment())

    def _pause(self) -> None:
        self._consumer.pause(self._consumer.assignment())

    def stored(self, offsets: Offsets) -> None:
        """The store has everything before these offsets."""
        self._stored |= {place: offset for place, offset in offsets.items() if place in self.assigned}

    @property
    def has_uncommitted(self) -> bool:
        """Whether the store has more than the broker knows."""
        return self._stored != self._committed

    def commit(self, *, wait: bool = False) -> None:
        """Tell the broker what the store has. What fails is tried again with the next commit."""
        due = [
            TopicPartition(*place, offset)
            for place, offset in self._stored.items()
            if self._committed.get(place) != offset
        ]
        if not due or (self._is_committing() and not wait):
            return
        try:
            if wait:
                self._consumer.commit(offsets=due, asynchronous=False)
                self._committed |= {(p.topic, p.partition): p.offset for p in due}
            else:
                self._committing_since = time.monotonic()
                self._consumer.commit(offsets=due, asynchronous=True)
        except KafkaException as error:
            self._committing_since = None
            self._count_failure(error.args[0])

    def _is_committing(self) -> bool:
        """Whether a commit has no answer yet; one without an answer for long is given up."""
        return self._committing_since is not None and time.monotonic() - self._committing_since < _COMMIT_TIMEOUT

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._committing_since = None
        if error is not None:
            self._count_failure(error)
            return
        done = {(p.topic, p.partition): p.offset for p in partitions if p.error is None}
        self._committed |= {place: offset for place, offset in done.items() if place in self.assigned}

    def _count_failure(self, error: KafkaError) -> None:
        self.commit_failures += 1
        _log.warning("offsets were not committed; they will be with the next", extra={"error": str(error)})

    def _update_lag(self) -> None:
        """On the consumer's own thread: asked from another one, the client was seen to hang for good."""
        now = time.monotonic()
        if now < self._next_lag:
            return
        self._next_lag = now + _LAG_INTERVAL
        found = {}
        for place, reached in self._reached.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if high >= 0:
                found[place] = max(0, high - reached)
        self.lag = found

    def close(self) -> None:
        """Commit what is stored and leave the group."""
        self.commit(wait=True)
        self._consumer.close()

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = True
        self.assigned |= _places(partitions)
        _log.info("partitions assigned", extra={"partitions": sorted(_places(partitions))})

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._on_revoke()
        self.commit(wait=True)
        self._forget(_places(partitions))

    def _revoke_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(_places(partitions))

    def _forget(self, places: set[Place]) -> None:
        self.assigned -= places
        for offsets in (self._reached, self._stored, self._committed):
            for place in places:
                offsets.pop(place, None)
        self._on_lost(places)
        _log.info("partitions revoked", extra={"partitions": sorted(places)})

    def _judge(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _HOPELESS:
            raise PermanentError(f"the broker refuses this consumer: {error}")
        # The topic of a feed that this pipeline does not have is told to be absent with every refresh.
        level = logging.DEBUG if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART else logging.WARNING
        _log.log(level, "the broker reports an error", extra={"error": str(error)})

    def _on_error(self, error: KafkaError) -> None:
        level = logging.ERROR if error.fatal() else logging.WARNING
        _log.log(level, "the broker is not reached", extra={"error": str(error)})


_HOPELESS = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
)


def _places(partitions: Iterable[Any]) -> set[Place]:
    return {(partition.topic, partition.partition) for partition in partitions}
