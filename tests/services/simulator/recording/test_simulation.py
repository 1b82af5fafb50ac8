"""Captures of the simulated market: the same lines each time, and what a replay needs of them."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.simulator.captures import Capture, load
from marketpipeline.simulator.protocols import protocols
from marketpipeline.simulator.recording.main import record_simulation
from marketpipeline.simulator.recording.simulation import Simulation

from tests.services.simulator.recording.test_recorder import pipeline

PROTOCOL = protocols()["binance"]
START = 1_723_161_255_000_000
BOTH = ("binance:BTCUSDT", "binance:ETHUSDT")


def recorded(path: Path, *, seconds: float = 10, feeds: str = "[book, trades, quotes]", **values: Any) -> Capture:
    record_simulation(pipeline(*BOTH, feeds=feeds), path, Simulation(7, START, seconds, **values))
    return load(path, (PROTOCOL.read, PROTOCOL.read_rest), 1 << 30)


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def test_the_same_seed_is_the_same_capture_on_every_machine(tmp_path: Path) -> None:
    """The digest was computed once; a new one means that whoever compares captures between machines has to know."""
    recorded(tmp_path / "a.gz", seconds=20, scenarios=("tour",), faults=("gap:count=5@9s",))
    digest = hashlib.sha256(gzip.decompress((tmp_path / "a.gz").read_bytes())).hexdigest()
    assert digest == "514ca4c082ed34291413c365149b26d79ebcb3e294a7aaad42cc0ac4c71492d9"


def test_it_holds_the_streams_of_the_feeds_for_the_time_asked(tmp_path: Path) -> None:
    capture = recorded(tmp_path / "a.gz")
    names = {f"{symbol}@{feed}" for symbol in ("btcusdt", "ethusdt") for feed in ("trade", "bookTicker", "depth@100ms")}
    assert set(capture.streams) == names
    assert capture.streams["btcusdt@depth@100ms"] == 100
    assert set(capture.snapshots) == {"BTCUSDT", "ETHUSDT"}
    assert START + 9_900_000 <= capture.last_event_time <= START + 10_000_000


def test_streams_that_follow_from_others_are_computed(tmp_path: Path) -> None:
    capture = recorded(tmp_path / "a.gz", feeds="[candles, tickers]")
    assert set(capture.streams) == {f"{s}@{f}" for s in ("btcusdt", "ethusdt") for f in ("kline_1m", "ticker")}
    assert capture.streams["btcusdt@ticker"] in (9, 10)


def test_a_hole_in_a_book_is_followed_by_its_snapshot(tmp_path: Path) -> None:
    recorded(tmp_path / "a.gz", faults=("gap:symbol=ETHUSDT,feed=book,count=5@4s",))
    last, holes = -1, 0
    snapshot = 0
    for line in lines(tmp_path / "a.gz"):
        body = json.loads(line[line.index(b"{") :])
        if b"/api/v3/depth?symbol=ETHUSDT" in line:
            snapshot = body["lastUpdateId"]
        elif body.get("stream") == "ethusdt@depth@100ms":
            change = body["data"]
            if last >= 0 and change["U"] > last + 1:
                holes += 1
                assert snapshot == change["U"] - 1, "the book that the change continues"
            last = change["u"]
    assert holes == 1


def test_what_cannot_be_simulated_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="did you mean 'whale'"):
        recorded(tmp_path / "a.gz", scenarios=("wale",))
    with pytest.raises(InvalidInput, match="must be one of BTCUSDT"):
        recorded(tmp_path / "b.gz", faults=("gap:symbol=XRPUSDT",))
    assert not list(tmp_path.iterdir())
