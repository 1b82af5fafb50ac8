from __future__ import annotations

from marketpipeline.local.view.observer import Rates


def test_rates_are_over_the_last_seconds() -> None:
    rates = Rates(span=5.0)
    for second in range(20):
        rates.note("ingestion", {"frames": second * second, "connected": True, "status": "ok"}, float(second))
    rate = rates.of("ingestion", "frames")
    assert rate is not None
    assert 30 <= rate <= 35
    assert rates.of("ingestion", "connected") is None
    assert rates.of("ingestion", "absent") is None
    assert rates.of("nobody", "frames") is None


def test_a_restarted_counter_is_no_negative_rate() -> None:
    rates = Rates()
    rates.note("x", {"frames": 1_000}, 0.0)
    rates.note("x", {"frames": 3}, 2.0)
    assert rates.of("x", "frames") == 0.0
