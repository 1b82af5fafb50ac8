"""The handler of a book kept from its changes: a snapshot, then every change that continues it, one record each.

    idle ──subscribed──▶ syncing ──snapshot + changes that continue it──▶ live ──gap, crossed, checksum──▶ syncing

Which change continues another is the exchange's rule (`venues.continuity`), and so is whether the snapshot is fetched
over REST or pushed by the stream. Only the symbol that lost something synchronises again. What is missing is told once
it is known: from the update after the last record to the update before the next one. While a lost connection is
replaced the book is kept: where the next change continues it, nothing was lost and nothing is fetched.

Another process may follow the same symbol and be a moment slower. So the first records after a sync wait until the
topic has reached the snapshot: whoever reads the topic and drops what is older loses nothing, and sees no gap.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

import msgspec

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.book import CrossedBook, LocalBook
from marketpipeline.ingestion.context import Context, Publish, StreamHandler
from marketpipeline.ingestion.snapshots import PUSHED_WITHIN, Refresh, Snapshots
from marketpipeline.ingestion.written import LOOK_AGAIN, Written
from marketpipeline.records import Book, FeedEventKind, Heartbeat
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import BookRules, RestRequest, SnapshotSource, UnknownSymbol
from marketpipeline.venues.continuity import BookChecksum, Verdict
from marketpipeline.venues.messages import BookChange, BookSnapshot, FrameError

__all__ = ["OLDER", "PATIENCE", "OrderBookBuilder"]

_log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that a first change is waited for, after subscribing and after a snapshot."""
OLDER = 20
"""So many changes with older ids and later times, and no other, mean that the exchange's numbers start again."""

LOOKS = 6
"""So often the topic is looked at, while another process may write there what lies before a snapshot."""

_CONTINUES = Verdict.CONTINUES


class OrderBookBuilder(StreamHandler):
    """The book of one symbol. `levels` of each side go into a record; `last` is the newest that the topic holds.
    `request` makes the REST request of a snapshot, None where the exchange offers none.

    At most `max_held` changes are held while a snapshot is awaited; with more the oldest are forgotten, and the
    snapshot has to be newer.
    """

    beats = True

    def __init__(
        self,
        symbol: str,
        publish: Publish,
        context: Context,
        rules: BookRules,
        request: Callable[[], RestRequest[BookSnapshot] | None],
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
        self._rule = rules.continuity
        self._judge = rules.continuity.starts
        self._checksum = rules.checksum() if rules.checksum is not None else None
        self._request = request
        self._pushed = rules.snapshot is SnapshotSource.PUSHED
        self._push_owed = False
        self._fetching = False
        self._refresh = Refresh(self._book, context, request)
        self._live = False
        self._live_since = 0.0
        self._unsure = False
        self._last_id = -1
        self._newer: BookSnapshot | None = None
        self._pushed_at = -inf
        self._comparing = False
        self._delivered: int | None = None if last is None else last.update_id
        self._had_book = last is not None
        self._synced_at: int | None = None
        self._held: deque[BookChange] = deque(maxlen=max_held)
        self._waiting: deque[tuple[BookChange, Book]] | None = None
        self._max_waiting = max_held
        self._looks = 0
        self._look_at: float | None = None
        self._snapshots = Snapshots(self._ask, self._wants_snapshot, pushed=self._pushed)
        self._older = (-1, 0)
        self.resyncs = 0
        self.lost = 0
        self.checksums = 0

    @property
    def pending(self) -> bool:
        return self.connected and (not self._live or self._unsure or self._synced_at is not None)

    @property
    def complete(self) -> bool:
        if not self.connected or not self._live or self._unsure or self._waiting is not None:
            return False
        return self._synced_at is None or self._snapshots.now >= self._live_since + PATIENCE

    @property
    def last_id(self) -> int | None:
        return self._delivered

    def accept(self, record: Any) -> None:
        """Apply a change that continues the book and write that; else see what it is. A snapshot was pushed."""
        self.seen += 1
        if type(record) is BookSnapshot:
            self._take_pushed(record)
        elif not self._live:
            self._hold(record)
        else:
            verdict = self._judge(self._last_id, record)
            if verdict is _CONTINUES:
                self._apply(record)
            else:
                self._accept_other(verdict, record)

    def resume(self) -> None:
        """The book is right again when the next change continues it, or when a snapshot says that none came."""
        super().resume()
        reached = self._newer is None or self._newer.last_id <= self._last_id
        just_pushed = self._snapshots.now - self._pushed_at <= PUSHED_WITHIN
        self._push_owed = self._push_owed or not just_pushed
        self._unsure = self._live and not (just_pushed and reached)
        self._snapshots.subscribed(PATIENCE)

    def interrupt(self) -> None:
        super().interrupt()
        self._pushed_at = -inf

    def doubt(self) -> None:
        """A snapshot tells whether the book moved on."""
        if self._live:
            self._unsure = True
            self._snapshots.ask_in(0.0)

    def leave(self) -> None:
        self._go_on()

    def tick(self, now: float) -> None:
        """Ask when it is time to; renew the book's far levels when the near ones could run out."""
        self._snapshots.tick(now)
        if self._look_at is not None and now >= self._look_at:
            self._look()
        if self._live:
            self._refresh.look(self._levels, now)

    def beat(self, heartbeat: Heartbeat) -> None:
        """Before promising that all was written, write down what was not."""
        if self.complete:
            self._settle(None, heartbeat.event_time)
            self.publish(heartbeat)

    def _accept_other(self, verdict: Verdict, change: BookChange) -> None:
        newer = self._newer
        if verdict is Verdict.HEARTBEAT:
            self._unsure = False
        elif verdict is Verdict.RESET:
            _log.info("ids go on from %d after %d", change.last_id, self._last_id, extra={"symbol": self.symbol})
            self._apply(change)
        elif verdict is Verdict.DUPLICATE and not self._is_later(change):
            self.duplicates += 1
        elif newer is not None and self._rule.starts(newer.last_id, change) is _CONTINUES:
            self._lose(f"update {change.last_id} continues a snapshot that was pushed")
            self._load(newer)
            if self._live:
                self._apply(change)
        elif verdict is Verdict.DUPLICATE and not self._begins_again():
            self.duplicates += 1
        else:
            self._lose(f"update {change.first_id} does not continue {self._last_id}")
            self._hold(change)

    def _take_pushed(self, snapshot: BookSnapshot) -> None:
        """It is where the book starts; while that is live and in no doubt, it may be of a second connection."""
        self._pushed_at = self._snapshots.now
        self._push_owed = False
        if self._live and not self._unsure:
            self._newer = snapshot
            return
        self._load(snapshot)

    def _apply(self, change: BookChange) -> None:
        try:
            self._book.apply(change.bids, change.asks)
            if self._checksum is not None:
                self._compare(change, self._checksum)
        except CrossedBook as error:
            self._lose(f"wrong after update {change.last_id}")
            self._snapshots.was_useless()
            raise FrameError(str(error), self.symbol) from error
        before, self._last_id = self._last_id, change.last_id
        self._judge = self._rule.follows
        self._unsure = False
        if self._refresh.wanted:
            self._refresh.follow(change)
        self._write(change, before)

    def _write(self, change: BookChange, before: int) -> None:
        """The book after `change`, which continues the update `before`, as a record, unless it was written before."""
        record = Book(
            symbol=self.symbol,
            event_time=change.event_time,
            receive_time=change.receive_time,
            update_id=change.last_id,
            previous_id=before,
            bids=self._book.bids.top(self._levels),
            asks=self._book.asks.top(self._levels),
        )
        if self._waiting is None:
            self._hand_on(change, record)
        else:
            self._waiting.append((change, record))
            if len(self._waiting) > self._max_waiting:
                self._go_on()

    def _hand_on(self, change: BookChange, record: Book) -> None:
        if self._synced_at is not None and not self._settle(change, change.event_time):
            return
        self._delivered = change.last_id
        self.last = record
        self.publish(record)

    def _look(self) -> bool:
        """Ask whether the topic has reached the snapshot; False where nobody looks."""
        self._look_at = None
        self._looks += 1
        after = -1 if self._delivered is None else self._delivered
        return self._context.look(self.symbol, self.feed, after, self.whole_at, self._seen)

    def _seen(self, written: Written | None) -> None:
        """What others wrote lies before the first record that waits, or is waited for, or is missing."""
        if self._waiting is None or self._synced_at is None:
            return
        if self._delivered is None and written is not None and written.spans:
            self._delivered = written.spans[-1][1]  # others began while this process did
        if self._delivered is None:
            self._go_on()
            return
        whole = written is not None and not written.missing(self._delivered + 1, self._synced_at)
        if not whole and self._looks < LOOKS and (written is None or written.others):
            self._look_at = self._snapshots.now + LOOK_AGAIN
            return
        if whole:
            self._delivered = max(self._delivered, self._synced_at)
        self._go_on()

    def _go_on(self) -> None:
        """Hand on what waits."""
        waiting, self._waiting, self._look_at = self._waiting or (), None, None
        for change, record in waiting:
            self._hand_on(change, record)

    def _settle(self, change: BookChange | None, time: int | None) -> bool:
        """After a sync, write down what lies between the last record and `change` (the snapshot, for None).

        `time` is the exchange's and that of what is written: a fetched snapshot has none, a heartbeat after it has.
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
            _log.info("updates %d to %d did not come here", delivered + 1, last, extra={"symbol": self.symbol})
            self._context.event("gap", self.symbol, self.feed, event_time=time, first_id=delivered + 1, last_id=last)
        if change is None:
            self._delivered = max(start, delivered or 0)
        kind: FeedEventKind = "resync" if self._had_book else "synced"
        self._context.event(kind, self.symbol, self.feed, event_time=time, first_id=start)
        self._had_book = True
        return True

    def _compare(self, change: BookChange | BookSnapshot, checksum: BookChecksum) -> None:
        """Follow the exchange's own text where it sends checksums; raises CrossedBook when one does not match."""
        if isinstance(change, BookSnapshot):
            self._comparing = change.raw is not None
        if not self._comparing or change.raw is None:
            self._comparing = False
            return
        (checksum.load if isinstance(change, BookSnapshot) else checksum.apply)(change.raw)
        if not change.checksum:
            return
        self.checksums += 1
        if not checksum.matches(change.checksum):
            raise CrossedBook(f"checksum {change.checksum} of update {change.last_id} is not that of the book")

    def _begins_again(self) -> bool:
        """Whether the exchange's numbers start again: older ids at later times, and nothing else for a while."""
        position, count = self._older
        self._older = (self._last_id, count + 1 if position == self._last_id else 1)
        return self._older[1] >= OLDER

    def _is_later(self, change: BookChange) -> bool:
        return self.last is not None and (change.event_time or 0) > (self.last.event_time or 0)

    def _hold(self, change: BookChange) -> None:
        held = self._held
        if held:
            newest = held[-1]
            verdict = self._rule.follows(newest.last_id, change)
            if verdict is Verdict.HEARTBEAT:
                return
            if verdict is Verdict.DUPLICATE and (change.event_time or 0) <= (newest.event_time or 0):
                self.duplicates += 1
                return
            if verdict not in (Verdict.CONTINUES, Verdict.RESET):
                held.clear()
        held.append(change)
        self._snapshots.ask_now()

    def _lose(self, reason: str) -> None:
        """The book is no longer right; what waits was."""
        self._go_on()
        _log.warning("book lost: %s", reason, extra={"symbol": self.symbol})
        self._live = self._unsure = False
        self.resyncs += 1
        self._newer = None
        self._held.clear()
        self._refresh.forget()

    def _wants_snapshot(self) -> bool:
        return self.connected and (not self._live or self._unsure)

    def _ask(self, patient: bool) -> None:
        """Where the exchange pushes snapshots, ask for the stream again; where it did not when it should, use REST."""
        if self._fetching:
            return
        request = self._request() if self._push_owed or not self._pushed else None
        if request is None:
            self._push_owed = True
            self._context.resubscribe(self.symbol, self.feed)
        else:
            self._fetching = True
            self._context.ask(request, self._fetched, self._refused, patient=patient)

    def _fetched(self, snapshot: BookSnapshot) -> None:
        self._fetching = False
        self._load(snapshot)

    def _refused(self, error: PermanentError) -> None:
        self._fetching = False
        unlisted = isinstance(error, UnknownSymbol)
        if unlisted:
            self._context.unlisted(self.symbol, self.feed, str(error))
        self._snapshots.refused(error, unlisted=unlisted)

    def _load(self, snapshot: BookSnapshot) -> None:
        """Start from a snapshot, or ask for a newer one while it ends before the first change that is held."""
        self._snapshots.answered()
        self._context.listed(self.symbol)
        if self._live:
            if not self._unsure:
                return
            if snapshot.last_id <= self._last_id:
                self._unsure = False
                return
            self._lose(f"the exchange is at update {snapshot.last_id}, the book at {self._last_id}")
        if self._held and not self._rule.reaches(snapshot.last_id, self._held[0]):
            self._snapshots.was_early()
            return
        changes = [change for change in self._held if change.last_id > snapshot.last_id]
        self._held.clear()
        try:
            self._book.load(
                snapshot.bids, snapshot.asks, bids_whole=snapshot.bids_whole, asks_whole=snapshot.asks_whole
            )
            if self._checksum is not None:
                self._compare(snapshot, self._checksum)
            self._live, self._live_since, self._synced_at = True, self._snapshots.now, snapshot.last_id
            self._last_id, self._judge = snapshot.last_id, self._rule.starts
            self._looks = 0
            if (self._delivered is None or self._delivered < snapshot.last_id) and self._look():
                self._waiting = deque()
            if snapshot.symbol:
                self._write(_as_change(snapshot), snapshot.last_id)
            for change in changes:
                self._apply_held(change)
            self._snapshots.fitted()
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
        return super().state() | {
            "synced": self._live and not self._unsure,
            "resyncs": self.resyncs,
            "lost": self.lost,
            "checksums": self.checksums,
        }


def _as_change(snapshot: BookSnapshot) -> BookChange:
    """A pushed snapshot as the update that it is the result of."""
    last = snapshot.last_id
    return BookChange(snapshot.symbol, snapshot.event_time, snapshot.receive_time, last, last, [], [])
