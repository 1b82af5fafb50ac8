"""`marketpipeline record`: from a MarketPipeline to a recording of its symbols and feeds."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from marketpipeline.errors import InvalidInput, MarketPipelineError, PermanentError, Problem
from marketpipeline.selection import ask, choose
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.recording.recorder import Counts, Recorder, Target
from marketpipeline.simulator.recording.simulation import Simulation, write_simulation
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.spec import BookSource, MarketPipeline
from marketpipeline.topics import Feed
from marketpipeline.venues import venues
from marketpipeline.venues.adapter import ExchangeAdapter, StreamOptions, load_adapter

__all__ = ["record", "record_simulation"]

Progress = Callable[[Counts, CaptureWriter], None]


def record(
    pipeline: MarketPipeline, out: Path, exchange_url: str | None, seconds: float | None, progress: Progress
) -> CaptureWriter:
    """Record until `seconds` are over, SIGINT or SIGTERM; returns the closed writer of the capture.

    Raises InvalidInput for what cannot be recorded, PermanentError when the exchange or the disk refuses, or
    when not one frame came.
    """
    adapter, target = _target(pipeline, exchange_url)
    writer = CaptureWriter(out)
    try:
        counts = uvloop.run(_record(Recorder(adapter, target, writer), writer, seconds, progress))
    except BaseExceptionGroup as group:
        error = _first(group)
        if isinstance(error, MarketPipelineError):
            raise error from group
        raise
    finally:
        writer.close()
    if not counts.frames:
        why = f": {counts.last_error}" if counts.last_error else ""
        raise PermanentError(f"{target.websocket_url} sent nothing{why}")
    return writer


def record_simulation(pipeline: MarketPipeline, out: Path, simulation: Simulation) -> CaptureWriter:
    """Write the capture of a simulated market, as fast as it is computed; returns its closed writer.

    Raises InvalidInput for what cannot be recorded or simulated, PermanentError when the disk refuses.
    """
    if pipeline.spec.selectors:
        expected = "must name symbols: a market that is computed has no list to ask"
        raise InvalidInput(pipeline.name, [Problem("spec.symbols", pipeline.spec.symbols, expected)])
    adapter, target = _target(pipeline, None)
    protocol = protocols().get(pipeline.spec.exchanges[0])
    if protocol is None:
        expected = f"must be of an exchange that can be simulated: {', '.join(protocols())}"
        raise InvalidInput(pipeline.name, [Problem("spec.symbols", pipeline.spec.symbols, expected)])
    writer = CaptureWriter(out)
    try:
        write_simulation(simulation, adapter, protocol, target, writer)
    finally:
        writer.close()
    return writer


async def _record(recorder: Recorder, writer: CaptureWriter, seconds: float | None, progress: Progress) -> Counts:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread: who runs it there stops it
            loop.add_signal_handler(number, stop.set)
    await recorder.run(stop, seconds, lambda counts: progress(counts, writer))
    return recorder.counts


def _target(pipeline: MarketPipeline, exchange_url: str | None) -> tuple[ExchangeAdapter, Target]:
    spec = pipeline.spec
    if len(spec.exchanges) > 1:
        expected = "must be of one exchange: a capture holds the frames of one"
        raise InvalidInput(pipeline.name, [Problem("spec.symbols", spec.symbols, expected)])
    name = spec.exchanges[0]
    venue, adapter = venues()[name], load_adapter(name)
    options = StreamOptions(levels=spec.depth.levels, partial_depth=spec.depth.source is BookSource.PARTIAL)
    websocket = spec.ingestion.websocket_urls.get(name, venue.websocket_url)
    rest = spec.ingestion.rest_urls.get(name, venue.rest_url)
    if exchange_url is not None:
        websocket, rest = _both(exchange_url)
    selected = choose(spec, {name: ask(name, rest, spec.selectors)}, ()).symbols if spec.selectors else ()
    symbols = tuple(dict.fromkeys([*spec.named, *selected]))
    feeds = [feed for feed in spec.feeds if feed is not Feed.RAW]
    streams = tuple(adapter.streams(symbols, feeds, options))
    return adapter, Target(websocket, rest, symbols, streams, venue.max_streams)


def _both(url: str) -> tuple[str, str]:
    """WebSocket and REST addresses of an exchange on one port."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.netloc:
        expected = "must be a URL with http, https, ws or wss and a host, e.g. http://127.0.0.1:9443"
        raise InvalidInput("record", [Problem("--exchange", url, expected)])
    secure = "s" if parts.scheme in ("https", "wss") else ""
    return f"ws{secure}://{parts.netloc}", f"http{secure}://{parts.netloc}"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a task, out of the groups that task groups wrap it in."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
