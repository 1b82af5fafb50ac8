"""What the topics hold is asked before something is said to be missing.

Several processes may follow a symbol: a pair, or the next one that takes over from the last. What one of them did not
get another may have written. So a gap is told only when no process has written it, and trades are fetched over REST
only from where the topic ends. Nobody is asked but the topic, so nobody needs to know who else there is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from marketpipeline.ingestion.context import Command, Look
from marketpipeline.ingestion.written import LOOK_AGAIN, Written
from marketpipeline.records import FeedEvent
from marketpipeline.topics import Feed

__all__ = ["LOOKS", "Examiner"]

_log = logging.getLogger(__name__)

LOOKS = 12
"""So often at most; after that it counts as missing."""
UNREAD = 240
"""So often at most where the topics cannot be read, as while a broker is away: what they hold is not missing."""


@dataclass(slots=True)
class _Gap:
    """A gap that is not told yet."""

    event: FeedEvent
    since: int
    looks: int = 0
    unread: int = 0
    look_at: float | None = 0.0


class Examiner:
    """Looks into the topics for the handlers. `tell` writes an event, `emit` takes commands."""

    def __init__(self, emit: Callable[[Command], None], tell: Callable[[FeedEvent], None]) -> None:
        self._emit = emit
        self._tell = tell
        self._calls: dict[int, Callable[[Written | None], None]] = {}
        self._call = 0
        self._gaps: list[_Gap] = []
        self._now = 0.0

    @property
    def open(self) -> int:
        """How many gaps are looked into."""
        return len(self._gaps)

    def examines(self, symbol: str, feed: str) -> bool:
        """Whether a gap of this feed is looked into, so that nobody can say that it is complete."""
        return any((gap.event.symbol, gap.event.feed) == (symbol, feed) for gap in self._gaps)

    def look(self, symbol: str, feed: Feed, after: int, since: int, done: Callable[[Written | None], None]) -> None:
        """Learn what the topic holds after an id; `since` is when all up to it was there, in µs. None: not known."""
        self._call += 1
        self._calls[self._call] = done
        self._emit(Look(self._call, symbol, feed, after, since))

    def answered(self, call: int, written: Written | None) -> None:
        """The topics were read; None when that failed."""
        if (done := self._calls.pop(call, None)) is not None:
            done(written)

    def doubt(self, event: FeedEvent, since: int) -> None:
        """A gap, to be told if it is one."""
        self._gaps.append(gap := _Gap(event, since))
        self._examine(gap)

    def tick(self, now: float) -> None:
        """Look again where it is time to."""
        self._now = now
        for gap in self._gaps:
            if gap.look_at is not None and now >= gap.look_at:
                self._examine(gap)

    def give_up(self) -> None:
        """Nothing is waited for any more: the answers that come now are the last."""
        for gap in self._gaps:
            gap.looks, gap.unread = LOOKS, UNREAD
            if gap.look_at is not None:
                self._examine(gap)

    def _examine(self, gap: _Gap) -> None:
        event = gap.event
        assert event.first_id is not None, "only gaps of ids are looked into"
        gap.looks += 1
        gap.look_at = None
        self.look(event.symbol, Feed(event.feed), event.first_id - 1, gap.since, lambda found: self._judge(gap, found))

    def _judge(self, gap: _Gap, written: Written | None) -> None:
        event = gap.event
        if event.first_id is None or event.last_id is None:
            return
        missing = (
            [(event.first_id, event.last_id)] if written is None else written.missing(event.first_id, event.last_id)
        )
        if written is None and gap.unread < UNREAD:
            gap.looks, gap.unread = gap.looks - 1, gap.unread + 1
            gap.look_at = self._now + LOOK_AGAIN
            return
        if missing and gap.looks < LOOKS and written is not None and _may_come(event, written):
            gap.look_at = self._now + LOOK_AGAIN
            return
        self._gaps.remove(gap)
        if not missing:
            _log.info("no gap: another process wrote %d to %d", event.first_id, event.last_id)
        elif missing[0][0] == event.first_id and len(missing) == 1:
            self._tell(event)
        else:
            for first, last in missing:
                self._tell(msgspec.structs.replace(event, first_id=first, last_id=last))


def _may_come(event: FeedEvent, written: Written) -> bool:
    """Whether another process may have got what is missing and not have written it yet."""
    return any(promised < (event.event_time or event.receive_time) for promised in written.others.values())
