from __future__ import annotations

from random import Random

import pytest
from marketpipeline.backoff import Backoff


def test_it_doubles_up_to_its_cap_with_jitter_and_starts_again() -> None:
    backoff = Backoff(0.5, 60.0, random=Random(1))
    waits = [backoff.next() for _ in range(12)]
    fulls = [min(60.0, 0.5 * 2**attempt) for attempt in range(12)]
    assert all(full / 2 <= wait <= full for wait, full in zip(waits, fulls, strict=True))
    assert len({wait / full for wait, full in zip(waits, fulls, strict=True)}) > 6, "no jitter"
    backoff.reset()
    assert backoff.next() <= 0.5


@pytest.mark.parametrize("jitter", [(0.8, 1.2), (1.0, 1.0)])
def test_the_jitter_is_as_asked_for(jitter: tuple[float, float]) -> None:
    backoff = Backoff(1.0, 5.0, jitter=jitter)
    for full in (1, 2, 4, 5, 5):
        assert full * jitter[0] <= backoff.next() <= full * jitter[1]


def test_it_never_overflows() -> None:
    backoff = Backoff(0.5, 60.0)
    assert max(backoff.next() for _ in range(5_000)) <= 60.0
