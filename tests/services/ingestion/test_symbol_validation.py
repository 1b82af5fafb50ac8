from __future__ import annotations

from typing import Any

from marketpipeline.errors import PermanentError
from marketpipeline.ingestion.symbol_validation import find_unlisted
from marketpipeline.venues.adapter import RestRequest
from marketpipeline.venues.binance.adapter import ADAPTER
from marketpipeline.venues.instruments import Instrument

LISTED = {"binance:BTCUSDT", "binance:BTCUSDC", "binance:ETHUSDT", "binance:SOLUSDT"}


class Exchange:
    """Answers as one that refuses a question with a wrong symbol in it as a whole."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, request: RestRequest[Any]) -> Any:
        wanted = dict(request.params).get("symbols")
        self.asked.append(wanted or "all")
        if wanted is None:
            return dict.fromkeys(LISTED, Instrument())
        names = {f"binance:{name}" for name in wanted.strip('[]"').split('","')}
        if not names <= LISTED:
            raise PermanentError("HTTP 400: -1121: Invalid symbol.")
        return dict.fromkeys(names, Instrument())


async def test_listed_symbols_take_one_small_question() -> None:
    exchange = Exchange()
    found, problems = await find_unlisted(["binance:BTCUSDT", "binance:ETHUSDT"], ADAPTER, exchange.fetch)
    assert (list(found), problems) == (["binance:BTCUSDT", "binance:ETHUSDT"], [])
    assert exchange.asked == ['["BTCUSDT","ETHUSDT"]']


async def test_an_unlisted_one_is_named_with_the_nearest() -> None:
    found, problems = await find_unlisted(
        ["binance:BTCUSDT", "binance:BTCUSTD", "binance:XYZ"], ADAPTER, Exchange().fetch
    )
    assert list(found) == ["binance:BTCUSDT"]
    assert [problem.value for problem in problems] == ["binance:BTCUSTD", "binance:XYZ"]
    assert "binance:BTCUSDT" in problems[0].expected
    assert problems[1].expected == "must be a symbol that the exchange lists"
