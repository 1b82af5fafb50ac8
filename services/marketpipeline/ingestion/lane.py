"""What happens to the records of one symbol and feed between the mapper and the broker: the base, and the simple case.

A lane sees every record of its stream, from whichever connection, drops what it has had, and knows what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketpipeline.ingestion.desk import Put
from marketpipeline.records import ExchangeCandle, Heartbeat, Quote, Ticker
from marketpipeline.topics import Feed

__all__ = ["Lane", "NewestLane", "candle_order", "quote_order", "ticker_order"]


class Lane:
    """Base of all lanes.

    `seen` counts what came on the stream, `duplicates` what of it was dropped. `last` is the newest record
    handed on. `pending` says that something missing is being fetched; `complete` that everything up to now
    was handed on, so that a heartbeat may promise it.
    """

    beats = False
    """Whether heartbeats go into this lane's topic."""

    def __init__(self, symbol: str, feed: Feed, put: Put) -> None:
        self.symbol = symbol
        self.feed = feed
        self.put = put
        self.seen = 0
        self.duplicates = 0
        self.connected = False
        self.last: Any = None

    @property
    def pending(self) -> bool:
        """Whether something missing is being fetched."""
        return False

    @property
    def complete(self) -> bool:
        """Whether a heartbeat may be sent."""
        return self.connected and not self.pending

    @property
    def last_id(self) -> int | None:
        """The exchange's id of the newest record handed on, where the feed has ids."""
        return None

    def accept(self, record: Any) -> None:
        """Take one record of the stream. Raises FrameError for one that makes no sense here."""
        raise NotImplementedError

    def resume(self) -> None:
        """The stream is subscribed on a new connection: nothing sent from now on is missed."""
        self.connected = True

    def interrupt(self) -> None:
        """The stream is lost."""
        self.connected = False

    @property
    def deaf(self) -> bool:
        """Whether the stream was seen to have said nothing of what happened."""
        return False

    def doubt(self) -> None:
        """The stream has been silent for unusually long: find out by other means whether something was missed."""

    def tick(self, now: float) -> None:
        """Time has passed; `now` in monotonic seconds."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Write a heartbeat if it is true here."""
        if self.complete:
            self.put(heartbeat)

    def state(self) -> dict[str, object]:
        """For `/health`."""
        time = getattr(self.last, "trade_time", None) or getattr(self.last, "event_time", None)
        return {
            "connected": self.connected,
            "pending": self.pending,
            "seen": self.seen,
            "duplicates": self.duplicates,
            "last_id": self.last_id,
            "last_event_time": time,
        }


class NewestLane(Lane):
    """Records that each replace the one before: quotes, tickers, candles, top levels of the book.

    `order` gives what must grow from record to record; one that does not was seen already. A connection that
    replaces a lost one begins anew, since the exchange may have started its ids again.
    """

    def __init__(self, symbol: str, feed: Feed, put: Put, order: Callable[[Any], Any], *, beats: bool = False) -> None:
        super().__init__(symbol, feed, put)
        self.beats = beats
        self._order = order
        self._newest: Any = None

    @property
    def last_id(self) -> int | None:
        return self._newest if isinstance(self._newest, int) else None

    def accept(self, record: Any) -> None:
        self.seen += 1
        place = self._order(record)
        newest = self._newest
        if newest is not None and place <= newest:
            self.duplicates += 1
            return
        self._newest = place
        self.last = record
        self.put(record)

    def interrupt(self) -> None:
        super().interrupt()
        self._newest = None


def quote_order(record: Quote) -> int:
    """Quotes and top levels: the update id."""
    return record.update_id


def ticker_order(record: Ticker) -> tuple[int]:
    """Tickers: the exchange's time."""
    return (record.event_time or record.receive_time,)


def candle_order(record: ExchangeCandle) -> tuple[int, int, bool]:
    """Candles: which one, and how far it is."""
    return record.open_time, record.event_time or record.receive_time, record.closed
