"""Request weight by the minute, the ban that follows, and the faults that refuse or delay."""

from __future__ import annotations

from marketpipeline.simulator.admission import AdmissionControl


class Wall:
    def __init__(self) -> None:
        self.now = 6_000.0

    def __call__(self) -> float:
        return self.now


def test_weight_is_counted_by_the_minute() -> None:
    wall = Wall()
    admission = AdmissionControl(100, wall)
    assert [admission.charge("a", 50).used for _ in range(2)] == [50, 100]
    assert admission.charge("b", 1).used == 1, "another address has its own"
    wall.now += 10
    refused = admission.charge("a", 1)
    assert (refused.retry_after, refused.banned) == (50, False)
    wall.now += 50
    assert admission.charge("a", 60).retry_after == 0


def test_who_does_not_listen_is_banned() -> None:
    wall = Wall()
    admission = AdmissionControl(10, wall)
    verdicts = [admission.charge("a", 10) for _ in range(13)]
    assert [v.banned for v in verdicts] == [False] * 11 + [True] * 2
    wall.now += 61
    assert admission.charge("a", 1).banned, "the ban is longer than the minute"
    wall.now += 60
    assert admission.charge("a", 1).retry_after == 0


def test_the_addresses_remembered_are_bounded() -> None:
    admission = AdmissionControl(10, Wall())
    for number in range(3_000):
        admission.charge(str(number), 1)
    assert len(admission._used) <= 1024


def test_faults_end_by_themselves() -> None:
    wall = Wall()
    admission = AdmissionControl(100, wall)
    admission.limit(5, ban=False)
    assert admission.charge("a", 1).retry_after == 5
    admission.limit(5, ban=True)
    assert admission.charge("a", 1).banned
    admission.refuse_connections(2)
    admission.delay_rest(0.3, 2)
    assert admission.refuses_connections()
    assert admission.rest_delay() == 0.3
    wall.now += 6
    assert admission.charge("a", 1).retry_after == 0
    assert not admission.refuses_connections()
    assert admission.rest_delay() == 0.0
