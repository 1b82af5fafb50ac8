"""The exchange's clock and the pace of a replay, with a wall clock that the test turns."""

from __future__ import annotations

from marketpipeline.simulator.clock import ExchangeClock, Pacer

MS = 1_000_000
"""Nanoseconds."""


class Wall:
    def __init__(self) -> None:
        self.now = 64.0

    def __call__(self) -> float:
        return self.now


def test_a_source_runs_at_its_speed_and_stands_still_while_waiting() -> None:
    wall = Wall()
    pacer = Pacer(20.0, wall)
    assert pacer.now() == 0
    pacer.start(5_000 * MS)
    wall.now += 0.125
    assert pacer.now() == 7_500 * MS
    assert pacer.seconds_until(10_000 * MS) == 0.125
    wall.now += 3.0
    pacer.skip(3.0)
    assert pacer.now() == 7_500 * MS


def test_the_clock_is_the_latest_event_time_sent() -> None:
    clock = ExchangeClock(1_000, Wall())
    assert clock.now == 1_000
    clock.sent(5_000, 5 * MS)
    clock.sent(4_000, 6 * MS)
    assert clock.now == 5_000


def test_a_quiet_market_lets_the_clock_go_on_less_the_longest_delay_seen() -> None:
    clock = ExchangeClock(0, Wall())
    clock.passed(50 * MS, 0)
    assert clock.now == 0, "nothing is known of the delay yet"
    clock.sent(10_000, 12 * MS)
    clock.sent(20_000, 25 * MS)
    clock.passed(40 * MS, 0)
    assert clock.now == 35_000
    clock.passed(60 * MS, 41_000)
    assert clock.now == 40_999, "what happens at 41,000 is not sent yet"
    clock.passed(50 * MS, 0)
    assert clock.now == 45_000
    clock.passed(40 * MS, 0)
    assert clock.now == 45_000, "it never goes back"


def test_a_receiver_whose_clock_is_slow() -> None:
    clock = ExchangeClock(0, Wall())
    clock.sent(2_270_000, 1_000 * MS)
    clock.passed(1_500 * MS, 0)
    assert clock.now == 2_770_000


def test_after_the_end_it_goes_on_by_the_wall_clock() -> None:
    wall = Wall()
    clock = ExchangeClock(0, wall)
    clock.sent(10_000, 10 * MS)
    clock.end()
    wall.now += 2.5
    assert clock.now == 2_510_000
    clock.end()
    assert clock.now == 2_510_000
