"""Assembles the simulated exchange from its settings and runs it until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from dataclasses import replace
from pathlib import Path

import uvloop
from aiohttp import web

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import SimulatorSettings
from marketpipeline.simulator.captures import Reader, exchange_of, load
from marketpipeline.simulator.connections import Hub
from marketpipeline.simulator.control import Control, observe
from marketpipeline.simulator.derived import Derived
from marketpipeline.simulator.faults import FAULTS, FaultContext, Faults
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import Limits, WireProtocol, protocols
from marketpipeline.simulator.schedule import parse
from marketpipeline.simulator.server import Server
from marketpipeline.simulator.simulation.instruments import BASES, DEFAULT_SYMBOLS
from marketpipeline.simulator.simulation.scenarios import SCENARIOS
from marketpipeline.simulator.simulation.source import TOUR, SimulatedMarket
from marketpipeline.simulator.sources import Replay, Source
from marketpipeline.simulator.timeline import FrameFilters, Timeline
from marketpipeline.telemetry import Telemetry, listen
from marketpipeline.venues import venues

__all__ = ["SimulatedExchange", "run"]

_log = logging.getLogger(__name__)


def run(settings: SimulatorSettings) -> int:
    """Serve until SIGTERM or SIGINT. Raises InvalidInput for settings, captures or a port that cannot be used."""
    exchange = SimulatedExchange(settings)
    return uvloop.run(_run(exchange))


async def _run(exchange: SimulatedExchange) -> int:
    telemetry = Telemetry.start(exchange.settings, "simulator", None)
    observe(telemetry.meter, exchange.server, exchange.timeline, exchange.faults)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        await exchange.start()
        _log.info("the exchange is open", extra={"url": exchange.url, "symbols": list(exchange.source.symbols)})
        await stopped.wait()
        await exchange.stop()
    finally:
        telemetry.close()
    return 0


class SimulatedExchange:
    """One exchange on one port; usable inside a test's own event loop."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.protocol = _protocol(settings.exchange)
        self.source = _source(settings, self.protocol)
        self.limits = _limits(settings, self.protocol)
        self.hub = Hub(self.protocol.diff_symbol)
        self.market = MarketState(
            self.protocol.events, self.source.symbols, settings.trade_history, volumes=self.source.volumes
        )
        self.timeline = Timeline(
            self.source,
            self.hub,
            self.market,
            settings.speed,
            settings.settle_ms / 1000,
            wait=bool(settings.captures),
        )
        self.server = Server(self.protocol, self.limits, self.hub, self.market, self.timeline)
        planned = [parse(text, "fault", FAULTS) for text in settings.faults]
        self.faults = Faults(planned, FaultContext(self.server, self.source.symbols, self.protocol))
        derived = Derived(self.market, self.protocol.encoders)
        self.timeline.filters = FrameFilters(derived, self.protocol.derive, self.faults)
        self.control = Control(self.server, self.timeline, self.faults)
        self.port = settings.http.port
        self._runner: web.AppRunner | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where REST, control and metrics are; the WebSocket has the same address."""
        return f"http://{self.settings.http.host}:{self.port}"

    async def start(self) -> None:
        """Open the port and start to send. Raises InvalidInput when the port is in use."""
        app = web.Application()
        self.control.add_to(app)
        app.router.add_route("*", "/{path:.*}", self.server.handle)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            for listener in listen(self.settings.http.host, self.settings.http.port):
                await web.SockSite(self._runner, listener).start()
        except InvalidInput:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        self._pump = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            await self.timeline.run()
            _log.info("the replay has ended", extra={"frames": self.timeline.dispatched})
        except Exception as error:  # noqa: BLE001 - the pump's end must be seen: /health tells it, whatever it was
            self.control.failure = str(error) or type(error).__name__
            _log.exception("the exchange can send nothing more")

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        await self.server.stop()
        if self._runner is not None:
            await self._runner.cleanup()


def _protocol(name: str | None) -> WireProtocol:
    known = protocols()
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise InvalidInput("simulator", [Problem("exchange", name, f"must be one of {', '.join(sorted(known))}")])
    return known[name]


def _source(settings: SimulatorSettings, protocol: WireProtocol) -> Source:
    if settings.captures:
        _refuse_both(settings)
        return Replay([load(path, _reader(protocol), settings.memory_bytes) for path in _own(settings, protocol)])
    planned = [parse(text, "scenario", [*SCENARIOS, TOUR]) for text in settings.scenarios or [TOUR]]
    start = settings.start_time or int(time.time() * 1e6)
    symbols = settings.symbols or ([] if settings.more_symbols else _default_symbols(protocol))
    more = [name for name in protocol.names(BASES) if name not in symbols] if settings.more_symbols else []
    symbols = [*symbols, *more[: settings.more_symbols]]
    problems = [
        Problem("symbols", name, f"must be a symbol as {protocol.name} writes them, listed once")
        for number, name in enumerate(symbols)
        if not protocol.accepts(name) or name in symbols[:number]
    ]
    if problems:
        raise InvalidInput("simulator", problems)
    return SimulatedMarket(symbols, settings.seed, start, planned, protocol.encode)


def _default_symbols(protocol: WireProtocol) -> list[str]:
    """Those that people know, or what stands for the exchange's form of a name."""
    known = [name for name in DEFAULT_SYMBOLS if protocol.accepts(name)]
    return known or [venue.symbol_example for venue in venues().values() if venue.name == protocol.name]


def _reader(protocol: WireProtocol) -> Reader:
    return protocol.read, protocol.read_rest


def _own(settings: SimulatorSettings, protocol: WireProtocol) -> list[Path]:
    """The captures but those of the run's other exchanges. One that is of none of them is among them, to be refused."""
    paths = [Path(path) for path in settings.captures]
    known = protocols()
    others = {name: _reader(known[name]) for name in settings.other_exchanges if name in known}
    if not others:
        return paths
    readers = {protocol.name: _reader(protocol), **others}
    found = [path for path in paths if exchange_of(path, readers) in ("", protocol.name)]
    if not found:
        expected = f"must hold a capture of {protocol.name}: each exchange of the pipeline needs one"
        raise InvalidInput("simulator", [Problem("captures", settings.captures, expected)])
    return found


def _refuse_both(settings: SimulatorSettings) -> None:
    problems = [
        Problem(field, value, "is for a simulated market; leave it out with captures")
        for field, value in (("scenarios", settings.scenarios), ("symbols", settings.symbols))
        if value
    ]
    if problems:
        raise InvalidInput("simulator", problems)


def _limits(settings: SimulatorSettings, protocol: WireProtocol) -> Limits:
    limits = protocol.limits
    if settings.connection_lifetime_ms is not None:
        limits = replace(limits, lifetime=settings.connection_lifetime_ms / 1000)
    if settings.ping_interval_ms is not None:
        limits = replace(limits, ping_interval=settings.ping_interval_ms / 1000)
    if settings.pong_timeout_ms is not None:
        limits = replace(limits, pong_timeout=settings.pong_timeout_ms / 1000)
    if settings.weight_per_minute is not None:
        limits = replace(limits, weight_per_minute=settings.weight_per_minute)
    return limits
