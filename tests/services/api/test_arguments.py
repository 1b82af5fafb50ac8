"""What a query asks for: what is taken, and what is said of what is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from marketpipeline.api.arguments import Arguments, Span
from marketpipeline.errors import InvalidQuery, Problem

SYMBOLS = ["binance:BTCUSDT", "binance:ETHUSDT", "okx:BTC-USDT", "bybit:ETHUSDT"]
MOMENT = datetime(2024, 8, 8, 23, 54, tzinfo=UTC)


def problems(arguments: Arguments) -> list[Problem]:
    with pytest.raises(InvalidQuery) as caught:
        arguments.check()
    return caught.value.problems


@pytest.mark.parametrize("text", ["binance:BTCUSDT", "BTCUSDT"])
def test_a_symbol_in_full_or_without_its_exchange(text: str) -> None:
    arguments = Arguments("query")
    assert arguments.symbol(text, SYMBOLS) == "binance:BTCUSDT"
    arguments.check()


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
    arguments = Arguments("query")
    arguments.symbol(text, SYMBOLS)
    (problem,) = problems(arguments)
    assert (problem.field, problem.value) == ("symbol", text)
    assert words in problem.expected


def test_where_there_is_no_symbol_at_all() -> None:
    arguments = Arguments("query")
    arguments.symbol("BTCUSDT", [])
    assert "no symbol has any data yet" in problems(arguments)[0].expected


def test_many_symbols_are_not_all_listed() -> None:
    arguments = Arguments("query")
    arguments.symbol("X", [f"a:S{number}" for number in range(1000)])
    assert len(problems(arguments)[0].expected) < 300


def test_lists_of_symbols() -> None:
    arguments = Arguments("query")
    assert arguments.symbols("BTCUSDT, okx:BTC-USDT,binance:BTCUSDT", SYMBOLS) == ["binance:BTCUSDT", "okx:BTC-USDT"]
    assert arguments.symbols(None, SYMBOLS) == SYMBOLS
    arguments.check()
    arguments.symbols("BTCUSDT,,NOPE", SYMBOLS)
    assert [problem.value for problem in problems(arguments)] == ["", "NOPE"]


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
    arguments = Arguments("query")
    assert arguments.time("from", text) == MOMENT
    arguments.check()


@pytest.mark.parametrize(
    "text",
    ["yesterday", "", "2024-13-01", "2024-08-08T25:00", "12", "0", "-1", "1e12", "9" * 30, "1960-01-01", "²", "NaN"],
)
def test_what_is_no_time(text: str) -> None:
    arguments = Arguments("query")
    assert arguments.time("from", text) is None
    (problem,) = problems(arguments)
    assert (problem.field, problem.value) == ("from", text)
    assert "must be an ISO 8601 time (2024-08-08T23:54:00Z" in problem.expected


def test_a_span() -> None:
    arguments = Arguments("query")
    assert arguments.span("2024-08-08T23:54:00Z", None, 5) == Span(MOMENT, None, 5)
    arguments.check()
    arguments.span("2024-08-08T23:54:00Z", "1723161240", None)
    (problem,) = problems(arguments)
    assert (problem.field, problem.expected) == ("to", "must be later than `from` (2024-08-08T23:54:00Z)")


@pytest.mark.parametrize(("text", "limit"), [(None, 500), ("1", 1), ("1000", 1000), ("007", 7)])
def test_limits(text: str | None, limit: int) -> None:
    arguments = Arguments("query")
    assert arguments.limit(text, 500, 1000) == limit
    arguments.check()


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.5", "ten", "", "9" * 40, "٣"])
def test_wrong_limits(text: str) -> None:
    arguments = Arguments("query")
    arguments.limit(text, 500, 1000)
    (problem,) = problems(arguments)
    assert (problem.field, problem.value) == ("limit", text)
    assert problem.expected == "must be a whole number from 1 to 1000"


def test_choices_and_names() -> None:
    arguments = Arguments("query", prefix="--")
    assert arguments.choice("interval", "5m", ["1m", "5m"]) == "5m"
    assert arguments.choice("interval", None, ["1m"]) is None
    arguments.only({"from": "1", "to": "2"}, ["from", "to", "limit"])
    arguments.check()
    arguments.choice("interval", "5min", ["1m", "5m"])
    arguments.only({"form": "1"}, ["from", "to"])
    arguments.only({"x": "1"}, [])
    assert [(problem.field, problem.expected) for problem in problems(arguments)] == [
        ("--interval", "unknown interval; did you mean 5m? There are: 1m, 5m"),
        ("form", "unknown parameter; did you mean from? There are: from, to"),
        ("x", "takes no parameters"),
    ]


def test_every_finding_is_told() -> None:
    arguments = Arguments("GET /x")
    arguments.symbol("NOPE", SYMBOLS)
    arguments.span("a", "b", None)
    arguments.limit("0", 1, 2)
    assert [problem.field for problem in problems(arguments)] == ["symbol", "from", "to", "limit"]
