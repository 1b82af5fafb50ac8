"""Looks elsewhere for streams that say nothing where they should be: exchanges move streams to other addresses.

A stream that was asked for again and is still silent, or is refused, is subscribed at the next place that the exchange
documents (or the settings name), beside the connection that it is missed on: nothing is given up by looking. What
speaks there and for `ALONE` seconds not at home has moved, and is followed there from then on. One place is looked at
at a time, by one connection more, so that hundreds of quiet streams cost as much as one; what was not found is looked
for again after a wait that doubles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.ingestion.connection import Connection
from marketpipeline.ingestion.connection_manager import ConnectionManager
from marketpipeline.ingestion.context import StreamHandler
from marketpipeline.venues.messages import Stream

__all__ = ["Search"]

_log = logging.getLogger(__name__)

ALONE = 3.0
"""Seconds for which a stream must be silent at home after it spoke elsewhere: two connections tell the same thing one
after the other."""
LISTEN, MOST = 20.0, 300.0
"""Seconds that a place is listened to, doubled each round, and three times a stream's usual gap; at most."""
AGAIN, RARELY = 60.0, 3600.0
"""Seconds until all places are looked at again, doubled each round; at most."""


class Overheard(StreamHandler):
    """A handler as the connection of a search sees it: what comes is handed on, and counted apart."""

    def __init__(self, handler: StreamHandler) -> None:
        super().__init__(handler.symbol, handler.feed, handler.publish)
        self._handler = handler

    def accept(self, record: Any) -> None:
        self.seen += 1
        self._handler.accept(record)

    def skip(self, number: int | None) -> None:
        self.seen += 1
        self._handler.skip(number)

    def tell_nothing(self, reason: str) -> None:
        self.seen += 1
        self._handler.tell_nothing(reason)

    def miss(self, record: Any) -> None:
        self._handler.miss(record)


@dataclass(slots=True)
class _Sought:
    """A stream that is looked for: how many places it was looked for at, and when it is looked for next."""

    tries: int = 0
    due: float = 0.0


@dataclass(slots=True)
class _Look:
    """One place that is listened to for streams of `home`. `before` is what had come of each when that began."""

    home: ConnectionManager
    place: str
    connection: Connection
    heard: dict[Stream, Overheard]
    handlers: dict[Stream, StreamHandler]
    before: dict[Stream, int]
    until: float
    first: dict[Stream, float] = field(default_factory=dict)

    def at_home(self, stream: Stream) -> bool:
        """Whether the stream spoke at home meanwhile."""
        handler = self.home.handlers.get(stream)
        return handler is None or handler.seen > self.before[stream] + self.heard[stream].seen

    def watch(self, now: float) -> None:
        """Note what speaks here. A home that is away is no home that says nothing: it is waited for."""
        if self.home.active is None:
            self.first = dict.fromkeys(self.first, now)
        for stream, overheard in self.heard.items():
            if overheard.seen:
                self.first.setdefault(stream, now)

    def is_decided(self, now: float) -> bool:
        """Whether listening on would tell no more."""
        if self.connection.gone:
            return True
        waits = any(now < at + ALONE and not self.at_home(stream) for stream, at in self.first.items())
        silent = any(stream not in self.first and not self.at_home(stream) for stream in self.connection.streams)
        return not waits and (not silent or now >= self.until)


class Search:
    """`managers` are those whose streams are looked for, `places` the URLs that may carry a stream, its own first.

    `open_at(place, streams, handlers)` opens a connection, None where that may not be done now. `move(home, place,
    streams, connection)` makes it the one that carries these streams.
    """

    def __init__(
        self,
        managers: Callable[[], Sequence[ConnectionManager]],
        places: Callable[[Stream], Sequence[str]],
        open_at: Callable[[str, Sequence[Stream], Mapping[Stream, StreamHandler]], Connection | None],
        move: Callable[[ConnectionManager, str, Sequence[Stream], Connection], None],
        *,
        at_most: int,
    ) -> None:
        self._managers = managers
        self._places = places
        self._open_at = open_at
        self._move = move
        self._at_most = at_most
        self._sought: dict[Stream, _Sought] = {}
        self._look: _Look | None = None

    @property
    def connection(self) -> Connection | None:
        """The one that listens elsewhere now."""
        return None if self._look is None else self._look.connection

    def tick(self, now: float) -> None:
        """Begin to look for what is lost, or see whether it was found."""
        look = self._look
        if look is None:
            self._begin(now)
            return
        look.connection.tick(now)
        look.watch(now)
        if look.is_decided(now):
            self._look = None
            self._end(look, now)

    def _begin(self, now: float) -> None:
        for home in self._managers():
            lost = home.lost()
            if home.active is not None:
                for stream in [found for found in self._sought if found in home.handlers and found not in lost]:
                    del self._sought[stream]
            streams, place = self._next(home, lost, now)
            if not streams:
                continue
            handlers = {stream: home.handlers[stream] for stream in streams}
            heard = {stream: Overheard(handler) for stream, handler in handlers.items()}
            inner: dict[Stream, StreamHandler] = dict(heard)
            connection = self._open_at(place, streams, inner)
            if connection is None:
                return
            rounds = self._sought[streams[0]].tries // max(1, len(self._elsewhere(home, streams[0])))
            listen = min(MOST, max(LISTEN * 2**rounds, *(3 * lost[stream] for stream in streams)))
            _log.info("%d streams that are silent at %s are looked for at %s", len(streams), home.url, place)
            before = {stream: handler.seen for stream, handler in handlers.items()}
            self._look = _Look(home, place, connection, heard, inner, before, now + listen)
            return

    def _next(self, home: ConnectionManager, lost: Mapping[Stream, float], now: float) -> tuple[list[Stream], str]:
        """Those of the lost streams whose turn it is, and that may all be at one place."""
        chosen: list[Stream] = []
        place = ""
        for stream in lost:
            sought = self._sought.setdefault(stream, _Sought())
            places = self._elsewhere(home, stream)
            if now < sought.due or not places:
                continue
            its = places[sought.tries % len(places)]
            place = place or its
            if its == place and len(chosen) < self._at_most:
                chosen.append(stream)
        return chosen, place

    def _elsewhere(self, home: ConnectionManager, stream: Stream) -> list[str]:
        return [place for place in self._places(stream) if place != home.url]

    def _end(self, look: _Look, now: float) -> None:
        """Follow what has moved; look for the rest at the next place, or after a while at all of them again."""
        carried = look.home.handlers
        moved = [stream for stream in look.first if not look.at_home(stream) and stream in look.connection.streams]
        for stream in look.heard:
            sought = self._sought.pop(stream, _Sought())
            if stream in moved or stream not in carried or look.at_home(stream):
                continue
            places = len(self._elsewhere(look.home, stream))
            tries = sought.tries + 1
            wait = min(RARELY, AGAIN * 2 ** (tries // places - 1)) if tries % places == 0 else 0.0
            self._sought[stream] = _Sought(tries, now + wait)
        if not moved or look.connection.gone:
            if not look.connection.gone:
                look.connection.close("what was looked for is not here")
            return
        look.connection.end([stream for stream in look.connection.streams if stream not in moved])
        for stream in moved:
            look.handlers[stream] = carried[stream]
        self._move(look.home, look.place, moved, look.connection)
