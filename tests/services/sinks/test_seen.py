from __future__ import annotations

from marketpipeline.records import FeedEvent, Heartbeat, Quote, Record, Trade
from marketpipeline.sinks.seen import Seen

from tests.services.sinks.samples import BTC, ETH, feed_event, heartbeat, quote, trade

KEPT: set[type[Record]] = {Trade, FeedEvent}


def test_a_symbol_is_due_when_it_is_new_and_once_a_minute() -> None:
    seen = Seen(KEPT)
    assert seen.due({Trade: [trade(1), trade(2, ETH)]}) == {
        BTC: trade(1).receive_time,
        ETH: trade(2, ETH).receive_time,
    }
    seen.note({BTC: trade(1).receive_time})
    assert seen.due({Trade: [trade(2)], Heartbeat: [heartbeat(30)]}) == {}
    assert seen.due({Heartbeat: [heartbeat(70)]}) == {BTC: heartbeat(70).receive_time}
    seen.forget()
    assert BTC in seen.due({Trade: [trade(2)]})


def test_what_is_not_kept_and_events_are_no_sign_of_life() -> None:
    seen = Seen(KEPT)
    assert seen.due({Quote: [quote()]}) == {}
    assert seen.due({FeedEvent: [feed_event(symbol=ETH)]}) == {ETH: 0}
