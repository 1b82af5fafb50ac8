"""Ingestion as an object: start it in the background, look at it, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from random import Random

import uvloop

from marketpipeline import __version__
from marketpipeline.backoff import Backoff
from marketpipeline.errors import InvalidInput, MarketPipelineError, Problem
from marketpipeline.ingestion.assignment import share_of
from marketpipeline.ingestion.delivered import KINDS, read_delivered
from marketpipeline.ingestion.engine import Engine, now_us
from marketpipeline.ingestion.handlers import Delivered
from marketpipeline.ingestion.pacing import retry
from marketpipeline.ingestion.publisher import KafkaPublisher
from marketpipeline.ingestion.rest import RestClient
from marketpipeline.ingestion.route import Route
from marketpipeline.ingestion.session import Session
from marketpipeline.ingestion.status import health
from marketpipeline.ingestion.symbol_validation import Choice, choose_symbols
from marketpipeline.ingestion.topic_reader import TopicReader
from marketpipeline.record_kinds import FEED_TOPIC
from marketpipeline.settings import IngestionSettings
from marketpipeline.telemetry import Health, Tracing
from marketpipeline.topics import TopicKind
from marketpipeline.venues import venues
from marketpipeline.venues.adapter import ExchangeAdapter, load_adapter

__all__ = ["Ingestion"]

_log = logging.getLogger(__name__)


class Ingestion:
    """Reads one exchange into the broker, in a thread of its own.

    `start` returns at once; `wait` blocks until it ends by itself, which it does only for an error; `stop` ends
    it, flushes, and returns whether everything was acknowledged. `error` is why it ended by itself.
    """

    def __init__(self, settings: IngestionSettings, tracing: Tracing | None = None) -> None:
        self._settings = settings
        self._venue = venues().get(settings.exchange)
        if self._venue is None:
            known = ", ".join(sorted(venues()))
            raise InvalidInput("settings", [Problem("exchange", settings.exchange, f"must be one of: {known}")])
        self._tracing = tracing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self.process = f"{socket.gethostname()}/{os.getpid()}"
        self._topics: TopicReader | None = None
        self._asked_to_stop = threading.Event()
        self._ended = threading.Event()
        self._doing = "starting"
        self._unflushed = 0
        self.error: MarketPipelineError | None = None
        self.rejected: dict[str, str] = {}
        self.publisher: KafkaPublisher | None = None
        self.session: Session | None = None
        self.engine: Engine | None = None

    def start(self) -> None:
        """Begin in the background."""
        if self._thread is not None:
            raise RuntimeError("an Ingestion is started once")
        self._thread = threading.Thread(target=self._run, name="ingestion", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it ended within `seconds`."""
        return self._ended.wait(seconds)

    def stop(self) -> bool:
        """End it; returns whether the broker has everything. It may take the settings' drain timeout."""
        if self._thread is None:
            return True
        self._asked_to_stop.set()
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        return self._unflushed == 0

    def health(self) -> Health:
        """How it is, for `/health`."""
        return health(self)

    def metrics(self) -> dict[str, object]:
        """Counters and states, the same as `/health` shows."""
        return dict(self.health().details)

    @property
    def doing(self) -> str:
        """What it is at while it is not yet running."""
        return self._doing

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._work())
        except MarketPipelineError as error:
            self.error = error
            _log.error("ingestion ended: %s", error)
        except Exception as error:  # noqa: BLE001  a defect must end the process with a status, not just this thread
            self.error = MarketPipelineError(f"defect: {error!r}")
            _log.exception("ingestion ended by a defect")
        finally:
            self._doing = "ended"
            self._ended.set()

    async def _work(self) -> None:
        settings = self._settings
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._asked_to_stop.is_set():
            return
        route = Route.of(settings)
        name = f"{settings.pipeline}-ingestion-{settings.exchange}-{settings.replica}"
        rest = RestClient(settings.rest_url, f"marketpipeline/{__version__}", route)
        publisher = self.publisher = KafkaPublisher(settings.kafka, settings.topic_prefix, name, self._tracing)
        try:
            preparation = asyncio.create_task(self._prepare(publisher, rest))
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({preparation, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not preparation.done():
                preparation.cancel()
                return
            self.session = preparation.result()
            assert self._topics is not None
            self.engine = Engine(self.session, publisher, rest, route, self._topics, settings.report_interval_ms / 1000)
            self._doing = "running"
            await self.engine.run(self._stop)
        finally:
            await rest.close()
            if self._topics is not None:
                await asyncio.to_thread(self._topics.close)
            self._unflushed = await asyncio.to_thread(publisher.flush, settings.drain_timeout_ms / 1000)
            if self._unflushed:
                _log.error("%d records were not acknowledged in time", self._unflushed)

    async def _prepare(self, publisher: KafkaPublisher, rest: RestClient) -> Session:
        """Wait for the broker, check the symbols, learn what the topics hold."""
        settings = self._settings
        assert self._venue is not None
        random = Random()

        def backoff() -> Backoff:
            return Backoff(settings.backoff_initial_ms / 1000, settings.backoff_max_ms / 1000, random=random)

        async def in_thread(call: Callable[[], Delivered | None]) -> Delivered | None:
            return await asyncio.to_thread(call)

        adapter = load_adapter(settings.exchange)
        kinds = [*(FEED_TOPIC[feed] for feed in settings.feeds), TopicKind.EVENTS, TopicKind.DEAD_LETTERS]
        self._doing = "waiting for the broker and its topics"
        await retry(lambda: in_thread(lambda: publisher.connect(kinds)), backoff(), self._doing)
        symbols = [f"{settings.exchange}:{symbol}" for symbol in settings.symbols]
        mine = share_of(symbols, settings.replica, settings.replicas)
        self._doing = "asking the exchange for its symbols"
        choice = Choice({}, {})
        if mine:
            choice = await choose_symbols(mine, adapter, lambda request: rest.fetch(request, adapter), backoff())
        mine, self.rejected = list(choice.instruments), choice.rejected
        self._doing, since = "reading what the topics hold", now_us()
        partitions = {kind: publisher.partitions(kind) for kind in kinds if kind in KINDS}
        delivered = await retry(
            lambda: in_thread(lambda: read_delivered(settings.kafka, settings.topic_prefix, mine, partitions)),
            backoff(),
            self._doing,
        )
        self._topics = TopicReader(settings.kafka, settings.topic_prefix, self.process, partitions)
        session = Session(
            settings,
            mine,
            adapter,
            publisher,
            max_streams=self._venue.max_streams,
            delivered=delivered,
            instruments=choice.instruments,
            absent=choice.rejected,
            random=random,
            process=self.process,
            looks_since=since,
        )
        session.wall = now_us()
        await self._learn_time(session, adapter, rest)
        for symbol, reason in self.rejected.items():
            session.event("rejected", symbol, "connection", detail=reason)
        return session

    @staticmethod
    async def _learn_time(session: Session, adapter: ExchangeAdapter, rest: RestClient) -> None:
        """Ask the exchange for its clock, once: if it does not tell, the first frame is a reason to ask again."""
        request = adapter.server_time()
        if request is None:
            return
        try:
            sent = now_us()
            told, received = await rest.fetch(request, adapter), now_us()
            session.exchange_clock.told(told, received)
            session.latencies.measured(told, sent, received, time.monotonic())
        except MarketPipelineError as error:
            _log.warning("the exchange does not tell its time: %s", error)
