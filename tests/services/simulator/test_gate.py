"""Request weight by the minute, the ban that follows, and the faults of the door."""

from __future__ import annotations

from marketpipeline.simulator.gate import Gate


class Wall:
    def __init__(self) -> None:
        self.now = 6_000.0

    def __call__(self) -> float:
        return self.now


def test_weight_is_counted_by_the_minute() -> None:
    wall = Wall()
    gate = Gate(100, wall)
    assert [gate.charge("a", 50).used for _ in range(2)] == [50, 100]
    assert gate.charge("b", 1).used == 1, "another address has its own"
    wall.now += 10
    refused = gate.charge("a", 1)
    assert (refused.retry_after, refused.banned) == (50, False)
    wall.now += 50
    assert gate.charge("a", 60).retry_after == 0


def test_who_does_not_listen_is_banned() -> None:
    wall = Wall()
    gate = Gate(10, wall)
    verdicts = [gate.charge("a", 10) for _ in range(13)]
    assert [v.banned for v in verdicts] == [False] * 11 + [True] * 2
    wall.now += 61
    assert gate.charge("a", 1).banned, "the ban is longer than the minute"
    wall.now += 60
    assert gate.charge("a", 1).retry_after == 0


def test_the_addresses_remembered_are_bounded() -> None:
    gate = Gate(10, Wall())
    for number in range(3_000):
        gate.charge(str(number), 1)
    assert len(gate._used) <= 1024


def test_faults_end_by_themselves() -> None:
    wall = Wall()
    gate = Gate(100, wall)
    gate.limit(5, ban=False)
    assert gate.charge("a", 1).retry_after == 5
    gate.limit(5, ban=True)
    assert gate.charge("a", 1).banned
    gate.refuse_connections(2)
    gate.delay_rest(0.3, 2)
    assert gate.refuses_connections()
    assert gate.rest_delay() == 0.3
    wall.now += 6
    assert gate.charge("a", 1).retry_after == 0
    assert not gate.refuses_connections()
    assert gate.rest_delay() == 0.0
