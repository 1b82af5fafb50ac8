"""Streams that follow from others: what they say, and when."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from marketpipeline.simulator.derived import Derived
from marketpipeline.simulator.events import BookDiff, BookSnapshot, Event, Trade
from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.market_state import MarketState
from marketpipeline.simulator.protocols import protocols

PROTOCOL = protocols()["binance"]
T = 1_700_000_040_000_000
"""The start of a minute."""
SECOND = 1_000_000


class Feed:
    """A market whose frames go through `Derived`, as the timeline does it."""

    def __init__(self, *streams: str, history: list[Event] | None = None) -> None:
        self.market = MarketState(PROTOCOL.events, ["BTCUSDT"], 1000)
        self.market.seed(PROTOCOL.encode(0, "BTCUSDT", BookSnapshot(5, [("99.0", "1.0")], [("101.0", "1.0")])))
        self.derived = Derived(self.market, PROTOCOL.encoders)
        for event in history or []:
            self.market.note(PROTOCOL.encode(0, "BTCUSDT", event))
        self.choose(*streams)

    def choose(self, *streams: str, now: int = T) -> None:
        found = ((stream, PROTOCOL.derive(stream)) for stream in streams)
        self.derived.choose(((stream, what) for stream, what in found if what is not None), now)

    def send(self, event: Event) -> list[Any]:
        frame = PROTOCOL.encode(0, "BTCUSDT", event)
        made = self.derived.before(frame)
        self.market.note(frame)
        self.derived.after(frame)
        return read(made)

    def passed(self, now: int) -> list[Any]:
        return read(self.derived.passed(now, 0))


def read(frames: list[Frame]) -> list[Any]:
    return [msgspec.json.decode(frame.message) for frame in frames]


def trade(number: int, at: float, price: str = "100.0", quantity: str = "1.0") -> Trade:
    time = T + int(at * SECOND)
    return Trade(number, price, quantity, time, time, False)


def change(first: int, last: int, at: float, bids: list[tuple[str, str]]) -> BookDiff:
    return BookDiff(first, last, T + int(at * SECOND), bids, [])


def test_top_levels_each_100_ms_when_they_may_have_changed() -> None:
    feed = Feed("btcusdt@depth5@100ms")
    (first,) = feed.passed(T + 100_000)
    assert first["stream"] == "btcusdt@depth5@100ms"
    assert first["data"] == {"lastUpdateId": 5, "bids": [["99.0", "1.0"]], "asks": [["101.0", "1.0"]]}
    assert feed.passed(T + 900_000) == []
    assert feed.send(change(6, 7, 1.0, [(f"{n}.0", "2.0") for n in range(80, 98)])) == []
    (second,) = feed.passed(T + 1_100_000)
    assert second["data"]["lastUpdateId"] == 7
    assert second["data"]["bids"] == [["99.0", "1.0"], *[[f"{n}.0", "2.0"] for n in (97, 96, 95, 94)]]


def test_changes_of_a_whole_second() -> None:
    feed = Feed("btcusdt@depth")
    feed.send(change(6, 7, 0.1, [("99.0", "2.0"), ("98.0", "1.0")]))
    feed.send(change(8, 9, 0.2, [("99.0", "0.0")]))
    (made,) = feed.send(change(10, 12, 1.2, [("97.0", "1.0")]))
    assert (made["data"]["U"], made["data"]["u"], made["data"]["E"]) == (6, 9, T // 1000 + 1000)
    assert made["data"]["b"] == [["99.0", "0.0"], ["98.0", "1.0"]]
    (made,) = feed.passed(T + 2 * SECOND)
    assert (made["data"]["U"], made["data"]["u"]) == (10, 12)
    assert feed.passed(T + 5 * SECOND) == []


def test_candles_every_two_seconds_and_closed_in_a_quiet_market() -> None:
    feed = Feed("btcusdt@kline_1m")
    assert feed.passed(T + 4 * SECOND) == [], "no trade, no candle"
    feed.send(trade(1, 5, "100.0"))
    feed.send(trade(2, 5.5, "103.0"))
    (made,) = feed.passed(T + 6 * SECOND)
    candle = made["data"]["k"]
    assert (candle["o"], candle["h"], candle["c"], candle["n"], candle["x"]) == ("100.0", "103.0", "103.0", 2, False)
    later = feed.passed(T + 70 * SECOND)
    assert [one["data"]["k"]["x"] for one in later] == [False] * 26 + [True]
    assert later[-1]["data"]["E"] == (T + 60 * SECOND) // 1000


def test_a_candle_that_is_followed_by_trades_is_closed_before_them() -> None:
    feed = Feed("btcusdt@kline_1m")
    feed.send(trade(1, 59))
    made = feed.send(trade(2, 61, "200.0")) + feed.passed(T + 62 * SECOND)
    assert [(one["data"]["k"]["c"], one["data"]["k"]["x"]) for one in made] == [("100.0", True), ("200.0", False)]


def test_who_comes_in_the_middle_of_a_candle_gets_all_of_it() -> None:
    feed = Feed("btcusdt@kline_1m", history=[trade(1, 1, "90.0"), trade(2, 2, "95.0")])
    feed.send(trade(3, 3))
    (made,) = feed.passed(T + 4 * SECOND)[-1:]
    assert (made["data"]["k"]["o"], made["data"]["k"]["n"], made["data"]["k"]["f"]) == ("90.0", 3, 1)


def test_the_rolling_day_each_second() -> None:
    day = 86_400
    feed = Feed("btcusdt@ticker", history=[trade(1, -day - 120, "10.0"), trade(2, -60, "90.0"), trade(3, -30, "80.0")])
    (made,) = feed.passed(T + SECOND)
    data = made["data"]
    assert (data["o"], data["h"], data["l"], data["c"], data["n"], data["F"], data["L"]) == (
        "90.0", "90.0", "80.0", "80.0", 2, 2, 3,
    )  # fmt: skip
    assert (data["b"], data["a"]) == ("99.0", "101.0")
    assert len(feed.passed(T + 4 * SECOND)) == 3


def test_nothing_is_made_for_nobody() -> None:
    feed = Feed("btcusdt@ticker", "btcusdt@trade", "nosuch@depth20")
    active = [feed.derived.active]
    feed.choose()
    active.append(feed.derived.active)
    assert active == [True, False]
    feed.send(trade(1, 1))
    assert feed.passed(T + 100 * SECOND) == []


@pytest.mark.parametrize("stream", ["btcusdt@depth20", "btcusdt@ticker", "btcusdt@kline_5m"])
def test_a_stream_chosen_late_speaks_at_the_same_moments(stream: str) -> None:
    feed = Feed()
    feed.send(trade(1, 1))
    feed.choose(stream, now=T + 1_234_567)
    made = feed.passed(T + 2_000_000)
    assert len(made) == 1
    assert made[0]["data"].get("E", (T + 2_000_000) // 1000) == (T + 2_000_000) // 1000
