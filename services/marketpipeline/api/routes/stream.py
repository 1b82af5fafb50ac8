"""`/api/v1/stream`: what is computed as it comes, as a WebSocket and as server-sent events.

Annotations are not postponed here: FastAPI reads them, and some name what only their function knows.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from pydantic import Field
from starlette.types import Receive, Scope, Send

from marketpipeline.api.access import CLIENT, TICKET_SECONDS, ApiKeys
from marketpipeline.api.books import Books
from marketpipeline.api.models import StreamMessage, StreamTicket
from marketpipeline.api.parameters import NoQuery, Optional, Several, answer
from marketpipeline.api.problems import responses
from marketpipeline.api.stream import LEVELS, Batch, Feed, Hub, Reading, Wanted, event, kinds_of, message
from marketpipeline.errors import RetryableError
from marketpipeline.readers import NotKept
from marketpipeline.readers.asking import choose, find_symbol
from marketpipeline.record_kinds import Newest
from marketpipeline.settings import ApiSettings
from marketpipeline.store.latest import ENTRIES
from marketpipeline.topics import Feed as MarketFeed

__all__ = ["Streaming", "make_router"]

KEEP_ALIVE_SECONDS = 15.0
SEND_SECONDS = 60.0
"""A reader that has not taken a message for so long is gone."""

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, without end.", "content": {"text/event-stream": {}}, "model": StreamMessage},
    **responses(400, 501, 503),
}


class Streaming:
    """The readers of one process: how many there may be, and what each is served by."""

    def __init__(self, hub: Hub, feed: Feed | None, books: Books, most: int) -> None:
        self.hub, self.feed, self._books, self._most = hub, feed, books, most

    @asynccontextmanager
    async def reading(self, wanted: Wanted, after: str | None) -> AsyncIterator[Reading]:
        """A reader for the block. Raises NotKept where there is no broker, RetryableError when there are too many."""
        if self.feed is None:
            raise NotKept("this API has no broker to stream from")
        if self.hub.readers >= self._most:
            raise RetryableError(f"{self._most} readers are the most for one process; try again", retry_after=10)
        with ExitStack() as stack:
            stack.callback(self.feed.release)
            await self.feed.acquire()
            if LEVELS in wanted.kinds:
                self._books.acquire()
                stack.callback(self._books.release)
            reading = self.hub.join(wanted, after)
            stack.callback(self.hub.leave, reading)
            yield reading

    async def close(self) -> None:
        """Send every reader away, and stop reading the topics."""
        self.hub.close()
        if self.feed is not None:
            await self.feed.close()


def make_router(settings: ApiSettings) -> APIRouter:
    """The path, for the symbols and kinds of these settings."""
    kinds = kinds_of(settings.feeds)
    known = [*kinds, *(f"{name}:{window}" for name in kinds if _has_interval(name) for window in settings.windows)]
    if MarketFeed.BOOK in settings.feeds:
        known.append(LEVELS)

    class StreamQuery(NoQuery):
        """What to stream."""

        symbols: Annotated[str, Several(lambda name: find_symbol(name, settings.symbols))] | Optional = Field(
            None, description="Symbols, separated by commas; all without it.", examples=["binance:BTCUSDT,ETHUSDT"]
        )
        kinds: Annotated[str, Several(lambda name: choose("kind", name, known))] | Optional = Field(
            None,
            description=f"Kinds, separated by commas; all but `{LEVELS}` without it. There are {', '.join(known)}.",
            examples=["book,candle:1m,alert"],
        )
        last_id: str | Optional = Field(
            None,
            max_length=64,
            description="The last `id` that was received, to go on from there; EventSource sends it by itself.",
        )

        ticket: str | Optional = Field(
            None, max_length=512, description="Of `stream/ticket`, for browsers, which can send no key here."
        )

        def wanted(self) -> Wanted:
            """As the hub has it."""
            symbols = settings.symbols if self.symbols is None else self.symbols.split(",")
            return Wanted(frozenset(symbols), frozenset(kinds if self.kinds is None else self.kinds.split(",")))

    router = APIRouter(tags=["stream"])

    @router.get("/api/v1/stream/ticket", response_model=StreamTicket, responses=responses(400))
    async def ticket(request: Request, query: Annotated[NoQuery, Query()]) -> Response:
        """What opens the stream in a browser: ask with the key, then open `/api/v1/stream?ticket=…`.

        It is good for half a minute, for the stream alone. A stream that is open stays; for another one, also after a
        reconnect, ask again.
        """
        keys: ApiKeys | None = request.app.state.keys
        made = None if keys is None else keys.ticket(request.scope[CLIENT])
        found = answer({"ticket": made, "expires_in": None if made is None else TICKET_SECONDS})
        found.headers["Cache-Control"] = "no-store"
        return found

    @router.get("/api/v1/stream", response_class=Response, responses=_EVENTS)
    async def events(
        request: Request,
        query: Annotated[StreamQuery, Query()],
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Book measures, candles, trades, alerts as they come: a snapshot, then updates.

        Server-sent events here, a WebSocket at the same path. Every message has an `id`, from which a reader goes on
        after a reconnect. A slow reader is told so, and gets the newest of each symbol and kind. `levels` are the books
        themselves, a few times a second.
        """
        return _Events(request.app.state.streaming, query.wanted(), query.last_id or last_event_id)

    @router.websocket("/api/v1/stream")
    async def frames(websocket: WebSocket, query: Annotated[StreamQuery, Query()]) -> None:
        streaming: Streaming = websocket.app.state.streaming
        async with streaming.reading(query.wanted(), query.last_id) as reading:
            await websocket.accept()
            gone = asyncio.create_task(_until_gone(websocket, reading))
            try:
                async for what in _messages(reading):
                    if what is not None:
                        text = what.text if isinstance(what, Batch) else what[2].decode()
                        async with asyncio.timeout(SEND_SECONDS):
                            await websocket.send_text(text)
                await websocket.close(1001)
            except (WebSocketDisconnect, RuntimeError, TimeoutError):
                pass
            finally:
                gone.cancel()

    return router


def _has_interval(name: str) -> bool:
    entry: Newest | None = ENTRIES[name][1] if name in ENTRIES else None
    return entry is not None and entry.by is not None


async def _messages(reading: Reading) -> AsyncIterator[Batch | tuple[str, str | None, bytes] | None]:
    """What a reader gets, in order: batches, or kind, id and message; None when nothing came for a while."""
    yield reading.first
    for batch in reading.missed:
        yield batch
    mailbox = reading.mailbox
    while not mailbox.closed:
        if not await mailbox.wait(KEEP_ALIVE_SECONDS):
            yield None
            continue
        mail = mailbox.take()
        for kind, words in mail.words.items():
            yield kind, None, message(kind, None, **words)
        if mail.skipped:
            yield "thinned", None, message("thinned", None, skipped=mail.skipped)
        for batch in mail.batches:
            yield batch


async def _until_gone(websocket: WebSocket, reading: Reading) -> None:
    """Take what the client sends, which means nothing, until it leaves."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    reading.mailbox.close()


class _Events(Response):
    """The answer that does not end."""

    def __init__(self, streaming: Streaming, wanted: Wanted, after: str | None) -> None:
        super().__init__(
            media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        del self.headers["content-length"]
        self._streaming, self._wanted, self._after = streaming, wanted, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._streaming.reading(self._wanted, self._after) as reading:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            gone = asyncio.create_task(self._until_gone(receive, reading))
            try:
                async for what in _messages(reading):
                    body = b": \n\n" if what is None else what.event if isinstance(what, Batch) else event(*what)
                    async with asyncio.timeout(SEND_SECONDS):
                        await send({"type": "http.response.body", "body": body, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            except (OSError, TimeoutError):
                pass
            finally:
                gone.cancel()

    @staticmethod
    async def _until_gone(receive: Receive, reading: Reading) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        reading.mailbox.close()
