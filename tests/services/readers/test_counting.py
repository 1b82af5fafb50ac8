"""Counts of several tiers as one, and days beside what is known to be missing of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import cast

from marketpipeline.readers import Count, DayHeld, HistoryQuery, Readers, days_held
from marketpipeline.readers.counting import together
from marketpipeline.store import table_of

from tests.services.sinks.samples import BTC, ETH

ONE, TWO = date(2024, 8, 8), date(2024, 8, 9)


def test_the_parts_of_a_day_are_added_up() -> None:
    warm = Count(BTC, ONE, "timescale", 2, "05", "07", {"trades": 10, "volume": 0.5})
    cold = Count(BTC, ONE, "lake", 3, "01", "04", {"trades": 5, "volume": 0.25})
    assert together([Count(ETH, TWO, "lake", 1, "09", "09"), warm, cold, Count(BTC, TWO, "lake", 1, "08", "08")]) == [
        Count(BTC, ONE, "timescale+lake", 5, "01", "07", {"trades": 15, "volume": 0.75}),
        Count(BTC, TWO, "lake", 1, "08", "08"),
        Count(ETH, TWO, "lake", 1, "09", "09"),
    ]


class Stub:
    """Answers from lists by table, and remembers what was asked."""

    def __init__(self, **found: list[Count]) -> None:
        self.found, self.asked = found, dict[str, HistoryQuery]()

    async def count(self, query: HistoryQuery, sums: Sequence[str] = (), *, daily: bool = False) -> list[Count]:
        assert daily
        self.asked[query.table.name] = query
        return self.found.get(query.table.name, [])


async def test_a_day_with_gaps_is_told_though_nothing_of_it_is_there() -> None:
    stub = Stub(
        candles=[Count(BTC, ONE, "timescale", 1_440, "a", "z"), Count(ETH, ONE, "timescale", 9, "a", "b")],
        feed_events=[Count(ETH, ONE, "timescale", 2, "c", "d"), Count(BTC, TWO, "timescale", 1, "c", "d")],
    )
    query = HistoryQuery(table_of("candles"), {"symbol": [BTC, ETH], "interval": "1m"})
    assert await days_held(cast(Readers, stub), query) == [
        DayHeld(BTC, ONE, "timescale", 1_440, "a", "z", 0),
        DayHeld(ETH, ONE, "timescale", 9, "a", "b", 2),
        DayHeld(BTC, TWO, None, 0, None, None, 1),
    ]
    assert stub.asked["feed_events"].filters == {"kind": "gap", "feed": ["trades"], "symbol": [BTC, ETH]}
