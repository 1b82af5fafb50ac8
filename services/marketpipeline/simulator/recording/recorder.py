"""Follows a live exchange and writes down what it sends: the frames of all feeds, and each book's REST snapshot.

What each exchange's streams are called and how they are asked for comes from its adapter, as for ingestion.
A lost connection is opened again with growing waits; since book changes were missed then, the snapshots are
fetched and written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import aiohttp

from marketpipeline.backoff import Backoff
from marketpipeline.errors import MarketPipelineError, PermanentError, RetryableError
from marketpipeline.settings.local import proxy_for
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.venues.adapter import ExchangeAdapter, Mapper, RestRequest
from marketpipeline.venues.messages import BookChange, BookSnapshot, FrameError, Refused, Stream

__all__ = ["Counts", "Recorder", "Target"]

T = TypeVar("T")

FLUSH_EVERY = 2.0
"""Seconds between two flushes: the most that is lost by kill -9."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
SILENCE = 60.0
"""Seconds without any message after which a connection counts as dead."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and what to record; addresses without a path."""

    websocket_url: str
    rest_url: str
    symbols: tuple[str, ...]
    streams: tuple[Stream, ...]
    streams_per_connection: int

    def address(self, request: RestRequest[Any]) -> str:
        """Where a REST request goes, as a capture names it."""
        return request.address(self.rest_url)


@dataclass(slots=True)
class Counts:
    """How far a recording has come."""

    frames: int = 0
    snapshots: int = 0
    connections: int = 0
    disconnects: int = 0
    last_error: str = ""


class Recorder:
    """Records until it is told to stop."""

    def __init__(self, adapter: ExchangeAdapter, target: Target, writer: CaptureWriter) -> None:
        self.counts = Counts()
        self._adapter = adapter
        self._target = target
        self._writer = writer
        self._books: asyncio.Queue[str] = asyncio.Queue()
        """Symbols whose book is to be fetched; at most one of each symbol and connection."""

    async def run(self, stop: asyncio.Event, seconds: float | None, progress: Callable[[Counts], None]) -> None:
        """Record until `stop` is set or `seconds` are over; `progress` is told every second.

        Raises InvalidInput or PermanentError when the exchange refuses what is asked of it, or the disk is full.
        """
        proxy = proxy_for(self._target.rest_url)
        async with aiohttp.ClientSession(proxy=proxy) as http, asyncio.TaskGroup() as tasks:
            await self._check_symbols(http)
            work = [tasks.create_task(self._follow(http, streams)) for streams in self._connections()]
            work.append(tasks.create_task(self._fetch_books(http)))
            work.append(tasks.create_task(self._flush_regularly(progress)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
            for task in work:
                task.cancel()

    def _connections(self) -> Iterator[Sequence[Stream]]:
        """The streams of each connection, all of one endpoint."""
        most = self._target.streams_per_connection
        for _, group in itertools.groupby(sorted(self._target.streams, key=_endpoint), _endpoint):
            streams = list(group)
            yield from (streams[start : start + most] for start in range(0, len(streams), most))

    async def _check_symbols(self, http: aiohttp.ClientSession) -> None:
        try:
            requests = self._adapter.instruments(self._target.symbols)
            answers = [await self._get(http, request) for request in requests]
        except PermanentError:
            requests = self._adapter.instruments(None)
            answers = [await self._get(http, request) for request in requests]
        missing = sorted(set(self._target.symbols).difference(*answers))
        if requests and missing:
            raise PermanentError(f"{self._target.rest_url} does not list {', '.join(missing)}; check spec.symbols")

    async def _flush_regularly(self, progress: Callable[[Counts], None]) -> None:
        for second in itertools.count():
            await asyncio.sleep(1)
            if second % FLUSH_EVERY == 0:
                self._writer.flush()
            progress(self.counts)

    async def _follow(self, http: aiohttp.ClientSession, streams: Sequence[Stream]) -> None:
        """Keep one connection for these streams."""
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        while True:
            began = time.monotonic()
            try:
                await self._connected(http, streams)
            except (aiohttp.ClientError, OSError, TimeoutError, RetryableError) as error:
                self.counts.last_error = f"{type(error).__name__}: {error}"
            self.counts.disconnects += 1
            if time.monotonic() - began > LONGEST_WAIT:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _connected(self, http: aiohttp.ClientSession, streams: Sequence[Stream]) -> None:
        url = self._adapter.url(self._target.websocket_url, streams[0].endpoint)
        async with http.ws_connect(url, compress=0, max_msg_size=0, decode_text=False) as socket:
            self.counts.connections += 1
            asking = asyncio.create_task(self._talk(socket, streams))
            mapper = self._adapter.mapper(streams)
            unsynced = {stream.symbol for stream in streams}
            try:
                while True:
                    message = await socket.receive(timeout=SILENCE)
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    now = time.time_ns()
                    self._writer.add_frame(now, message.data)
                    self.counts.frames += 1
                    if unsynced and (record := _first_of_book(mapper, message.data, now, unsynced)) is not None:
                        unsynced.discard(record.symbol)
                        if isinstance(record, BookChange):
                            self._books.put_nowait(record.symbol)
            finally:
                asking.cancel()
                await asyncio.wait([asking])

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse[Literal[False]], streams: Sequence[Stream]) -> None:
        """Ask for the streams, then say that we live where the exchange wants to hear that."""
        size, control = self._adapter.limits.subscribe_batch, self._adapter.limits.control
        pause = control.seconds / max(1, control.count - 2)
        for number, start in enumerate(range(0, len(streams), size), 1):
            await socket.send_str(self._adapter.subscribe(number, streams[start : start + size]).decode())
            await asyncio.sleep(pause)
        keep_alive = self._adapter.keep_alive
        while keep_alive.every and keep_alive.message is not None:
            await asyncio.sleep(keep_alive.every)
            await socket.send_str(keep_alive.message.decode())

    async def _fetch_books(self, http: aiohttp.ClientSession) -> None:
        """Fetch and write books one after the other; each again while the exchange says that later may be better."""
        while True:
            request = self._adapter.snapshot(await self._books.get())
            while request is not None:
                try:
                    url, body = await self._fetch(http, request)
                    break
                except (RetryableError, aiohttp.ClientError, OSError) as error:
                    self.counts.last_error = f"{type(error).__name__}: {error}"
                    await asyncio.sleep(getattr(error, "retry_after", None) or 1.0)
            self._writer.add_answer(time.time_ns(), url, body)
            self.counts.snapshots += 1

    async def _get(self, http: aiohttp.ClientSession, request: RestRequest[T]) -> T:
        try:
            _, body = await self._fetch(http, request)
            return request.read(body, time.time_ns() // 1000)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RetryableError(f"{self._target.rest_url} does not answer: {error}") from error
        except FrameError as error:
            raise PermanentError(f"{self._target.rest_url}{request.path}: {error}") from error

    async def _fetch(self, http: aiohttp.ClientSession, request: RestRequest[Any]) -> tuple[str, bytes]:
        url = self._target.address(request)
        timeout = aiohttp.ClientTimeout(total=20)
        async with http.get(url, headers=dict(request.headers), timeout=timeout) as answer:
            body = await answer.read()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            self._adapter.judge(answer.status, headers, body)
            return url, body


def _endpoint(stream: Stream) -> str:
    return stream.endpoint


def _first_of_book(mapper: Mapper, message: bytes, now: int, unsynced: set[str]) -> BookChange | BookSnapshot | None:
    """What a symbol's book begins with: a change, whose snapshot has to be fetched, or a snapshot that was pushed.

    Raises PermanentError where a stream is refused.
    """
    try:
        said = mapper.map(message, now // 1000)
    except MarketPipelineError:
        return None
    if isinstance(said, Refused):
        raise PermanentError(f"the exchange refuses a subscription: {said.reason}")
    if not isinstance(said, tuple):
        return None
    stream, records = said
    books = (record for record in records if isinstance(record, BookChange | BookSnapshot))
    return next(books, None) if stream.symbol in unsynced else None
