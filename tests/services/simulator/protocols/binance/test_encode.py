"""Messages made here are read back as what they were made of, and have the fields of the real ones."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.events import AggTrade, BookDiff, BookSnapshot, DayStatistics, Event, Quote, Trade
from marketpipeline.simulator.frames import Kind
from marketpipeline.simulator.protocols.binance import encode, wire

T = 1_700_000_000_123_000
EVENTS: list[Event] = [
    Trade(7, "100.50000000", "0.10000000", T, T, True),
    AggTrade(3, "100.50000000", "0.10000000", 7, 9, T, T, False),
    Quote(12, "99.00000000", "1.00000000", "101.00000000", "2.00000000"),
    BookDiff(10, 12, T, [("99.00000000", "1.00000000")], [("101.00000000", "0.00000000")]),
    BookSnapshot(12, [("99.00000000", "1.00000000")], []),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_what_is_written_is_what_is_read(event: Event) -> None:
    frame = encode.encode(5, "BTCUSDT", event)
    assert wire.decode(frame) == event
    again = wire.read(5, frame.message) if frame.kind is not Kind.SNAPSHOT else wire.read(5, frame.payload)
    assert again is not None
    assert (again.stream, again.kind, again.event_time) == (frame.stream, frame.kind, frame.event_time)
    assert again.payload == frame.payload


def test_the_event_time_is_cut_to_what_the_message_tells() -> None:
    frame = encode.encode(0, "BTCUSDT", Trade(7, "1", "1", T + 999, T + 999, True))
    assert frame.event_time == T


def test_a_candle() -> None:
    candle = Candle.opened_by(Trade(7, "100.0", "0.5", T, T, False), 60_000_000)
    frame = encode.encode_candle(0, "BTCUSDT", "btcusdt@kline_1m", "1m", candle, True, T)
    body = msgspec.json.decode(frame.payload)
    assert list(body) == ["e", "E", "s", "k"]
    assert list(body["k"]) == ["t", "T", "s", "i", "f", "L", "o", "c", "h", "l", "v", "n", "x", "q", "V", "Q", "B"]
    assert body["k"]["T"] - body["k"]["t"] == 59_999
    assert body["k"]["x"] is True
    assert (body["k"]["v"], body["k"]["q"], body["k"]["V"]) == ("0.50000000", "50.00000000", "0.50000000")


def test_the_rolling_day() -> None:
    quote = Quote(1, "99.0", "1.0", "101.0", "2.0")
    day = DayStatistics(
        T, T - 5, "100.0", "110.0", "90.0", "105.0", "0.3", Decimal(10), Decimal(1000), 5, 14, 10, quote
    )
    body = msgspec.json.decode(encode.encode_statistics(0, "BTCUSDT", "btcusdt@ticker", day).payload)
    assert "".join(sorted(body)) == "ABCEFLOPQabcehlnopqsvwx"
    assert (body["p"], body["P"], body["w"]) == ("5.00000000", "5.000", "100.00000000")
    assert (body["F"], body["L"], body["n"]) == (5, 14, 10)


def test_each_broken_copy_of_a_trade_is_broken_in_its_own_way() -> None:
    frame = encode.encode(0, "BTCUSDT", Trade(7, "1.0", "1.0", T, T, True))
    broken = encode.malform(frame)
    kinds = []
    for one in broken:
        try:
            data = msgspec.json.decode(one.message)["data"]
        except msgspec.DecodeError:
            kinds.append("no JSON")
            continue
        kinds.append(f"{data['p']} {data['q']} {data['s']} {data.get('t')}")
    assert kinds == [
        "no JSON",
        "no JSON",
        "n/a 1.0 BTCUSDT 7",
        "1.0 -1.00000000 BTCUSDT 7",
        "1.0 1.0 NOSUCHUSDT 7",
        "1.0 1.0 BTCUSDT None",
    ]
    assert len({one.message for one in broken}) == len(broken)
