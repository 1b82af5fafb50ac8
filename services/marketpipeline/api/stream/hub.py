"""The middle of the stream: what is newest, what was last, and who reads. All of it happens on the event loop.

An id of the stream is `<seq>.<received>.<epoch>`: the place of an update in the stream of this process, when ingestion
received the newest of all until then (milliseconds), and the process. In the process that gave it, a reader that comes
back gets exactly what it missed. Another replica, or the same one after its restart, gives all that was received from a
few seconds before on: some of it again, none of it left out. Where the last updates do not reach back so far, the
reader gets a snapshot instead.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from marketpipeline.api.stream.mailbox import Mailbox
from marketpipeline.api.stream.updates import Batch, Update, Wanted, message

__all__ = ["KEPT", "Hub", "Reading"]

KEPT = 20_000
"""Updates that are kept for readers that come back, of half a kilobyte each."""

MOST_RECENT = 1_000
"""Of what is recent (alerts) so many are in a snapshot at the most, as in the cache."""

OVERLAP_MS = 10_000
"""How much earlier another process goes on: nothing is under way for longer than what was received after it."""

_AT_ONCE = 500
_ID = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})\.([0-9a-f]{1,16})", re.ASCII)


class Reading:
    """A reader that is being served: what it gets first (its kind, id and message), what it missed before it came back,
    and its mailbox."""

    def __init__(self, wanted: Wanted, first: tuple[str, str, bytes], missed: Sequence[Batch] = ()) -> None:
        self.wanted, self.first, self.missed = wanted, first, missed
        self.mailbox = Mailbox()


class _Group:
    """Readers that asked for the same: what goes out to them is made once."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.readings: dict[Reading, None] = {}
        self.updates: list[Update] = []


class Hub:
    """Takes updates in and hands them to readers. `live` says whether the topics are being read."""

    def __init__(self) -> None:
        self._epoch = f"{time.time_ns() // 1_000_000:x}"
        self._seq = 0
        self._received = 0
        self._kept: deque[Update] = deque()
        self._told: set[tuple[str, str, str]] = set()
        self._complete_since: int | None = None
        self._newest: dict[tuple[str, str], tuple[str, Update]] = {}
        self._recent: dict[tuple[str, str], None] = {}
        self._groups: dict[Wanted, _Group] = {}
        self._by_symbol: dict[str, dict[_Group, None]] = {}
        self.live = False
        self.readers = 0
        self.updates = 0
        self._left_out = 0

    @property
    def left_out(self) -> int:
        """Updates that readers did not get since the start, since they were slow."""
        return self._left_out + sum(reading.mailbox.skipped for reading in self._readings())

    @property
    def last_id(self) -> str:
        """The id of what came last."""
        return self._id(self._seq)

    def begin(self, complete_since: int) -> None:
        """The topics are read anew: what was received from `complete_since` (microseconds) on is told or kept.

        What was kept before goes: between it and what comes now something may be missing.
        """
        self._kept.clear()
        self._told.clear()
        self._seq += 1
        self._complete_since = complete_since

    def seed(self, updates: Iterable[Update]) -> None:
        """Take in what a store has as newest, for snapshots; it changes nothing where something newer is known."""
        for update in updates:
            self._note(update)

    def take_in(self, updates: Iterable[Update]) -> None:
        """What the topics had before now: it is kept for readers that come back.

        To those that are here already, since the broker was away when they came, the newest of it is told.
        """
        known = dict(self._newest)
        newest = {update.key: update for update in self._accepted(updates)}
        self._hand_out(update for key, update in newest.items() if self._newest.get(key) != known.get(key))

    def publish(self, updates: Iterable[Update]) -> None:
        """Hand updates to everyone who wants them."""
        self._hand_out(self._accepted(updates))

    def pass_on(self, updates: Iterable[Update]) -> None:
        """Hand on what counts until the next of its kind: it is in snapshots, and not in what is gone on from."""
        self._hand_out([update for update in updates if self._note(update)])

    def forget(self, entry: str) -> None:
        """Have nothing of an entry in snapshots any more: it is too old to be told."""
        for key in [key for key in self._newest if key[1] == entry]:
            del self._newest[key]

    def _hand_out(self, updates: Iterable[Update]) -> None:
        touched: dict[_Group, None] = {}
        for update in updates:
            for group in self._by_symbol.get(update.symbol, ()):
                if group.wanted.has(update):
                    group.updates.append(update)
                    touched[group] = None
        for group in touched:
            batch, group.updates = Batch(group.updates, self.last_id), []
            for reading in group.readings:
                reading.mailbox.put(batch)

    def set_live(self, live: bool) -> None:
        """The broker is there, or away; readers are told when that changes."""
        if live != self.live:
            self.live = live
            for reading in self._readings():
                reading.mailbox.say("status", live=live)

    def join(self, wanted: Wanted, after: str | None = None) -> Reading:
        """A new reader. It goes on after an id, if all that it missed since then is here."""
        missed = None if after is None else self._missed(wanted, after)
        if missed is None:
            reading = Reading(wanted, self._first(self.last_id, "snapshot", self._snapshot(wanted)))
        else:
            parts = [missed[at : at + _AT_ONCE] for at in range(0, len(missed), _AT_ONCE)]
            first = self._first(after or "", "resumed")
            reading = Reading(wanted, first, [Batch(part, self._id(part[-1].seq)) for part in parts])
        group = self._groups.setdefault(wanted, _Group(wanted))
        group.readings[reading] = None
        for symbol in wanted.symbols:
            self._by_symbol.setdefault(symbol, {})[group] = None
        self.readers += 1
        return reading

    def leave(self, reading: Reading) -> None:
        """A reader is gone."""
        self.readers -= 1
        self._left_out += reading.mailbox.skipped
        group = self._groups[reading.wanted]
        del group.readings[reading]
        if not group.readings:
            del self._groups[reading.wanted]
            for symbol in reading.wanted.symbols:
                del self._by_symbol[symbol][group]

    def close(self) -> None:
        """Every reader ends."""
        for reading in self._readings():
            reading.mailbox.close()

    def _readings(self) -> Iterator[Reading]:
        return (reading for group in self._groups.values() for reading in group.readings)

    def _id(self, seq: int) -> str:
        return f"{seq}.{self._received // 1_000}.{self._epoch}"

    def _first(self, last: str, kind: str, updates: Iterable[Update] | None = None) -> tuple[str, str, bytes]:
        return kind, last, message(kind, last, updates, live=self.live)

    def _snapshot(self, wanted: Wanted) -> list[Update]:
        found = {id(update): update for _, update in self._newest.values() if wanted.has(update)}
        return sorted(found.values(), key=lambda update: update.received)

    def _missed(self, wanted: Wanted, after: str) -> list[Update] | None:
        """What came after an id; None where that is not known whole."""
        found = _ID.fullmatch(after)
        if found is None or self._complete_since is None:
            return None
        seq, received, epoch = int(found[1]), int(found[2]), found[3]
        first = self._kept[0].seq if self._kept else self._seq + 1
        if epoch == self._epoch and first - 1 <= seq <= self._seq:
            return [update for update in self._kept if update.seq > seq and wanted.has(update)]
        since = (received - OVERLAP_MS) * 1_000
        if since < self._complete_since:
            return None
        return [update for update in self._kept if update.received >= since and wanted.has(update)]

    def _accepted(self, updates: Iterable[Update]) -> Iterator[Update]:
        """Those that are news, numbered, noted and kept: nothing twice, and what has a rank only where it is further
        on."""
        for update in updates:
            if (not self._note(update) and update.is_ranked) or update.identity in self._told:
                continue
            self._seq += 1
            update.seq = self._seq
            self._received = max(self._received, update.received)
            self._keep(update)
            self.updates += 1
            yield update

    def _keep(self, update: Update) -> None:
        if len(self._kept) == KEPT:
            oldest = self._kept.popleft()
            self._told.discard(oldest.identity)
            if self._complete_since is not None:
                self._complete_since = max(self._complete_since, oldest.received + 1)
        self._kept.append(update)
        self._told.add(update.identity)

    def _note(self, update: Update) -> bool:
        """Keep it where it is the newest of something; whether it is."""
        news = False
        for entry, order in update.entries:
            key = (update.symbol, entry)
            known = self._newest.get(key)
            if known is None or known[0] < order:
                self._newest[key] = (order, update)
                news = True
        if news and update.is_recent:
            self._recent.pop(update.key, None)
            self._recent[update.key] = None
            while len(self._recent) > MOST_RECENT:
                oldest = next(iter(self._recent))
                del self._recent[oldest], self._newest[oldest]
        return news
