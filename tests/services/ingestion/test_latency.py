"""Latency and the difference of two clocks, told apart where the truth is known."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from marketpipeline.ingestion.latency import TRIPS_WITHIN, WINDOW, Latencies, Offset
from marketpipeline.records import Trade
from marketpipeline.topics import Feed
from marketpipeline.venues.messages import Stream

START = 1_700_000_000_000_000
STREAM = Stream("btcusdt@trade", "binance:BTCUSDT", Feed.TRADES)


def came(delay: int, **more: Any) -> dict[Stream, Any]:
    """What the handler of a stream handed on last: a record that was received `delay` after its event time."""
    trade = Trade(
        symbol=STREAM.symbol, event_time=START, trade_time=START, receive_time=START + delay, trade_id=1, price=1.0,
        quantity=1.0, taker_side="buy", **more,
    )  # fmt: skip
    return {STREAM: SimpleNamespace(last=trade)}


def test_the_fastest_round_trip_tells_the_difference_of_the_clocks() -> None:
    """Ours is 250 ms ahead. A slow way back makes one measurement wrong, within what it says of itself."""
    known, ahead = Latencies(), 250_000
    for number, (there, back) in enumerate([(1_000, 90_000), (20_000, 20_000), (4_000, 4_000)]):
        sent = START + number * 60_000_000
        known.measured(sent + there - ahead, sent, sent + there + back, number * 60.0)
        offset = known.offset
        assert offset is not None
        assert abs(offset.value - ahead) <= (offset.uncertainty or 0)
    assert known.offset == Offset(ahead, 4_000)


@pytest.mark.parametrize("ahead", [-1_270_000, 0, 3_000_000])
def test_latency_is_what_is_left(ahead: int) -> None:
    random, known = Random(1), Latencies()
    known.measured(START - ahead + 3_000, START, START + 6_000, 0.0)
    true = [5_000 + int(random.expovariate(1 / 10_000)) for _ in range(100)]
    for number, latency in enumerate(true):
        known.look(number * 0.5, came(latency + ahead))
    found = known.by_feed()["trades"]
    assert found.samples == 100
    assert (found.median, found.p99) == (sorted(true)[49], sorted(true)[98])


def test_nothing_comes_before_it_was_sent() -> None:
    """A round trip that is off by more than the latency would give negative ones: the streams know better."""
    known = Latencies()
    known.measured(START - 50_000, START, START + 100_000, 0.0)
    for number, delay in enumerate((30_000, 21_000, 25_000)):
        known.look(float(number), came(delay))
    assert known.offset == Offset(21_000, 50_000)
    assert known.by_feed()["trades"].median == 4_000


def test_without_the_exchanges_time_the_smallest_difference_is_all_that_is_known() -> None:
    known = Latencies()
    assert Latencies().offset is None
    for number, delay in enumerate((-40_000, -55_000, -10_000)):
        known.look(float(number), came(delay))
    assert known.offset == Offset(-55_000, None)


def test_what_says_nothing_about_now_is_no_sample() -> None:
    """The same record twice, one that was fetched later; and what is older than the window."""
    known = Latencies()
    newest = came(7_000)
    for step in range(3):
        known.look(step * 0.5, newest)
    known.look(2.0, came(9_000_000, backfilled=True))
    assert known.by_feed()["trades"].samples == 1
    known.look(WINDOW + 10.0, came(8_000))
    assert known.by_feed()["trades"].samples == 1, "the former is forgotten"
    known.measured(START, START, START + 10, 0.0)
    known.measured(START, START, START + 500, TRIPS_WITHIN)
    known.look(TRIPS_WITHIN + WINDOW, {})
    assert known.offset == Offset(250, 250)
