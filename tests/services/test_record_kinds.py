"""What is said once of every kind of record holds together."""

from __future__ import annotations

from typing import get_args

import pytest
from marketpipeline import records
from marketpipeline.record_kinds import FEED_TOPIC, KINDS, RecordKind, Writer, kind_in, records_in
from marketpipeline.records import AnyRecord, times
from marketpipeline.topics import Feed, TopicKind


def test_every_record_and_every_topic_has_one_kind() -> None:
    assert {kind.record for kind in KINDS} | {records.Heartbeat} == set(get_args(AnyRecord))
    assert len(KINDS) == len({kind.record for kind in KINDS}) == len({kind.topic for kind in KINDS}) == len(TopicKind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_keys_and_times_are_fields(kind: RecordKind) -> None:
    fields = set(kind.record.__struct_fields__)
    assert set(kind.key) <= fields
    assert kind.time in times(kind.record)
    assert {measure.column for measure in (kind.rank.measures if kind.rank else ())} <= set(fields)
    assert {entry.by for entry in kind.newest} - {None} <= fields
    if kind.table is not None:
        assert set(kind.table.segment) <= fields
        assert kind.table.query_time in (None, *times(kind.record))


@pytest.mark.parametrize("record", get_args(AnyRecord), ids=lambda record: record.__name__)
def test_whatever_is_named_as_a_time_says_that_it_is_one(record: type[records.Record]) -> None:
    named = {name for name in record.__struct_fields__ if name.endswith(("_time", "_at", "_from")) or name == "clock"}
    assert set(times(record)) == named
    edges = {name for name, unit in times(record).items() if unit == "seconds"}
    assert edges == named & {"open_time", "close_time"}


def test_each_feed_has_a_topic_where_heartbeats_travel_too() -> None:
    assert set(FEED_TOPIC) == set(Feed)
    assert FEED_TOPIC[Feed.CANDLES] is TopicKind.EXCHANGE_CANDLES
    assert records_in(TopicKind.BOOK) == (records.Book, records.Heartbeat)
    assert records_in(TopicKind.EVENTS) == (records.FeedEvent, records.Heartbeat)
    assert records_in(TopicKind.RAW) == (records.RawFrame,)


def test_what_a_pipeline_has_follows_from_its_feeds() -> None:
    with_trades = {kind.topic for kind in KINDS if kind.exists_with(frozenset({Feed.TRADES}))}
    always = {TopicKind.EVENTS, TopicKind.DEAD_LETTERS}
    of_trades = {
        TopicKind.TRADES, TopicKind.CANDLES, TopicKind.TRADE_STATISTICS, TopicKind.LATE, TopicKind.ALERTS,
        TopicKind.THRESHOLDS,
    }  # fmt: skip
    assert with_trades == always | of_trades
    assert {kind.topic for kind in KINDS if kind.exists_with(frozenset())} == always
    assert kind_in(TopicKind.DEAD_LETTERS).writer is Writer.ANYONE
