"""The hub: snapshots, who gets what, what is news, and how a reader goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from marketpipeline.api.stream.hub import KEPT, MOST_RECENT, Hub, Reading
from marketpipeline.api.stream.updates import Update, Wanted, kinds_of, update_of
from marketpipeline.records import Record
from marketpipeline.store.rows import json_of
from marketpipeline.topics import Feed

from tests.services.sinks.samples import BTC, ETH, MINUTE, START, alert, book, candle, quote, trade

ALL = Wanted(frozenset({BTC, ETH}), frozenset(kinds_of(Feed)))


def updates(*records: Record) -> list[Update]:
    found = [update_of(record) for record in records]
    assert None not in found
    return [update for update in found if update is not None]


def hub(before: Iterable[Record] = ()) -> Hub:
    found = Hub()
    found.begin(0)
    found.take_in(updates(*before))
    return found


def told(reading: Reading) -> list[dict[str, Any]]:
    """The records of all that a reader has got since it was asked the last time."""
    batches = [*reading.missed, *reading.mailbox.take().batches]
    reading.missed = ()
    return [record for batch in batches for record in json.loads(batch.body)["records"]]


def rows(*records: Record) -> list[dict[str, Any]]:
    return [{"kind": updates(record)[0].names[0], **json_of(record)} for record in records]


def test_a_snapshot_has_the_newest_of_each_kind() -> None:
    found = hub(
        [trade(1), trade(2), book(3), book(2), candle(0, closed=True), candle(1), alert(0), alert(0, status="closed")]
    )
    kind, last, body = found.join(ALL).first
    message = json.loads(body)
    assert (kind, message["type"], message["id"], message["live"]) == ("snapshot", "snapshot", last, False)
    wanted = rows(trade(2), book(3), alert(0, status="closed"), candle(0, closed=True), candle(1))
    assert sorted(map(str, message["records"])) == sorted(map(str, wanted))


def test_readers_get_what_they_asked_for() -> None:
    found = hub()
    everything = found.join(ALL)
    trades_of_eth = found.join(Wanted(frozenset({ETH}), frozenset({"trade"})))
    minutes = found.join(Wanted(frozenset({BTC}), frozenset({"closed-candle", "candle:5m"})))
    sent = [trade(1), trade(2, ETH), quote(1), candle(0), candle(0, closed=True), candle(0, interval="5m"), alert()]
    found.publish(updates(*sent))
    assert told(everything) == rows(*sent)
    assert told(trades_of_eth) == rows(sent[1])
    assert told(minutes) == rows(sent[4], sent[5])
    found.leave(trades_of_eth)
    found.publish(updates(trade(3, ETH)))
    assert told(trades_of_eth) == []
    assert found.readers == 2


def test_nothing_is_told_twice_and_no_row_goes_backwards() -> None:
    found = hub()
    reading = found.join(ALL)
    late = trade(1, backfilled=True)
    found.publish(
        updates(
            trade(2), candle(0, trades=9), late, trade(2), late, candle(0, trades=7), alert(0, status="closed"), alert()
        )
    )
    assert told(reading) == rows(trade(2), candle(0, trades=9), late, alert(0, status="closed"))


def test_a_candle_that_closes_after_the_next_began_is_told() -> None:
    found = hub([candle(0), candle(1)])
    reading = found.join(ALL)
    found.publish(updates(candle(0, closed=True)))
    assert told(reading) == rows(candle(0, closed=True))


def test_a_reader_goes_on_where_it_was() -> None:
    found = hub()
    reading = found.join(ALL)
    found.publish(updates(trade(1)))
    (batch,) = reading.mailbox.take().batches
    found.leave(reading)
    found.publish(updates(*(trade(number) for number in range(2, 1_300)), trade(1, ETH)))
    again = found.join(Wanted(frozenset({BTC}), ALL.kinds), batch.last)
    assert again.first[0] == "resumed"
    assert len(again.missed) == 3, "in portions"
    part = found.join(ALL, again.missed[0].last)
    assert told(again) == rows(*(trade(number) for number in range(2, 1_300)))
    assert told(part) == rows(*(trade(number) for number in range(502, 1_300)), trade(1, ETH))
    assert told(found.join(ALL, found.last_id)) == []


def test_a_reader_of_another_process_gets_nothing_less() -> None:
    sent = [trade(number, receive_time=START + number * 1_000_000) for number in range(100)]
    first, second = hub(sent[:50]), hub(sent)
    last = first.last_id
    second._epoch = "abc"
    again = second.join(ALL, last)
    assert again.first[0] == "resumed"
    assert told(again) == rows(*sent[39:]), "some seconds of it again"
    second._complete_since = START + 45 * 1_000_000
    assert second.join(ALL, last).first[0] == "snapshot", "the beginning is not there"


def test_what_is_not_whole_is_no_continuation() -> None:
    found = hub([trade(1)])
    old = found.last_id
    found.publish(updates(*(trade(number) for number in range(2, KEPT + 10))))
    assert found.join(ALL, old).first[0] == "snapshot"
    now = found.last_id
    found.begin(START + 10**12)
    found.take_in(updates(trade(KEPT + 20)))
    assert found.join(ALL, now).first[0] == "snapshot", "the topics were not read in between"
    for text in ("", "1", "1.2", "1.2.x!", "9" * 40, "99999999999.1.abc"):
        assert found.join(ALL, text).first[0] == "snapshot"


def test_who_came_before_the_broker_was_there_is_told_the_newest() -> None:
    found = Hub()
    found.seed(updates(trade(5), candle(0)))
    reading = found.join(ALL)
    found.begin(0)
    found.take_in(updates(trade(3), trade(8), trade(9), candle(0), book(1)))
    assert told(reading) == rows(trade(9), book(1))


def test_status_is_told_when_it_changes() -> None:
    found = hub()
    reading = found.join(ALL)
    found.set_live(True)
    found.set_live(True)
    assert reading.mailbox.take().words == {"status": {"live": True}}
    found.set_live(True)
    assert reading.mailbox.take().words == {}


def test_what_is_kept_has_a_bound() -> None:
    found = hub()
    for first in range(0, KEPT + 5_000, 1_000):
        found.publish(
            updates(
                *(
                    alert(number, id=f"alert {number}", receive_time=START + number * MINUTE)
                    for number in range(first, first + 1_000)
                )
            )
        )
    assert len(found._kept) == len(found._told) == KEPT
    assert len(found._newest) == len(found._recent) == MOST_RECENT
