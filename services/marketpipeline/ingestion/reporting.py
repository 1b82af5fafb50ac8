"""What a process says of itself in its log: its numbers every so often, and how far the books are while it starts."""

from __future__ import annotations

import logging

from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.session import Session

__all__ = ["Reporter"]

_log = logging.getLogger(__name__)

PROGRESS_EVERY = 5.0
"""Seconds between two lines about the books that are not in sync yet."""


class Reporter:
    """Looks at counters that others keep. `every` is in seconds; 0 is never."""

    def __init__(self, session: Session, publisher: KafkaPublisher, every: float) -> None:
        self._session = session
        self._publisher = publisher
        self._every = every
        self._began: float | None = None
        self._numbers_at = 0.0
        self._before = (0, 0)
        self._progress_at: float | None = 0.0
        self._synced = -1

    def tick(self, now: float) -> None:
        """Time is `now`, monotonic seconds: say what is due."""
        if self._began is None:
            self._began, self._numbers_at = now, now + self._every
        if self._progress_at is not None and now >= self._progress_at:
            self._tell_progress(now, now - self._began)
        if self._every and now >= self._numbers_at:
            self._numbers_at = now + self._every
            self._tell_numbers()

    def _tell_progress(self, now: float, seconds: float) -> None:
        """Until all books have been in sync once."""
        synced, of = self._session.books
        self._progress_at = now + PROGRESS_EVERY
        numbers = {"synced": synced, "books": of, "seconds": round(seconds, 1)}
        if of and synced == of:
            _log.info("all %d books are in sync after %.1f s", of, seconds, extra=numbers)
            self._progress_at = None
        elif self._session.started and synced != self._synced:
            self._synced = synced
            _log.info("%d of %d books are in sync", synced, of, extra=numbers)

    def _tell_numbers(self) -> None:
        """Received are frames, processed the records handed to the broker's client, buffered what it has not
        acknowledged."""
        session, publisher = self._session, self._publisher
        received, processed = session.frames, sum(publisher.produced().values())
        (received_before, processed_before), self._before = self._before, (received, processed)
        numbers = {
            "received": received,
            "received_per_second": round((received - received_before) / self._every, 1),
            "processed": processed,
            "processed_per_second": round((processed - processed_before) / self._every, 1),
            "buffered": publisher.in_flight,
            "connected": session.ready_connections,
            "connections": len(session.managers),
            "reconnects": session.reconnects,
        }
        text = (
            "received {received} ({received_per_second}/s), processed {processed} ({processed_per_second}/s), "
            "buffered {buffered}, connected {connected} of {connections}, reconnects {reconnects}"
        )
        _log.info(text.format(**numbers), extra=numbers)
