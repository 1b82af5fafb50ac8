"""A share of the streams and the connection that carries them, always one, at times two.

A connection that is about to end (its lifetime, a notice of the exchange) is replaced before it is left: the next
one subscribes first, both are read for a moment, and the lanes drop what comes twice. One that is lost is replaced
after a wait that grows with every failure, and is forgotten once a new connection has been stable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from marketpipeline.ingestion.desk import Command, Desk, OpenLink
from marketpipeline.ingestion.lane import Lane
from marketpipeline.ingestion.link import Link
from marketpipeline.ingestion.pacing import Backoff, Window
from marketpipeline.ingestion.silence import Silence
from marketpipeline.records import FeedEventKind, Heartbeat
from marketpipeline.venues.dialect import Stream

__all__ = ["Shard"]

_log = logging.getLogger(__name__)

LINGER = 1.0
"""Seconds that a replaced connection is still read."""
CONNECTION = "connection"
"""What events of a connection name in place of a feed."""


class Shard:
    """`make_link` gives a new link; `url` is where it leads. `wall` tells the time in µs.

    A connection is replaced after `lifetime`; the wait for a new one starts from the beginning when the last was
    connected for `stable_after`; `stale_after` is the least silence of a stream that is reported. In seconds.
    `disorder` as in the exchange's limits.
    """

    def __init__(
        self,
        lanes: Mapping[Stream, Lane],
        url: str,
        make_link: Callable[[Sequence[Stream], float], Link],
        desk: Desk,
        emit: Callable[[Command], None],
        wall: Callable[[], int],
        backoff: Backoff,
        connects: Window,
        *,
        lifetime: float,
        stable_after: float,
        stale_after: float,
        disorder: int,
    ) -> None:
        self.lanes = dict(lanes)
        self.symbols = sorted({stream.symbol for stream in lanes})
        self.active: Link | None = None
        self.reconnects = 0
        self.rejected: dict[Stream, str] = {}
        self._url = url
        self._make_link = make_link
        self._desk = desk
        self._emit = emit
        self._wall = wall
        self._backoff = backoff
        self._connects = connects
        self._lifetime = lifetime
        self._stable_after = stable_after
        self._stale_after = stale_after
        self._disorder = disorder
        self._coming: Link | None = None
        self._stable: Link | None = None
        self._leaving: list[tuple[Link, float]] = []
        self._open_at: float | None = 0.0
        self.started = False
        self._clock = 0
        self._proven = 0
        self._silences: dict[Stream, Silence] = {}
        self._now = 0.0
        self._beating: dict[str, list[Lane]] = {}
        for stream, lane in self.lanes.items():
            if lane.beats:
                self._beating.setdefault(stream.symbol, []).append(lane)

    @property
    def synced_through(self) -> int:
        """The exchange's time, µs, up to which everything it sent has been received; 0 for not yet."""
        self._remember(self.active)
        return max(0, self._clock - self._disorder, self._proven)

    @property
    def stale(self) -> list[Stream]:
        """Streams that are silent for too long now."""
        return [stream for stream, silence in self._silences.items() if silence.silent]

    @property
    def links(self) -> list[Link]:
        """Every connection of this shard."""
        some = [self.active, self._coming, *(link for link, _ in self._leaving)]
        return [link for link in some if link is not None]

    def tick(self, now: float) -> None:
        """Open what is due, leave what was replaced, watch the streams."""
        self._now = now
        for link in self.links:
            link.tick(now)
        if self._open_at is not None and now >= self._open_at and self._connects.take(now):
            self._open(now)
        for link, leave_at in self._leaving:
            if now >= leave_at:
                link.close("replaced")
        self._leaving = [(link, leave_at) for link, leave_at in self._leaving if now < leave_at]
        active = self.active
        if active is not None and active.connected_at is not None:
            if active is not self._stable and now - active.connected_at >= self._stable_after:
                self._stable = active
                self._backoff.reset()
            if now - active.connected_at >= self._lifetime:
                self.replace("its lifetime ends")
            self._listen(active, now)

    def replace(self, reason: str) -> None:
        """Open the next connection while this one still works."""
        if self._coming is None and self._open_at is None:
            _log.info("the connection is replaced: %s", reason)
            self._open_at = self._now

    def closed(self, link: Link, reason: str) -> None:
        """A connection ended, or could not be opened."""
        link.gone = True
        if link is self._coming:
            self._coming = None
        elif link is self.active:
            self._remember(link)
            self.active = None
            for lane in self.lanes.values():
                lane.interrupt()
            self._tell("disconnect", reason)
        else:
            self._leaving = [entry for entry in self._leaving if entry[0] is not link]
            return
        _log.warning("connection %d ended: %s", link.number, reason)
        if self._coming is None and self._open_at is None:
            self._open_at = self._now + self._backoff.next()

    def excuse(self, now: float) -> None:
        """Nothing was read for a while: no stream is to blame for its silence."""
        for link in self.links:
            link.excuse(now)
        for stream, silence in self._silences.items():
            silence.excuse(self.lanes[stream].seen, now)

    def _open(self, now: float) -> None:
        self._open_at = None
        streams = [stream for stream in self.lanes if stream not in self.rejected]
        link = self._make_link(streams, now)
        link.on_ready = lambda: self._ready(link)
        link.on_beat = lambda: self._beat(link)
        link.on_going_down = lambda reason: self.replace(reason) if link is self.active else None
        link.on_rejected = self._reject
        self._coming = link
        self._emit(OpenLink(link.number, self._url))

    def _ready(self, link: Link) -> None:
        """All streams of a new connection are subscribed: it takes over."""
        if link is not self._coming:
            return
        previous, self.active, self._coming = self.active, link, None
        if previous is not None:
            self._remember(previous)
            self._leaving.append((previous, self._now + LINGER))
        elif self.started:
            self.reconnects += 1
            self._tell("reconnect", "")
        _log.info("connection %d carries %d streams", link.number, len(link.streams))
        for stream in link.streams:
            lane = self.lanes[stream]
            self._silences[stream] = Silence(self._stale_after, lane.seen, self._now)
            lane.resume()
        self.started = True
        link.promote()

    def _reject(self, stream: Stream, reason: str) -> None:
        self.rejected[stream] = reason
        self._silences.pop(stream, None)
        self._desk.event("rejected", stream.symbol, stream.feed, detail=f"{stream.name}: {reason}")

    def _listen(self, link: Link, now: float) -> None:
        for stream, silence in self._silences.items():
            lane = self.lanes[stream]
            kind = silence.look(lane.seen, now)
            if kind == "still" and lane.deaf:
                self.replace(f"{stream.name} says nothing of what happens")
            if kind in ("stale", "still"):
                lane.doubt()
                link.resubscribe(stream)
            if kind == "stale":
                spoke = "spoke last" if silence.spoke else "never spoke since it was subscribed"
                detail = f"silent for {silence.limit:.1f} s; {spoke}"
                _log.warning("%s is silent: %s", stream.name, detail, extra={"symbol": stream.symbol})
                self._desk.event("stale", stream.symbol, stream.feed, detail=detail)
            elif kind == "recovered":
                self._desk.event("recovered", stream.symbol, stream.feed)

    def _beat(self, link: Link) -> None:
        if link is not self.active:
            return
        self._remember(link)
        through = max(self._clock, self._proven) - self._disorder
        for symbol, lanes in self._beating.items():
            heartbeat = Heartbeat(symbol=symbol, event_time=through, receive_time=self._wall())
            for lane in lanes:
                lane.beat(heartbeat)

    def _remember(self, link: Link | None) -> None:
        if link is not None:
            self._clock = max(self._clock, link.clock)
            self._proven = max(self._proven, link.proven)

    def _tell(self, kind: FeedEventKind, detail: str) -> None:
        for symbol in self.symbols:
            self._desk.event(kind, symbol, CONNECTION, event_time=self.synced_through or None, detail=detail)
