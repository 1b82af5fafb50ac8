"""Trades whose ids have no order."""

from __future__ import annotations

from marketpipeline.ingestion.handlers import REMEMBERED, UniqueHandler
from marketpipeline.ingestion.trades import trade_id
from marketpipeline.records import Trade
from marketpipeline.topics import Feed

from tests.services.ingestion.recorders import SYMBOL, trade


def test_ids_that_tell_nothing_are_had_once_in_the_order_in_which_they_come() -> None:
    published: list[Trade] = []
    handler = UniqueHandler(SYMBOL, Feed.TRADES, published.append, trade_id, last=trade(7))
    handler.resume()
    for number in (900, 3, 900, 7, 12, 3):
        handler.accept(trade(number))
    assert [record.trade_id for record in published] == [900, 3, 12]
    assert handler.duplicates == 3
    for number in range(1_000, 1_000 + 2 * REMEMBERED):
        handler.accept(trade(number))
    handler.accept(trade(900))
    assert published[-1].trade_id == 900, "what is remembered is bounded"
