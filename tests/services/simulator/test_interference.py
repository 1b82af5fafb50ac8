"""Faults on messages: exactly what is lost, doubled, silenced and garbled, and until when."""

from __future__ import annotations

from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.interference import Duplicates, Gap, Garble, Interference, Silence


class Wall:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def frame(kind: Kind, symbol: str = "BTCUSDT", stream: str = "s") -> Frame:
    return Frame(0, stream, symbol, kind, 0, b"{}", 0, 2)


def sent(interference: Interference, *frames: Frame) -> list[int]:
    """How many times each frame is sent."""
    return [sum(one is given for one in interference.apply(given)) for given in frames]


def test_a_gap_loses_changes_and_trades_of_one_symbol() -> None:
    gap = Gap("BTCUSDT", 2, 30, Wall())
    others = [frame(Kind.QUOTE), frame(Kind.OTHER), frame(Kind.TRADE, "ETHUSDT")]
    assert sent(gap, *others) == [1, 1, 1]
    assert sent(gap, *(frame(Kind.DIFF) for _ in range(4))) == [0, 0, 1, 1]
    assert not gap.over()
    assert sent(gap, *(frame(Kind.TRADE) for _ in range(4))) == [0, 0, 1, 1]
    assert gap.over()


def test_a_gap_ends_also_where_no_trade_comes() -> None:
    wall = Wall()
    gap = Gap("BTCUSDT", 2, 30, wall)
    assert not gap.over()
    wall.now = 30.0
    assert gap.over()


def test_duplicates() -> None:
    doubled = Duplicates("BTCUSDT", 2)
    given = [frame(Kind.TRADE), frame(Kind.TRADE, "ETHUSDT"), frame(Kind.QUOTE), frame(Kind.DIFF)]
    assert sent(doubled, *given) == [2, 1, 2, 1]
    assert doubled.over()


def test_garble_adds_and_takes_nothing_away() -> None:
    bad = frame(Kind.OTHER)
    garble = Garble("BTCUSDT", 1, lambda _: [bad, bad])
    quote, first, second = frame(Kind.QUOTE), frame(Kind.TRADE), frame(Kind.TRADE)
    assert garble.apply(quote) == [quote]
    assert garble.apply(first) == [first, bad, bad]
    assert garble.over()
    assert garble.apply(second) == [second]


def test_silence_of_a_stream_or_of_a_symbol() -> None:
    wall = Wall()
    stream, symbol = Silence("a@trade", 5, wall), Silence("BTCUSDT", 5, wall)
    given = [frame(Kind.TRADE, stream="a@trade"), frame(Kind.DIFF), frame(Kind.DIFF, "ETHUSDT")]
    assert sent(stream, *given) == [0, 1, 1]
    assert sent(symbol, *given) == [0, 0, 1]
    wall.now = 5.0
    assert stream.over()
    assert sent(symbol, *given) == [1, 1, 1]
