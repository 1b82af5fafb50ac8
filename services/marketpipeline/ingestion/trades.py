"""The lane of trades: in order, each once, with what was missed fetched by id and put before what followed.

Ids of a symbol's trades have no holes. So one rule serves for a reconnect, a restart, two connections at a time
and an exchange that lost messages: what continues is handed on, what is older was had, and what lies further
on is held until the trades between were fetched (`backfill`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from marketpipeline.ingestion.backfill import Backfill
from marketpipeline.ingestion.desk import Desk, Put
from marketpipeline.ingestion.lane import Lane
from marketpipeline.records import AggTrade, Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.dialect import RestRequest

__all__ = ["TradeLane", "agg_trade_id", "trade_id"]

_log = logging.getLogger(__name__)

R = TypeVar("R", Trade, AggTrade)

OLDER = 20
"""So many trades with older ids and later times, and none that continue, mean that the exchange numbers them anew."""


def trade_id(trade: Trade) -> int:
    """What numbers trades."""
    return trade.trade_id


def agg_trade_id(trade: AggTrade) -> int:
    """What numbers aggregate trades."""
    return trade.agg_trade_id


class TradeLane(Lane, Generic[R]):
    """Trades, or aggregate trades, of one symbol.

    `request(first_id, limit)` asks for a page of past ones, `first_id` None for the newest. At most `max_backfill`
    are fetched after an interruption. At most `max_held` live ones are held back; one beyond that is dropped here
    and fetched like any other that was missed. `last` is the newest record that the topic holds. `dropped` says
    that what is held does not lead up to the present: some were dropped, or were held before an interruption.
    """

    def __init__(
        self,
        symbol: str,
        feed: Feed,
        put: Put,
        desk: Desk,
        id_of: Callable[[R], int],
        request: Callable[[int | None, int], RestRequest[list[R]]],
        *,
        page: int,
        max_backfill: int,
        max_held: int,
        last: R | None = None,
    ) -> None:
        super().__init__(symbol, feed, put)
        self.beats = feed is Feed.TRADES
        self.desk = desk
        self.id_of: Callable[[R], int] = id_of
        self.request: Callable[[int | None, int], RestRequest[list[R]]] = request
        self.page = page
        self.max_backfill = max_backfill
        self.last: R | None = last
        self.next: int | None = None if last is None else id_of(last) + 1
        self.subscription = 0
        self.held: dict[int, R] = {}
        self.dropped = False
        self.backfilled = 0
        self.lost = 0
        self._max_held = max_held
        self._backfill: Backfill[R] | None = None
        self._refused = ""
        self._older: list[R] = []
        self._older_at: int | None = None
        self._doubted_at = -1
        self._deaf_at = -1

    @property
    def pending(self) -> bool:
        return self._backfill is not None

    @property
    def complete(self) -> bool:
        return self.connected and self._backfill is None and not self.deaf

    @property
    def deaf(self) -> bool:
        return self._deaf_at == self.seen

    @property
    def last_id(self) -> int | None:
        return None if self.next is None else self.next - 1

    def accept(self, record: R) -> None:
        """Hand on what continues; else see what it is."""
        self.seen += 1
        number = self.id_of(record)
        if number == self.next:
            self.next = number + 1
            self.last = record
            self.put(record)
            if self._backfill is not None:
                self._backfill.linked()
            elif self._refused:
                self._refused = ""
        else:
            self._accept_other(number, record)

    def resume(self) -> None:
        """Fetch what was missed, if anything was had before."""
        super().resume()
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

    def hand_on(self, record: R) -> None:
        """Write a record and count on from it."""
        self.next = self.id_of(record) + 1
        self.last = record
        self.put(record)

    def drain(self) -> None:
        """Hand on the held ones that now continue."""
        while self.next is not None:
            record = self.held.pop(self.next, None)
            if record is None:
                return
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
        self._backfill = None
        self._refused = refused
        if first is not None:
            if self._doubted_at == self.seen:
                self._deaf_at = self.seen
            time = None if self.last is None else self.last.trade_time
            self.desk.event("backfill", self.symbol, self.feed, event_time=time, first_id=first, last_id=last)

    def _accept_other(self, number: int, record: R) -> None:
        if self.next is None:
            self.hand_on(record)
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
            if len(self.held) < self._max_held:
                self.held[number] = record
            else:
                self.dropped = True
            self._begin()

    def _begin(self) -> None:
        if self._backfill is None:
            self._refused = ""
            self._backfill = Backfill(self)
            self._backfill.step()

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
        """The exchange numbers its trades anew, from the first of `records` on; their ids grow."""
        first, number = records[0], self.id_of(records[0])
        _log.warning("%s begin again at id %d", self.feed, number, extra={"symbol": self.symbol})
        detail = f"ids begin again after {self.last_id}"
        self.desk.event("resync", self.symbol, self.feed, event_time=first.trade_time, first_id=number, detail=detail)
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
        _log.warning("%s %d to %d are missing: %s", self.feed, first, last, reason, extra={"symbol": self.symbol})
        self.desk.event("gap", self.symbol, self.feed, event_time=time, first_id=first, last_id=last, detail=reason)
