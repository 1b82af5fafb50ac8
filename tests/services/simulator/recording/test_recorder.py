"""Recording from a served exchange, and replaying what was recorded."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput, PermanentError, RetryableError
from marketpipeline.simulator.captures import Capture, load
from marketpipeline.simulator.events import BookDiff
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.protocols.binance.wire import decode
from marketpipeline.simulator.recording.main import _target as target_of
from marketpipeline.simulator.recording.main import record
from marketpipeline.simulator.recording.recorder import Counts, Recorder
from marketpipeline.simulator.recording.writer import CaptureWriter
from marketpipeline.spec import MarketPipeline, load_text

from tests.services.simulator.client import client_of, eventually, messages, serving, until
from tests.support.certificates import Authority
from tests.support.proxy import connect_proxy

PROTOCOL = protocols()["binance"]


def text(*symbols: str, feeds: str = "[book, trades, quotes]") -> str:
    names = ", ".join(symbols or ("binance:BTCUSDT", "binance:ETHUSDT"))
    return (
        "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\nmetadata: {name: x}\n"
        f"spec: {{symbols: [{names}], feeds: {feeds}}}\n"
    )


def pipeline(*symbols: str, feeds: str = "[book, trades, quotes]") -> MarketPipeline:
    return load_text(text(*symbols, feeds=feeds))


def read(path: Path) -> Capture:
    return load(path, (PROTOCOL.read, PROTOCOL.read_rest), 1 << 30)


async def recording(
    exchange: SimulatedExchange, path: Path, done: Callable[[Counts], bool], wanted: MarketPipeline | None = None
) -> Counts:
    """Record until `done`."""
    adapter, target = target_of(wanted or pipeline(), exchange.url)
    writer = CaptureWriter(path)
    recorder = Recorder(adapter, target, writer)
    stop = asyncio.Event()
    running = asyncio.create_task(recorder.run(stop, None, lambda counts: None))
    try:
        await eventually(lambda: running.done() or done(recorder.counts), "recorded", 20)
        stop.set()
        await running
    finally:
        running.cancel()
        writer.close()
    return recorder.counts


async def test_what_is_recorded_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    async with serving(symbols=["BTCUSDT", "ETHUSDT"]) as exchange:
        await recording(exchange, path, lambda counts: counts.frames > 150 and counts.snapshots == 2)
    found = read(path)
    assert set(found.snapshots) == {"BTCUSDT", "ETHUSDT"}
    assert len(found.streams) == 6
    everything = [frame for frame in found.frames() if frame.stream]
    async with serving(captures=[str(path)], speed=None) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?timeUnit=MICROSECOND&streams=" + "/".join(found.streams))
        for symbol in found.symbols:
            status, book, _ = await client.get(f"/api/v3/depth?symbol={symbol}&limit=5000")
            assert status == 200
            assert len(book["bids"]) > 20
        replayed = await messages(socket, len(everything))
        assert replayed == [json.loads(frame.message) for frame in everything]


async def test_the_way_leads_through_the_proxy_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is one that only the proxy can reach, with a certificate of an authority that only the shell names."""
    host, authority = "exchange.invalid", Authority(tmp_path / "tls")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(symbols=["BTCUSDT"]) as exchange:
        port = int(exchange.url.rpartition(":")[2])
        with connect_proxy(authority.issue(host, f"DNS:{host}"), port) as proxy:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
            file, out = tmp_path / "x.yaml", tmp_path / "a.gz"
            file.write_text(text("binance:BTCUSDT"))
            words = ("record", str(file), "--out", str(out), "--exchange", f"https://{host}", "--for", "3s")
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "marketpipeline", *words)
            assert await process.wait() == 0
    assert {target for target, _ in proxy.asked} == {f"CONNECT {host}:443"}
    assert read(out).snapshots


async def test_the_book_of_a_recording_goes_on_from_its_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    async with serving(symbols=["BTCUSDT"]) as exchange:
        wanted = pipeline("binance:BTCUSDT", feeds="[book]")
        await recording(exchange, path, lambda c: c.snapshots == 1 and c.frames > 20, wanted)
    found = read(path)
    start = decode(found.snapshots["BTCUSDT"])[0]
    events = [decode(frame) for frame in found.frames() if frame.stream]
    changes = [event for event in events if isinstance(event, BookDiff)]
    assert changes[0].first_id <= start + 1, "the snapshot is not older than the first change"
    assert any(change.first_id <= start + 1 <= change.last_id for change in changes)


async def test_a_lost_connection_is_reopened_and_the_books_are_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        wanted = pipeline("binance:BTCUSDT")
        broken: list[asyncio.Task[object]] = []

        def done(counts: Counts) -> bool:
            if counts.snapshots == 1 and not broken:
                broken.append(asyncio.create_task(client.post("/control/faults/disconnect")))
            return counts.snapshots == 2 and counts.frames > 40

        counts = await recording(exchange, path, done, wanted)
    assert counts.connections == 2
    assert counts.disconnects == 1
    assert sum(frame.kind.name == "SNAPSHOT" for frame in read(path).frames()) == 2


async def test_a_refused_snapshot_is_asked_for_again(tmp_path: Path) -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange, client_of(exchange) as client:
        asked: list[asyncio.Task[object]] = []

        def done(counts: Counts) -> bool:
            if counts.connections and not asked:
                asked.append(asyncio.create_task(client.post("/control/faults/429?seconds=1")))
            return counts.snapshots == 1

        counts = await recording(exchange, tmp_path / "a.gz", done, pipeline("binance:BTCUSDT"))
    assert counts.snapshots == 1


async def test_a_symbol_that_the_exchange_does_not_have(tmp_path: Path) -> None:
    async with serving(symbols=["BTCUSDT"]) as exchange:
        with pytest.raises(BaseExceptionGroup) as caught:
            await recording(exchange, tmp_path / "a.gz", lambda counts: False)
        assert caught.group_contains(PermanentError, match="does not list binance:ETHUSDT")
    assert not (tmp_path / "a.gz").exists()


def test_an_exchange_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RetryableError, match="does not answer"):
        record(pipeline(), tmp_path / "a.gz", "http://127.0.0.1:9", 1.0, lambda counts, writer: None)
    assert not (tmp_path / "a.gz").exists()


@pytest.mark.parametrize("url", ["127.0.0.1:9443", "ftp://x", "http://"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="must be a URL with http"):
        record(pipeline(), tmp_path / "a.gz", url, 1.0, lambda counts, writer: None)


async def test_partial_books_are_recorded_without_a_snapshot(tmp_path: Path) -> None:
    wanted = load_text(
        "apiVersion: marketpipeline.dev/v1alpha1\nkind: MarketPipeline\nmetadata: {name: x}\n"
        "spec: {symbols: [binance:BTCUSDT], feeds: [book], depth: {source: partial, levels: 20}}\n"
    )
    async with serving(symbols=["BTCUSDT"]) as exchange:
        counts = await recording(exchange, tmp_path / "a.gz", lambda c: c.frames > 5, wanted)
    assert counts.snapshots == 0
    assert list(read(tmp_path / "a.gz").streams) == ["btcusdt@depth20@100ms"]
    async with serving(captures=[str(tmp_path / "a.gz")], speed=None) as exchange, client_of(exchange) as client:
        socket = await client.connect("/stream?streams=btcusdt@depth20@100ms")
        assert len((await until(lambda m: "data" in m, socket))["data"]["asks"]) == 20
