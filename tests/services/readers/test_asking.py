"""What a user asks for: what is taken, and what is said of what is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from marketpipeline.readers.asking import choose, find_symbol, read_time

SYMBOLS = ["binance:BTCUSDT", "binance:ETHUSDT", "okx:BTC-USDT", "bybit:ETHUSDT"]
MOMENT = datetime(2024, 8, 8, 23, 54, tzinfo=UTC)


@pytest.mark.parametrize("text", ["binance:BTCUSDT", "BTCUSDT"])
def test_a_symbol_in_full_or_without_its_exchange(text: str) -> None:
    assert find_symbol(text, SYMBOLS) == "binance:BTCUSDT"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ETHUSDT", "is on several exchanges: give one of binance:ETHUSDT, bybit:ETHUSDT"),
        ("BTCUSD", "did you mean BTCUSDT? There are: binance:BTCUSDT, binance:ETHUSDT, bybit:ETHUSDT, okx:BTC-USDT"),
        ("btcusdt", "did you mean BTCUSDT?"),
        ("okx:BTCUSDT", "did you mean binance:BTCUSDT?"),
        ("okx:BTCUSD", "did you mean okx:BTC-USDT?"),
        ("DOGE", "unknown symbol; there are: binance:BTCUSDT"),
        ("", "unknown symbol; there are: "),
    ],
)
def test_a_symbol_that_is_not_there(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        find_symbol(text, SYMBOLS)
    assert words in str(caught.value)


def test_where_there_is_no_symbol_at_all() -> None:
    with pytest.raises(ValueError, match="no symbol has any data yet"):
        find_symbol("BTCUSDT", [])


def test_many_symbols_are_not_all_listed() -> None:
    with pytest.raises(ValueError) as caught:
        find_symbol("X", [f"a:S{number}" for number in range(1000)])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "2024-08-08T23:54:00Z",
        "2024-08-08T23:54:00+00:00",
        "2024-08-08T23:54:00",
        "2024-08-08T23:54",
        "2024-08-09T01:54:00+02:00",
        "2024-08-09T01:54:00 02:00",
        "2024-08-08 23:54:00",
        "20240808T235400Z",
        "1723161240",
        "1723161240000",
        "1723161240000000",
    ],
)
def test_forms_of_a_time(text: str) -> None:
    assert read_time(text) == MOMENT


@pytest.mark.parametrize(
    "text",
    ["yesterday", "", "2024-13-01", "2024-08-08T25:00", "12", "0", "-1", "1e12", "9" * 30, "1960-01-01", "²", "NaN"],
)
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be an ISO 8601 time \(2024-08-08T23:54:00Z"):
        read_time(text)


def test_choices() -> None:
    assert choose("interval", "5m", ["1m", "5m"]) == "5m"
    with pytest.raises(ValueError, match=r"unknown interval; did you mean 5m\? There are: 1m, 5m"):
        choose("interval", "5min", ["1m", "5m"])
