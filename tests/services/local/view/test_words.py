from __future__ import annotations

import pytest
from marketpipeline.local.view.words import alert_words, candle_words, clock, count, event_words, news_words, price
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
    assert alert_words(alert()) == "HIGH extreme imbalance x:AAA open: sell side, -0.81"
    assert alert_words(alert(status="closed")) == "HIGH extreme imbalance x:AAA closed: sell side, furthest -0.93"
    assert alert_words(alert("whale_trade")) == "HIGH whale trade x:AAA: sell of 1.2M"
    assert event_words(event()) == "gap x:AAA book 10…19"
    letter = DeadLetter(symbol="", payload="{", encoding="utf-8", error="no JSON", source="ws", ingestion_time=1)
    assert news_words(letter) == "dead letter (of no symbol): no JSON (ws)"
    assert news_words(alert()) == f"alert: {alert_words(alert())}"
    assert news_words(candle()) is None
    assert candle_words(candle()) == (
        "x:AAA 1m 23:54:14 forming: open 61,900.00 high 62,000.50 low 61,800.25 close 61,950.75, "
        "volume 12.50, 1,234 trades"
    )
