"""The handler of a book kept from its changes: a snapshot, then every change that continues it, one record each.

    idle ──subscribed──▶ syncing ──snapshot + changes that span it──▶ live ──hole, crossed──▶ syncing

Only the symbol that lost something fetches again. What is missing is told once it is known: from the update after
the last record to the update before the next one. While a lost connection is replaced the book is kept: where the
next change continues it, nothing was lost and nothing is fetched.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

import msgspec

from marketpipeline.ingestion.book import CrossedBook, LocalBook
from marketpipeline.ingestion.context import Context, Publish, StreamHandler
from marketpipeline.ingestion.snapshots import Refresh, Snapshots
from marketpipeline.records import Book, FeedEventKind, Heartbeat
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import BookChange, BookSnapshot, FrameError, RestRequest

__all__ = ["OrderBookBuilder"]

_log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that a first change is waited for, after subscribing and after a snapshot."""
OLDER = 20
"""So many changes with older ids and later times, and no other, mean that the exchange numbers them anew."""


class OrderBookBuilder(StreamHandler):
    """The book of one symbol. `levels` of each side go into a record; `last` is the newest that the topic holds.

    At most `max_held` changes are held while a snapshot is awaited; with more the oldest are forgotten, and the
    snapshot has to be newer.
    """

    beats = True

    def __init__(
        self,
        symbol: str,
        publish: Publish,
        context: Context,
        request: Callable[[], RestRequest[BookSnapshot]],
        *,
        levels: int,
        max_held: int,
        last: Book | None = None,
    ) -> None:
        super().__init__(symbol, Feed.BOOK, publish)
        self._context = context
        self._levels = levels
        self.last: Book | None = last
        self._book = LocalBook()
        self._refresh = Refresh(self._book, context, request)
        self._live = False
        self._live_since = 0.0
        self._unsure = False
        self._next = -1
        self._delivered: int | None = None if last is None else last.update_id
        self._had_book = last is not None
        self._synced_at: int | None = None
        self._held: deque[BookChange] = deque(maxlen=max_held)
        self._snapshots = Snapshots(context, request, self._wants_snapshot, self._load)
        self._older = (-1, 0)
        self.resyncs = 0
        self.lost = 0

    @property
    def pending(self) -> bool:
        return self.connected and (not self._live or self._unsure or self._synced_at is not None)

    @property
    def complete(self) -> bool:
        if not self.connected or not self._live or self._unsure:
            return False
        return self._synced_at is None or self._snapshots.now >= self._live_since + PATIENCE

    @property
    def last_id(self) -> int | None:
        return self._delivered

    def accept(self, record: BookChange) -> None:
        """Apply what continues the book and write it; else see what it is."""
        self.seen += 1
        if self._live and record.first_id <= self._next <= record.last_id:
            self._apply(record)
        elif not self._live:
            self._hold(record)
        elif record.last_id < self._next and not self._begins_again(record):
            self.duplicates += 1
        else:
            self._lose(f"update {record.first_id} does not continue {self._next - 1}")
            self._hold(record)

    def resume(self) -> None:
        """The book is right again when the next change continues it, or when a snapshot says that none came."""
        super().resume()
        self._unsure = self._live
        self._snapshots.ask_in(PATIENCE)

    def doubt(self) -> None:
        """A snapshot tells whether the book moved on."""
        if self._live:
            self._unsure = True
            self._snapshots.ask_in(0.0)

    def tick(self, now: float) -> None:
        """Ask when it is time to; renew the book's far levels when the near ones could run out."""
        self._snapshots.tick(now)
        if self._live:
            self._refresh.look(self._levels, now)

    def beat(self, heartbeat: Heartbeat) -> None:
        """Before promising that all was written, write down what was not."""
        if self.complete:
            self._settle(None, heartbeat.event_time)
            self.publish(heartbeat)

    def _apply(self, change: BookChange) -> None:
        try:
            self._book.apply(change.bids, change.asks)
        except CrossedBook as error:
            self._lose(f"crossed by update {change.last_id}")
            self._snapshots.was_useless()
            raise FrameError(str(error), self.symbol) from error
        self._next = change.last_id + 1
        self._unsure = False
        if self._refresh.wanted:
            self._refresh.follow(change)
        if self._synced_at is not None and not self._settle(change, change.event_time):
            return
        record = Book(
            symbol=self.symbol,
            event_time=change.event_time,
            receive_time=change.receive_time,
            update_id=change.last_id,
            bids=self._book.bids.top(self._levels),
            asks=self._book.asks.top(self._levels),
        )
        self._delivered = change.last_id
        self.last = record
        self.publish(record)

    def _settle(self, change: BookChange | None, time: int | None) -> bool:
        """After a sync, write down what lies between the last record and `change` (the snapshot, for None).

        `time` is the exchange's, and the time of what is written: a snapshot has none, a heartbeat behind it has.
        False when `change` had been written before: another process did, or the exchange repeats itself.
        """
        start, delivered = self._synced_at, self._delivered
        if start is None:
            return True
        if change is not None and delivered is not None and change.last_id <= delivered:
            if not self._is_later(change):
                self.duplicates += 1
                return False
            delivered = None
        self._synced_at = None
        if delivered is not None and (start + 1 if change is None else change.first_id) > delivered + 1:
            last = start if change is None else change.last_id - 1
            self.lost += last - delivered
            _log.warning("updates %d to %d are missing", delivered + 1, last, extra={"symbol": self.symbol})
            self._context.event("gap", self.symbol, self.feed, event_time=time, first_id=delivered + 1, last_id=last)
        if change is None:
            self._delivered = max(start, delivered or 0)
        kind: FeedEventKind = "resync" if self._had_book else "synced"
        self._context.event(kind, self.symbol, self.feed, event_time=time, first_id=start)
        self._had_book = True
        return True

    def _begins_again(self, change: BookChange) -> bool:
        """Whether the exchange numbers its updates anew: older ids at later times, and nothing else for a while."""
        if not self._is_later(change):
            return False
        position, count = self._older
        self._older = (self._next, count + 1 if position == self._next else 1)
        return self._older[1] >= OLDER

    def _is_later(self, change: BookChange) -> bool:
        return self.last is not None and (change.event_time or 0) > (self.last.event_time or 0)

    def _hold(self, change: BookChange) -> None:
        held = self._held
        if held:
            newest = held[-1]
            if change.last_id <= newest.last_id and (change.event_time or 0) <= (newest.event_time or 0):
                self.duplicates += 1
                return
            if not change.first_id <= newest.last_id + 1 <= change.last_id:
                held.clear()
        held.append(change)
        self._snapshots.ask_now()

    def _lose(self, reason: str) -> None:
        """The book is no longer right."""
        _log.warning("book lost: %s", reason, extra={"symbol": self.symbol})
        self._live = self._unsure = False
        self.resyncs += 1
        self._held.clear()
        self._refresh.forget()

    def _wants_snapshot(self) -> bool:
        return self.connected and (not self._live or self._unsure)

    def _load(self, snapshot: BookSnapshot) -> None:
        """Start from a snapshot, or ask for a newer one while it ends before the first change that is held."""
        if self._live:
            if not self._unsure:
                return
            if snapshot.last_id < self._next:
                self._unsure = False
                return
            self._lose(f"the exchange is at update {snapshot.last_id}, the book at {self._next - 1}")
        if self._held and snapshot.last_id < self._held[0].first_id:
            self._snapshots.was_useless()
            return
        changes = [change for change in self._held if change.last_id > snapshot.last_id]
        self._held.clear()
        try:
            self._book.load(
                snapshot.bids, snapshot.asks, bids_whole=snapshot.bids_whole, asks_whole=snapshot.asks_whole
            )
            self._live, self._live_since, self._synced_at = True, self._snapshots.now, snapshot.last_id
            self._next = snapshot.last_id + 1
            for change in changes:
                self._apply_held(change)
        except (CrossedBook, FrameError) as error:
            _log.warning("a snapshot and its changes do not fit: %s", error, extra={"symbol": self.symbol})
            self._live = False
            self._snapshots.was_useless()

    def _apply_held(self, change: BookChange) -> None:
        try:
            self._apply(change)
        except FrameError as error:
            self._context.dead_letter(msgspec.json.encode(change), error, "held while the book was fetched")
            raise

    def state(self) -> dict[str, object]:
        return super().state() | {"synced": self._live and not self._unsure, "resyncs": self.resyncs, "lost": self.lost}
