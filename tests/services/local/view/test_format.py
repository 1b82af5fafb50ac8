from __future__ import annotations

import pytest
from marketpipeline.local.view.format import (
    clock,
    count,
    describe_alert,
    describe_candle,
    describe_event,
    describe_news,
    price,
)
from marketpipeline.records import DeadLetter

from tests.services.local.view.samples import AT, alert, candle, event


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (61_950.0, "61,950.00"),
        (0.00001234, "0.00001234"),
        (1.5, "1.50"),
        (3_200.125, "3,200.125"),
        (1e-05, "0.00001"),
        (0.1 + 0.2, "0.30000000"),
    ],
)
def test_prices_keep_their_digits(value: float, expected: str) -> None:
    assert price(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (999, "999"), (12.5, "12.50"), (9_999, "9,999"), (12_345, "12.3k"), (1.25e6, "1.2M"), (3e9, "3.0G")],
)
def test_counts_are_short(value: float, expected: str) -> None:
    assert count(value) == expected


def test_records() -> None:
    assert clock(AT) == "23:54:14"
    assert describe_alert(alert()) == "HIGH extreme imbalance x:AAA open: sell side, -0.81"
    assert describe_alert(alert(status="closed")) == "HIGH extreme imbalance x:AAA closed: sell side, furthest -0.93"
    assert describe_alert(alert("whale_trade")) == "HIGH whale trade x:AAA: sell of 1.2M"
    assert describe_event(event()) == "gap x:AAA book 10…19"
    letter = DeadLetter(symbol="", payload="{", encoding="utf-8", error="no JSON", source="ws", ingestion_time=1)
    assert describe_news(letter) == "dead letter (no symbol): no JSON (ws)"
    assert describe_news(alert()) == f"alert: {describe_alert(alert())}"
    assert describe_news(candle()) is None
    assert describe_candle(candle()) == (
        "x:AAA 1m 23:54:14 forming: open 61,900.00 high 62,000.50 low 61,800.25 close 61,950.75, "
        "volume 12.50, 1,234 trades"
    )
