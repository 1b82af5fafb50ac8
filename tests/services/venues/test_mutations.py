"""Broken frames of every exchange: each is a value or an error, never another exception.

The million of each, through whole sessions and with memory watched, is `python -m benchmarks.mutations`.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from marketpipeline.topics import EXCHANGE_FEEDS
from marketpipeline.venues.adapter import StreamOptions, load_adapter
from marketpipeline.venues.messages import FrameError

from tests.support import captures
from tests.support.mutations import MUTATIONS, mutated

SOURCES = {
    "binance": (captures.BTC, ["BTCUSDT"]),
    "okx": (captures.OKX, ["BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP"]),
}
COUNT = 6_000


@pytest.mark.parametrize("exchange", SOURCES)
def test_every_broken_frame_is_a_value_or_a_dead_letter(capture: Callable[[str], Path], exchange: str) -> None:
    name, symbols = SOURCES[exchange]
    adapter = load_adapter(exchange)
    mapper = adapter.mapper(adapter.streams([f"{exchange}:{one}" for one in symbols], EXCHANGE_FEEDS, StreamOptions()))
    with gzip.open(capture(name)) as lines:
        frames = [line.rstrip().split(b" ", 1)[1] for line in islice(lines, 400)]
    found: Counter[bool] = Counter()
    for frame in mutated(frames, COUNT, seed=3):
        try:
            mapper.map(frame, 1_652_459_225_503_749)
        except FrameError:
            found[False] += 1
        else:
            found[True] += 1
    assert sum(found.values()) == COUNT
    assert min(found[True], found[False]) > COUNT / 50, "some are still right, most are not"


def test_what_is_broken_differs_and_is_the_same_again() -> None:
    frames = [b'{"arg":{"channel":"trades"},"data":[{"px":"1.5","sz":"2"}]}']
    first, again = (list(mutated(frames, 300, seed=5)) for _ in range(2))
    assert first == again
    assert len(set(first)) > 150
    assert len(MUTATIONS) == 6
