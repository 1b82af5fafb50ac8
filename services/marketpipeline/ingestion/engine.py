"""Joins the session to sockets, REST, the producer and the clock. All I/O of a process meets here, and no rule does."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from marketpipeline.errors import RetryableError
from marketpipeline.ingestion.context import CloseConnection, Get, Look, OpenConnection, Ping, Send
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.reporting import Reporter
from marketpipeline.ingestion.rest import RestClient
from marketpipeline.ingestion.route import Route
from marketpipeline.ingestion.session import Session
from marketpipeline.ingestion.socket import Socket
from marketpipeline.ingestion.topic_reader import TopicReader
from marketpipeline.ingestion.written import Written
from marketpipeline.venues.adapter import RestRequest

__all__ = ["Engine", "now_us"]

_log = logging.getLogger(__name__)

TICK = 0.05
LAST_LOOK_SECONDS = 5.0


def now_us() -> int:
    """µs since the epoch."""
    return time.time_ns() // 1000


class Engine:
    """Drives one session until `stop`. Counts the time that reading was paused because the broker did not keep up."""

    def __init__(
        self,
        session: Session,
        publisher: KafkaPublisher,
        rest: RestClient,
        route: Route,
        topics: TopicReader,
        report_every: float = 0.0,
    ) -> None:
        self._reporter = Reporter(session, publisher, report_every)
        self._session = session
        self._publisher = publisher
        self._rest = rest
        self._route = route
        self._topics = topics
        self._looks: list[Look] = []
        self._looking: asyncio.Task[None] | None = None
        self._sockets: dict[int, Socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused_at: float | None = None
        self._paused_before = 0.0
        self.pauses = 0

    @property
    def paused_seconds(self) -> float:
        """Seconds that nothing was read because the broker did not keep up."""
        since = self._paused_at
        return self._paused_before + (0.0 if since is None else time.monotonic() - since)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, or until a record was lost for good (then raises that PermanentError)."""
        try:
            while not stop.is_set():
                self._publisher.poll()
                self._breathe()
                self._session.tick(now := time.monotonic(), now_us())
                self._reporter.tick(now)
                self._carry_out()
                if self._publisher.failure is not None:
                    raise self._publisher.failure
                await asyncio.sleep(TICK)
        finally:
            await self._leave()

    def _breathe(self) -> None:
        """All that was read is taken: see to the broker's pressure and to what the session wants."""
        paused = self._paused_at is not None
        pressed = self._publisher.pressed(paused)
        if pressed != paused:
            self._pause(pressed)
        if self._session.commands:
            self._carry_out()

    def _pause(self, paused: bool) -> None:
        now = time.monotonic()
        if paused:
            self._paused_at = now
            self.pauses += 1
        elif self._paused_at is not None:
            self._paused_before += now - self._paused_at
            self._paused_at = None
        for socket in self._sockets.values():
            socket.pause(paused)
        self._session.pressed(paused, now)

    def _carry_out(self) -> None:
        commands = self._session.commands
        while commands:
            batch = commands[:]
            commands.clear()
            for command in batch:
                match command:
                    case OpenConnection(number, url):
                        self._start(self._open(number, url))
                    case CloseConnection(number, reason):
                        if (socket := self._sockets.get(number)) is not None:
                            socket.close(reason)
                    case Send(number, message):
                        if (socket := self._sockets.get(number)) is not None:
                            socket.send(message)
                    case Ping(number, payload):
                        if (socket := self._sockets.get(number)) is not None:
                            socket.ping(payload)
                    case Get(call, request):
                        self._start(self._get(call, request))
                    case Look():
                        self._looks.append(command)
        if self._looks and (self._looking is None or self._looking.done()):
            self._looking = self._start(self._look())

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task failed", exc_info=error)

    async def _open(self, number: int, url: str) -> None:
        session = self._session
        connection, take = session.connection(number), session.taker(number)
        if connection is None or take is None:
            return
        socket = Socket(
            take,
            self._breathe,
            lambda payload: connection.pong(payload, time.monotonic()),
            lambda reason: self._closed(number, reason),
        )
        try:
            await socket.open(url, self._route)
        except RetryableError as error:
            session.closed(number, str(error))
            return
        self._sockets[number] = socket
        socket.pause(self._paused_at is not None)
        session.connected(number, time.monotonic())
        self._carry_out()

    def _closed(self, number: int, reason: str) -> None:
        self._sockets.pop(number, None)
        self._session.closed(number, reason)

    async def _get(self, call: int, request: RestRequest[Any]) -> None:
        limiter, sent = self._session.limiter, now_us()
        try:
            status, headers, body = await self._rest.get(request)
        except RetryableError as error:
            limiter.failed(call, str(error), time.monotonic())
        else:
            limiter.answered(call, status, headers, body, time.monotonic(), now_us(), sent)
        self._breathe()

    async def _look(self) -> None:
        """Read the topics for all that was asked meanwhile, as often as something is asked."""
        while self._looks:
            batch, self._looks = self._looks, []
            found: dict[int, Written] = {}
            try:
                found = await asyncio.to_thread(self._topics.look, batch)
            except RetryableError as error:
                _log.warning("not known what the topics hold: %s", error)
            for look in batch:
                self._session.examiner.answered(look.call, found.get(look.call))
            self._breathe()

    async def _leave(self) -> None:
        """Close what is open; nothing is taken any more, and the topics are read a last time."""
        for socket in list(self._sockets.values()):
            socket.close("stopping")
        if self._publisher.failure is None:
            self._session.leave()
            self._carry_out()
            if self._looking is not None:
                await asyncio.wait({self._looking}, timeout=LAST_LOOK_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
