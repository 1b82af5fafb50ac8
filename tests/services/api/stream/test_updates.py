"""What the stream tells of a record."""

from __future__ import annotations

import json

from marketpipeline.api.stream.updates import STREAMED, Batch, kinds_of, message, topics_of, update_of
from marketpipeline.records import Record
from marketpipeline.store.rows import json_of
from marketpipeline.topics import Feed, TopicKind

from tests.services.sinks.samples import START, agg_trade, alert, candle, every_kind, feed_event, heartbeat, late_trade


def test_every_kind_that_the_cache_keeps_is_streamed() -> None:
    told = {name for record in every_kind() if (update := update_of(record)) for name in update.names}
    assert told | {"closed-candle"} == set(STREAMED)
    kept_elsewhere: list[Record] = [agg_trade(), feed_event(), heartbeat(), late_trade()]
    assert not any(map(update_of, kept_elsewhere))


def test_a_pipeline_has_the_kinds_of_its_feeds() -> None:
    assert kinds_of([Feed.TRADES]) == ["trade", "candle", "closed-candle", "statistics", "alert"]
    assert topics_of(kinds_of([Feed.BOOK])) == {TopicKind.BOOK_METRICS, TopicKind.ALERTS}


def test_the_body_is_the_row_with_its_kind() -> None:
    update = update_of(candle(closed=True))
    assert update is not None
    assert json.loads(update.body) == {"kind": "candle", **json_of(candle(closed=True))}
    assert (update.names, update.received) == (("candle", "closed-candle"), START + 50_000_000)


def test_an_alert_is_one_thing_from_its_opening_to_its_end() -> None:
    opened, closed = update_of(alert()), update_of(alert(status="closed", event_time=START + 5))
    assert opened is not None
    assert closed is not None
    assert opened.key == closed.key
    assert opened.entries < closed.entries


def test_the_forms_of_a_batch() -> None:
    update = update_of(alert())
    assert update is not None
    batch = Batch([update, update], "7.1.a")
    text = json.loads(batch.text)
    assert (text["type"], text["id"], len(text["records"])) == ("updates", "7.1.a", 2)
    assert batch.event == b"event: updates\nid: 7.1.a\ndata: " + batch.text.encode() + b"\n\n"
    assert json.loads(message("thinned", None, skipped=3)) == {"type": "thinned", "skipped": 3}
