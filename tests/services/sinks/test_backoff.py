from __future__ import annotations

from marketpipeline.sinks.backoff import Backoff


def test_it_doubles_up_to_its_cap_and_begins_again() -> None:
    backoff = Backoff(initial=1.0, longest=5.0)
    waits = [backoff.next() for _ in range(6)]
    for wait, full in zip(waits, (1, 2, 4, 5, 5, 5), strict=True):
        assert full / 2 <= wait <= full
    backoff.reset()
    assert backoff.next() <= 1.0
