"""The loop that every sink shares: read, batch, store, and only then commit.

    messages ─▶ decode ─▶ batch ─▶ sink.write ─▶ dead letters settled ─▶ offsets stored ─▶ commit
                  │   └ repeats   └ away: hold the flow, stay in the group, try again with backoff
                  └ dead letter   └ rows refused: halve the batch until the row is found ─▶ dead letter

What is read but not stored when the process dies is read again. Memory is bounded by one batch, the consumer's queue
and what a sink that holds rows (`HoldingSink`) allows itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from marketpipeline.backoff import Backoff
from marketpipeline.errors import RetryableError
from marketpipeline.records import Heartbeat
from marketpipeline.sink_kinds import SinkSettings
from marketpipeline.sinks.base import Backpressure, Delivery, HoldingSink, Place, RowsRejected, Sink
from marketpipeline.sinks.batch import Batch
from marketpipeline.sinks.dead_letters import DeadLetters, Origin
from marketpipeline.sinks.decoding import Decoder, Undecodable
from marketpipeline.sinks.metrics import SinkMetrics
from marketpipeline.sinks.repeats import Repeats
from marketpipeline.sinks.source import Offsets, Source

__all__ = ["Runner"]

_log = logging.getLogger(__name__)

_COMMIT_INTERVAL = 0.1
_LONGEST_POLL = 0.25
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_SHORTEST_WAIT = 0.01
"""Seconds: how often to commit at the most; how long a stop may go unnoticed; between two attempts at the least."""
_HAND_OVER = 30.0
"""Seconds in which parts of what is held are begun before partitions go: with the longest of them less than 300."""


class _Abandoned(Exception):
    """The time to finish is over while the store is away; what is unwritten is read again by the next process."""


class Runner:
    """Runs one sink until `stop`. `run` and the sink are on one thread, `stop` may be called from any."""

    def __init__(
        self, sink: Sink, settings: SinkSettings, metrics: SinkMetrics, backoff: Backoff | None = None
    ) -> None:
        self._sink = sink
        self._metrics = metrics
        self._backoff = backoff or Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._drain_timeout = settings.drain_timeout_ms / 1_000
        self._batch = Batch(settings.batch_rows, settings.flush_interval_ms / 1_000)
        self._decoder = Decoder(settings.topic_prefix)
        self._dead_letters = DeadLetters(settings, sink.name)
        self._repeats = Repeats()
        self._holding = sink if isinstance(sink, HoldingSink) else None
        self._taken: Offsets = {}
        client = f"{settings.pipeline}-sink-{sink.name}"
        self.source = Source(settings, sink.topics, client, self._lose, self._hand_over)
        metrics.observe(self.source)
        self._stopping = threading.Event()
        self._stop_by: float | None = None
        self._next_commit = 0.0

    def stop(self) -> None:
        """Finish: store what was read, commit, leave the group."""
        self._stopping.set()

    def run(self) -> bool:
        """Work until `stop`; False when rows had to be left to the next process. Raises PermanentError."""
        try:
            self._persist(self._sink.open)
            self._metrics.back()
            self.source.start()
            while not self._stopping.is_set():
                self._turn()
            self._flush()
            self._settle(everything=True)
        except _Abandoned:
            left = len(self._batch.rows) + self._dead_letters.unsettled + self._held_rows
            if left:
                _log.warning("stopped with rows not stored; they will be read again", extra={"rows": left})
            return left == 0
        finally:
            self.source.close()
            self._sink.close()
        return True

    def _turn(self) -> None:
        now = self._metrics.tick = time.monotonic()
        wait = self._batch.wait(now)
        if self.source.has_uncommitted:
            wait = min(wait, max(0.0, self._next_commit - now))
        self._collect(self._batch.room, min(wait, _LONGEST_POLL))
        now = time.monotonic()
        if self._batch.is_due(now):
            self._flush()
        elif self._taken:
            self._settle(everything=False)
        if now >= self._next_commit and self.source.has_uncommitted:
            self._next_commit = now + _COMMIT_INTERVAL
            self.source.commit()

    def _collect(self, limit: int, timeout: float) -> None:
        """Add what comes within `timeout` to the batch."""
        messages, reached = self.source.poll(limit, timeout)
        for message in messages:
            try:
                delivery = self._decoder.decode(message)
            except Undecodable as error:
                place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
                self._dead_letter(Origin(*place, message.key(), message.value() or b""), error, "VALUE_CONVERTER")
                continue
            repeated = delivery is not None and self._repeats.holds(delivery.record)
            if delivery is None or repeated or isinstance(delivery.record, Heartbeat):
                self._metrics.skipped += 1
            if delivery is not None and not repeated:
                self._batch.rows.append(delivery)
        self._batch.reach(reached, time.monotonic())

    def _flush(self) -> None:
        """Store the batch, whatever it takes."""
        began = time.time_ns()
        self._persist(self._store)
        self._metrics.back()
        rows = [row for row in self._batch.rows if not isinstance(row.record, Heartbeat)]
        if rows:
            self._metrics.stored(rows, began, held=self._holding is not None)
        self._taken |= self._batch.offsets
        self._batch.clear()
        self._settle(everything=False)

    def _settle(self, *, everything: bool) -> None:
        """Let a sink that holds rows store what is due; what no row is held of is what the store has."""
        if self._holding is not None:
            holding = self._holding
            self._persist(lambda: holding.flush(everything=everything))
        self._note_stored()

    def _note_stored(self) -> None:
        held = self._holding.holds if self._holding is not None else set()
        self.source.stored({place: offset for place, offset in self._taken.items() if place not in held})
        self._taken = {place: offset for place, offset in self._taken.items() if place in held}
        self._metrics.held = self._held_rows

    @property
    def _held_rows(self) -> int:
        return self._holding.held_rows if self._holding is not None else 0

    def _hand_over(self) -> None:
        """Before partitions go: store what is held, if the store takes it now; else the next member reads it again.

        Nobody is heard meanwhile, so the last part that is begun has to end before the group gives this member up.
        """
        if self._holding is None or not self._taken:
            return
        try:
            self._holding.flush(everything=True, until=time.monotonic() + _HAND_OVER)
        except RetryableError as error:
            _log.warning("held rows are left to the next member", extra={"error": str(error)})
        self._note_stored()

    def _lose(self, places: set[Place]) -> None:
        """Partitions are another member's now: what was read of them and not stored is read again, by somebody."""
        self._batch.lose(places)
        self._repeats.forget()
        self._taken = {place: offset for place, offset in self._taken.items() if place not in places}
        if self._holding is not None:
            self._holding.lose(places)

    def _store(self) -> None:
        """Write the batch as it is now, then settle its dead letters.

        One attempt is both: while it is waited for either of them, a new partition may bring rows, and its offsets, or
        a rebalance take them all. What is left then is to see that the store is back.
        """
        self._sink.open()
        self._write(self._batch.rows)
        self._dead_letters.settle()

    def _write(self, rows: Sequence[Delivery]) -> None:
        """Write the rows; those that the store refuses are found by halving, and become dead letters."""
        if not rows:
            return
        try:
            self._sink.write(rows)
        except RowsRejected as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                self._write(rows[:middle])
                self._write(rows[middle:])
                return
            row = rows[0]
            self._dead_letter(Origin(row.topic, row.partition, row.offset, row.key, row.payload), error, "TASK_PUT")
            self._batch.drop(row)

    def _dead_letter(self, origin: Origin, error: Exception, stage: str) -> None:
        self._dead_letters.add(origin, error, stage)
        self._metrics.dead_letters += 1
        where = {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
        _log.warning("dead letter", extra={**where, "error": str(error)})

    def _persist(self, attempt: Callable[[], None]) -> None:
        """Repeat `attempt` while it meets Backpressure. Raises _Abandoned when the time to stop is over."""
        self._backoff.reset()
        while True:
            try:
                attempt()
            except Backpressure as error:
                self._metrics.away(str(error))
                wait = self._backoff.next() if error.retry_after is None else max(error.retry_after, _SHORTEST_WAIT)
                _log.warning("cannot store now; will try again", extra={"error": str(error), "wait_s": round(wait, 3)})
                self._hold(wait)
            else:
                self.source.release()
                return

    def _hold(self, seconds: float) -> None:
        """Wait without reading on, but stay in the group."""
        self.source.hold()
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self._metrics.tick = now
            if self._stopping.is_set():
                self._stop_by = self._stop_by or now + self._drain_timeout
                nothing_left = not (self._batch.rows or self._dead_letters.unsettled or self._held_rows)
                if nothing_left or now > self._stop_by:
                    raise _Abandoned
            self._collect(100, min(_LONGEST_POLL, until - now))
