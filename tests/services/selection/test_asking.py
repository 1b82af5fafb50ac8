"""Listings as the simulated exchanges give them over HTTP, and what is said when there is none."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline.selection import Listing, ask, ask_all
from marketpipeline.settings import HttpSettings, SimulatorSettings
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline.spec import MarketPipeline, load_object
from marketpipeline.spec.selectors import Selector, selector_of
from marketpipeline.venues.adapter import ExchangeAdapter
from marketpipeline.venues.binance.adapter import BinanceAdapter

from tests.services.simulator.client import serving, trade, write_capture

HEAD = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "many"}}
NOBODY = "http://127.0.0.1:9"


def pipeline(*symbols: str, urls: Mapping[str, str] = {}) -> MarketPipeline:
    return load_object({**HEAD, "spec": {"symbols": list(symbols), "ingestion": {"restUrls": dict(urls)}}})


async def listing(exchange: str, *faults: tuple[str, dict[str, Any]]) -> Listing:
    http = HttpSettings(host="127.0.0.1", port=0)
    served = SimulatedExchange(SimulatorSettings(http=http, exchange=exchange, more_symbols=30, scenarios=["calm"]))
    await served.start()
    try:
        for name, parameters in faults:
            served.faults.fire(name, parameters, 0.0)
        return await asyncio.to_thread(ask, exchange, served.url)
    finally:
        await served.stop()


def ranked(found: Listing, market: str) -> list[str]:
    return sorted((s for s, listed in found.items() if listed.market == market), key=lambda s: -found[s].volume)


async def test_what_a_spot_exchange_lists_with_its_volumes() -> None:
    found = await listing("binance", ("volume", {"symbol": "ADAUSDT", "factor": "1e3"}))
    assert ranked(found, "USDT")[:3] == ["binance:ADAUSDT", "binance:BTCUSDT", "binance:ETHUSDT"]
    assert ranked(found, "BTC") == ["binance:ETHBTC"]
    assert all(listed.trading and listed.volume > 0 for listed in found.values())


async def test_contracts_are_markets_of_their_own() -> None:
    found = await listing("okx", ("delist", {"symbol": "BTC-USDT"}), ("listing", {"symbol": "ETH-USDT"}))
    assert ranked(found, "USDT")[:2] == ["okx:BNB-USDT", "okx:SOL-USDT"]
    swaps = [f"okx:{base}-USDT-SWAP" for base in ("BTC", "ETH", "BNB")]
    assert ranked(found, "USDT-SWAP") == swaps


def test_an_exchange_that_is_not_reached_is_named() -> None:
    with pytest.raises(RetryableError, match=rf"{NOBODY} is not reached: .*refused"):
        ask("binance", NOBODY)
    listings, failed = ask_all(pipeline("binance:*USDT", "okx:BTC-USDT", urls={"binance": NOBODY}))
    assert (listings, list(failed)) == ({}, ["binance"])


async def test_without_volumes_the_first_of_a_market_are_not_those_of_the_alphabet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay has none before its first trade. Where all of a market are wanted it has no need of any."""
    names = ("ADAUSDT", "BTCUSDT", "ETHUSDT")
    capture = write_capture(tmp_path / "a.gz", [trade(at, 1, symbol=name) for at, name in enumerate(names)])
    first, all_of_it, others = (selector_of(f"binance:{text}") for text in ("top-2-USDT", "top-3-USDT", "*USDT"))
    async with serving(captures=[str(capture)]) as served:

        async def asked(*selectors: Selector) -> list[str]:
            return [*await asyncio.to_thread(ask, "binance", served.url, selectors)]

        with pytest.raises(RetryableError, match=f"{served.url}.* tells no volumes to rank binance:top-2-USDT by"):
            await asked(all_of_it, first)
        assert await asked(all_of_it, others) == [f"binance:{name}" for name in names]
        monkeypatch.setattr(BinanceAdapter, "volumes", ExchangeAdapter.volumes)
        with pytest.raises(PermanentError, match=r"^binance:top-3-USDT: binance tells no volumes to rank by; name"):
            await asked(all_of_it, others)
        assert len(await asked(others, selector_of("okx:top-3-USDT"))) == 3


BODY = gzip.compress(b'{"symbols": []}', mtime=0)
ZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (ZIPPED + BODY[:10] + b"\xff" * 20, "the answer cannot be read: .*invalid block type"),
        (ZIPPED + BODY[:-4], "the answer cannot be read: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "is not reached: .*reset"),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 99\r\n\r\n{", "is not reached: .*reset"),
    ],
    ids=["damaged", "truncated", "reset", "refused and reset"],
)
async def test_an_answer_that_is_damaged_or_breaks_off_is_one_to_ask_for_again(said: bytes, told: str) -> None:
    """Whatever its status: a whole run would end by any other error."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        if b"Content-Length" in said:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RetryableError, match=told):
            await asyncio.to_thread(ask, "binance", url)
