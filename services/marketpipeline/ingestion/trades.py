"""The handlers of trades: in order, each once, with what was missed fetched by id and put before what followed.

Ids of a symbol's trades have no holes. So one rule serves for a reconnect, a restart, two connections at a time
and an exchange that lost messages: what continues is handed on, what is older has come before, and what lies further
on is held until the trades between were fetched over REST, page by page (`Backfill`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

import msgspec

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.context import Context, Publish, StreamHandler
from marketpipeline.ingestion.written import LOOK_AGAIN, Written
from marketpipeline.records import AggTrade, Heartbeat, Trade
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import Feed
from marketpipeline.venues.adapter import Page, RestRequest, UnknownSymbol
from marketpipeline.venues.messages import BadRow, FrameError

__all__ = [
    "OLDER",
    "RETRIES",
    "TradeBounds",
    "TradeHandler",
    "agg_trade_id",
    "first_trade_id",
    "last_trade_id",
    "trade_id",
]

_log = logging.getLogger(__name__)

R = TypeVar("R", Trade, AggTrade)

RETRIES = 5
RETRY_AFTER = 0.5
"""The stream may be ahead of REST: how often, and after how many seconds, a hole is asked for again."""

MISSED_EVERY = 60.0
"""Seconds before trades that came with a wrong time are fetched again: a stream may have nothing else."""

LOOKS = 4
"""So often the topic is looked at, while another process may write there what is missing, before REST is asked."""

OLDER = 20
"""So many trades with older ids and later times, and none that continue, mean that its numbers start again."""


trade_id: Callable[[Trade], int] = attrgetter("trade_id")
agg_trade_id: Callable[[AggTrade], int] = attrgetter("agg_trade_id")
first_trade_id: Callable[[AggTrade], int] = attrgetter("first_trade_id")
last_trade_id: Callable[[AggTrade], int] = attrgetter("last_trade_id")
"""What numbers trades, and aggregate trades: by ids of their own, or by those of the trades in them."""

UNUSABLE = "the exchange gives it in a form that cannot be used: see the dead letters"


@dataclass(frozen=True, slots=True)
class TradeBounds:
    """What bounds a backfill and what is held, in trades, and the difference of a trade's two times, in µs."""

    max_backfill: int = 100_000
    max_held: int = 50_000
    max_ahead: int = 10_000_000
    max_behind: int = 600_000_000

    @classmethod
    def of(cls, settings: IngestionSettings) -> TradeBounds:
        """As the settings say."""
        return cls(
            settings.max_backfill, settings.max_held, settings.max_ahead_ms * 1000, settings.max_behind_ms * 1000
        )


class TradeHandler(StreamHandler, Generic[R]):
    """Trades, or aggregate trades, of one symbol.

    `request(first_id, limit)` asks for a page of past ones, `first_id` None for the newest; None where the exchange
    offers none. At most `max_backfill` are fetched after an interruption. At most `max_held` live ones are held back;
    one beyond that is dropped here and fetched like any other that was missed. In `held`, None stands for one that
    came and cannot be used. `last` is the newest record that the topic holds. `dropped` says that what is held does
    not lead up to the present: some were dropped, or were held before an interruption. `last_id_of` gives the last id
    of a record that spans several, `id_of` then its first.
    """

    def __init__(
        self,
        symbol: str,
        feed: Feed,
        publish: Publish,
        context: Context,
        id_of: Callable[[R], int],
        request: Callable[[int | None, int], RestRequest[Page[R]] | None],
        *,
        page: int,
        bounds: TradeBounds,
        last: R | None = None,
        last_id_of: Callable[[R], int] | None = None,
    ) -> None:
        super().__init__(symbol, feed, publish)
        self.beats = feed is Feed.TRADES
        self.context = context
        self.id_of: Callable[[R], int] = id_of
        self.request: Callable[[int | None, int], RestRequest[Page[R]] | None] = request
        self.page = page
        self.bounds = bounds
        self.last: R | None = last
        self._last_id_of: Callable[[R], int] | None = last_id_of
        self.next: int | None = None if last is None else self._after(last)
        self.subscription = 0
        self.held: dict[int, R | None] = {}
        self.dropped = False
        self.backfilled = 0
        self.lost = 0
        self._least, self._most = -bounds.max_ahead, bounds.max_behind
        self._backfill: Backfill[R] | None = None
        self._refused = ""
        self._older: list[R] = []
        self._older_at: int | None = None
        self._doubted_at = -1
        self._deaf_at = -1
        self._paused = False
        self._missed = -1
        self._missed_in: Backfill[R] | None = None
        self._fetch_missed_at = 0.0

    @property
    def pending(self) -> bool:
        return self._backfill is not None

    @property
    def complete(self) -> bool:
        return self.connected and not (self._backfill is not None or self.deaf or self._paused or self._is_missing)

    @property
    def _is_missing(self) -> bool:
        """Whether a trade came whose time cannot be, and was not fetched since."""
        return self.next is not None and self._missed >= self.next

    @property
    def deaf(self) -> bool:
        return self._deaf_at == self.seen

    @property
    def last_id(self) -> int | None:
        return None if self.next is None else self.next - 1

    def accept(self, record: R) -> None:
        """Hand on what continues; else see what it is. Raises FrameError when its two times cannot both be true."""
        self.seen += 1
        event_time = record.event_time
        if event_time is not None and not self._least <= event_time - record.trade_time <= self._most:
            raise FrameError(
                f"trade time {record.trade_time} is implausible beside the event time {event_time}", self.symbol
            )
        number = self.id_of(record)
        if number == self.next:
            self.next = number + 1 if self._last_id_of is None else self._after(record)
            self.last = record
            self.publish(record)
            if self.held or self._backfill is not None or self._refused:
                self._continued(number)
        else:
            self._accept_other(number, record)

    def skip(self, number: int | None) -> None:
        """One that came cannot be used. Unless it comes again, in order and right, it is a gap of one, at once."""
        self.seen += 1
        if number is None or self.next is None:
            return
        if len(self.held) >= self.bounds.max_held:
            self.drain()
        if number < self.next:
            self.duplicates += 1
        elif number not in self.held:
            self._hold(number, None)
            if number > self.next and number - 1 not in self.held:
                self._begin()

    def miss(self, record: R) -> None:
        """REST may have it right: until it was asked, no heartbeat promises that everything came."""
        self._missed = max(self._missed, self.id_of(record))
        self._missed_in = self._backfill

    def pause(self) -> None:
        self._paused = True

    def unpause(self) -> None:
        """What was sent while it was not subscribed is fetched, as after an interruption."""
        if self._paused:
            if self._backfill is None:
                self._doubted_at = -1
            self.resume()

    def interrupt(self) -> None:
        super().interrupt()
        self._paused = False

    def beat(self, heartbeat: Heartbeat) -> None:
        """Before promising that all was written, write down what cannot be."""
        if self.complete:
            self.drain()
            self.publish(heartbeat)

    def resume(self) -> None:
        """Fetch what was missed, if anything had come before."""
        super().resume()
        self._paused = False
        self.subscription += 1
        self.dropped = self.dropped or bool(self.held)
        if self.next is not None:
            self._begin()

    def doubt(self) -> None:
        """Ask for what follows the last one; if there is something, the stream did not tell it."""
        if self.next is not None:
            self._doubted_at = self.seen
            self._begin()

    def tick(self, now: float) -> None:
        if self._backfill is not None:
            self._backfill.tick(now)
        elif self._is_missing and self.connected and now >= self._fetch_missed_at:
            self._fetch_missed_at = now + MISSED_EVERY
            self._begin()

    def hand_on(self, record: R) -> None:
        """Write a record and count on from it."""
        self.next = self._after(record)
        self.last = record
        self.publish(record)

    def follow(self, last: R) -> None:
        """Others have written everything up to `last`: go on behind it."""
        number = self.id_of(last)
        if self.next is None or number < self.next:
            return
        for written in [held for held in self.held if held <= number]:
            del self.held[written]
            self.duplicates += 1
        self.next = number + 1
        self.last = last
        if self._doubted_at == self.seen:
            self._deaf_at = self.seen
        self.drain()

    def give_up(self, number: int) -> None:
        """The next one cannot be used by anyone: count on from it."""
        self._write_gap(number, number, UNUSABLE)
        self.next = number + 1

    def drain(self) -> None:
        """Hand on the held ones that now continue."""
        while self.next is not None and self.next in self.held:
            record = self.held.pop(self.next)
            if record is None:
                self.give_up(self.next)
            else:
                self.hand_on(record)

    def lose_until(self, number: int, reason: str) -> None:
        """Go on at `number`; what lies before it and is not held is a gap."""
        self.drain()
        while self.next is not None and self.next < number:
            end = min([number, *self.held])
            self._write_gap(self.next, end - 1, reason)
            self.next = end
            self.drain()

    def end_backfill(self, first: int | None, last: int | None, refused: str = "") -> None:
        """The backfill is over, `first` to `last` fetched; after a refusal the next live record tells what is lost."""
        if self._missed_in is None:
            self._missed = -1
        self._backfill = self._missed_in = None
        self._refused = refused
        if first is not None:
            if self._doubted_at == self.seen:
                self._deaf_at = self.seen
            time = None if self.last is None else self.last.trade_time
            self.context.event("backfill", self.symbol, self.feed, event_time=time, first_id=first, last_id=last)

    def _continued(self, number: int) -> None:
        """A live one continued the last, so what was refused is of no matter, and what is held may follow."""
        self.held.pop(number, None)
        self._refused = ""
        if self._backfill is not None:
            self._backfill.linked()

    def _accept_other(self, number: int, record: R) -> None:
        self.drain()
        if self.next is None:
            self.hand_on(record)
        elif number == self.next:
            self.hand_on(record)
            self._continued(number)
        elif number < self.next:
            if self.last is not None and record.trade_time > self.last.trade_time:
                self._doubt_numbers(number, record)
            else:
                self.duplicates += 1
        elif self._refused:
            self.lose_until(number, self._refused)
            self._refused = ""
            self.hand_on(record)
        else:
            self._hold(number, record)
            self._begin()

    def _after(self, record: R) -> int:
        """The id that continues a record."""
        return (self._last_id_of or self.id_of)(record) + 1

    def _hold(self, number: int, record: R | None) -> None:
        if len(self.held) < self.bounds.max_held:
            self.held[number] = record
        else:
            self.dropped = True

    def _begin(self) -> None:
        if self._backfill is None:
            self._refused = ""
            self._backfill = Backfill(self)
            self._backfill.begin()

    def _doubt_numbers(self, number: int, record: R) -> None:
        """An older id at a later time: a mistake, or the first of new numbers. It is kept until that is known."""
        older = self._older
        if older and self._older_at != self.next:
            self._drop_older()
        elif older and number <= self.id_of(older[-1]):
            if record.trade_time <= older[-1].trade_time:
                self.duplicates += 1
                return
            self._drop_older()
        self._older_at = self.next
        older.append(record)
        if len(older) >= OLDER:
            self._older = []
            self._start_again(older)

    def _drop_older(self) -> None:
        self.duplicates += len(self._older)
        self._older.clear()

    def _start_again(self, records: list[R]) -> None:
        """The exchange's numbers start again with the first of `records`; their ids grow."""
        first, number = records[0], self.id_of(records[0])
        _log.warning("%s begin again at id %d", self.feed, number, extra={"symbol": self.symbol})
        detail = f"ids begin again after {self.last_id}"
        self.context.event(
            "resync", self.symbol, self.feed, event_time=first.trade_time, first_id=number, detail=detail
        )
        self.held.clear()
        self._refused = ""
        if self._backfill is not None:
            self._backfill.cancel()
            self._backfill = None
        self.hand_on(first)
        for record in records[1:]:
            if self.id_of(record) == self.next:
                self.hand_on(record)
            else:
                self._accept_other(self.id_of(record), record)

    def _write_gap(self, first: int, last: int, reason: str) -> None:
        self.lost += last - first + 1
        time = None if self.last is None else self.last.trade_time
        _log.info("%s %d to %d did not come here: %s", self.feed, first, last, reason, extra={"symbol": self.symbol})
        self.context.event("gap", self.symbol, self.feed, event_time=time, first_id=first, last_id=last, detail=reason)


class Backfill(Generic[R]):
    """One fetching of missed trades for `handler`, from its next id on, at most its `max_backfill`.

    It is over when it has reached a live record, or when a page that was asked for under the present subscription is
    not full: the exchange had no more, and what came since is on the stream. What cannot be had is a gap.
    """

    def __init__(self, handler: TradeHandler[R]) -> None:
        self._handler: TradeHandler[R] = handler
        self._first: int | None = None
        self._last: int | None = None
        self._taken = 0
        self._newest: int | None = None
        self._newest_subscription = -1
        self._retries = 0
        self._retry_at: float | None = None
        self._asked = False
        self._over = False
        self._looks = 0
        self._look_at: float | None = None

    def begin(self) -> None:
        """See first what the topic holds: another process may follow the symbol, too."""
        handler = self._handler
        self._asked = handler.context.look(handler.symbol, handler.feed, self._next() - 1, handler.whole_at, self._seen)
        self._looks += 1
        if not self._asked:
            self.step()

    def _seen(self, written: Written | None) -> None:
        """What another has written is not fetched; what it may be about to write is waited for, a few times."""
        self._asked = False
        if self._over:
            return
        handler, reached = self._handler, None if written is None else written.reached
        had_live = bool(handler.held)
        if reached is not None:
            handler.follow(reached)  # type: ignore[arg-type]  # of the kind that was asked for
        if had_live and not handler.held and not handler.dropped:
            self._end()
            return
        may_come = written is not None and written.others and self._looks < LOOKS
        if may_come and (not handler.held or min(handler.held) > self._next()):
            self._asked, self._look_at = True, 0.0
        else:
            self.step()

    def step(self) -> None:
        """Ask for what is missing next; first give up what is more than may be fetched."""
        handler = self._handler
        while not (self._over or self._asked or self._retry_at is not None):
            goal = min(handler.held) if handler.held else self._newest
            left = handler.bounds.max_backfill - self._taken
            if goal is None:
                if left > 0 and self._taken < handler.page:
                    self._ask_page(left)
                else:
                    self._ask(None, 1, self._take_newest)
                return
            if goal - self._next() > left:
                handler.lose_until(goal - left, f"more than {handler.bounds.max_backfill} to fetch")
            if self._next() < goal:
                self._ask_page(left)
                return
            handler.drain()
            if not handler.held and not handler.dropped and (self._newest is None or self._is_current()):
                self._end()
            elif not handler.held:
                self._newest = None

    def linked(self) -> None:
        """A live record continued the last one: what is held may follow now, and then nothing is missing."""
        self._handler.drain()
        if not self._handler.held and not self._handler.dropped:
            self._end()

    def tick(self, now: float) -> None:
        """Look or ask again when the time has come."""
        if self._look_at == 0.0:
            self._look_at = now + LOOK_AGAIN
        elif self._look_at is not None and now >= self._look_at:
            self._look_at = None
            self.begin()
        if self._retry_at == 0.0:
            self._retry_at = now + RETRY_AFTER
        elif self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self.step()

    def cancel(self) -> None:
        """Whatever is under way is no longer wanted."""
        self._over = True

    def _next(self) -> int:
        number = self._handler.next
        assert number is not None, "a backfill begins only after a record"
        return number

    def _is_current(self) -> bool:
        return self._newest_subscription == self._handler.subscription

    def _ask_page(self, left: int) -> None:
        self._ask(self._next(), min(self._handler.page, left), self._take_page)

    def _ask(self, first: int | None, limit: int, take: Callable[[Page[R], int, int], None]) -> None:
        handler, subscription = self._handler, self._handler.subscription
        if handler.dropped and not handler.held:
            handler.dropped = False
            self._newest = None
        self._asked = True

        def done(page: Page[R]) -> None:
            self._asked = False
            if not self._over:
                take(page, subscription, limit)

        request = handler.request(first, limit)
        if request is None:
            done(Page([], []))
        else:
            handler.context.ask(request, done, self._refused)

    def _take_newest(self, page: Page[R], subscription: int, limit: int) -> None:
        newest: int = self._next() - 1
        for record in page.records:
            newest = max(newest, self._handler.id_of(record))
        for row in page.bad:
            newest = newest if row.number is None else max(newest, row.number)
        self._newest = newest + 1
        self._newest_subscription = subscription
        self.step()

    def _take_page(self, page: Page[R], subscription: int, limit: int) -> None:
        """Take a page; one with times that seem to be ahead of the exchange's clock when that was asked for."""
        is_ahead = self._handler.context.is_ahead
        if any(is_ahead(record.trade_time, record.receive_time) for record in page.records):
            self._asked = True
            self._handler.context.learn_time(lambda: self._take_judged(page, subscription, limit))
        else:
            self._take_judged(page, subscription, limit)

    def _take_judged(self, page: Page[R], subscription: int, limit: int) -> None:
        self._asked = False
        if self._over:
            return
        handler = self._handler
        before, held = self._next(), bool(handler.held)
        for row in page.bad:
            self._take_bad(row)
        for record in page.records:
            self._take(record)
        handler.drain()
        if self._next() > before:
            self._retries = 0
        elif page.rows >= limit:
            self._refused(PermanentError("the exchange gives none that can be used"))
            return
        if page.rows < limit and handler.held:
            self._wait_or_lose()
        if not handler.held and not handler.dropped:
            caught_up = page.rows < limit and subscription == handler.subscription
            if held or caught_up:
                self._end()
        self.step()

    def _take(self, record: R) -> None:
        handler = self._handler
        number = handler.id_of(record)
        if wrong := self._wrong_time(record):
            self._take_bad(BadRow(msgspec.json.encode(record), wrong, number))
            return
        if number > self._next():
            handler.lose_until(number, "the exchange has none with these ids")
        if number < self._next():
            return
        if number in handler.held:
            handler.drain()
            return
        self._first = number if self._first is None else self._first
        self._last = number
        self._taken += 1
        handler.backfilled += 1
        handler.hand_on(record)

    def _take_bad(self, row: BadRow) -> None:
        """Keep a row that cannot be used, once; its trade is known to be lost and nothing waits for it."""
        handler, number = self._handler, row.number
        if number is not None:
            if number < self._next() or number in handler.held:
                return
            handler.held[number] = None
        handler.context.dead_letter(row.payload, FrameError(row.error, handler.symbol), f"backfill of {handler.feed}")

    def _wrong_time(self, record: R) -> str:
        last, time = self._handler.last, record.trade_time
        if self._handler.context.is_ahead(time, record.receive_time):
            return f"trade time {time} is implausibly far ahead of the exchange's clock"
        if last is not None and time < last.trade_time - self._handler.bounds.max_behind:
            return f"trade time {time} is implausibly far before {last.trade_time} of the trade before"
        return ""

    def _wait_or_lose(self) -> None:
        """REST ended before the stream's first: it may lag, so ask again some times."""
        if self._retries < RETRIES:
            self._retries += 1
            self._retry_at = 0.0
        else:
            self._retries = 0
            self._handler.lose_until(min(self._handler.held), "the exchange does not give them")

    def _refused(self, error: PermanentError) -> None:
        self._asked = False
        if self._over:
            return
        reason = str(error)
        if isinstance(error, UnknownSymbol):
            self._handler.context.unlisted(self._handler.symbol, self._handler.feed, reason)
        while self._handler.held:
            self._handler.lose_until(min(self._handler.held), reason)
        self._end(reason)

    def _end(self, refused: str = "") -> None:
        self._over = True
        _log.info("%s backfilled", self._handler.feed, extra={"symbol": self._handler.symbol, "records": self._taken})
        self._handler.end_backfill(self._first, self._last, refused)
