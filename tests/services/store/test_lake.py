"""The tables of the lake follow from the records."""

from __future__ import annotations

from marketpipeline.record_kinds import KINDS, Writer
from marketpipeline.store import TABLES
from marketpipeline.store.lake import LAKE_TABLES, LAKE_TOPICS, lake_table
from marketpipeline.topics import TopicKind


def test_every_kind_of_market_data_has_its_table() -> None:
    names = {table.name for table in LAKE_TABLES}
    assert names >= {table.name for table in TABLES}, "whatever the database keeps can be archived"
    assert names >= {"book", "quotes"}
    assert len(names) == len(LAKE_TABLES)
    assert {kind.topic for kind in KINDS if kind.writer is Writer.INGESTION and kind.archived} <= LAKE_TOPICS
    assert not LAKE_TOPICS & {TopicKind.DEAD_LETTERS, TopicKind.THRESHOLDS, TopicKind.RAW}


def test_columns_are_the_records_fields() -> None:
    for table in LAKE_TABLES:
        fields = [name for name in table.kind.record.__struct_fields__ if name != "v"]
        assert [column.name for column in table.columns] == fields
        assert set(table.key) < set(fields)
    kinds = {column.name: column.type for column in lake_table("book").columns}
    assert (kinds["bids"], kinds["receive_time"], kinds["update_id"]) == ("levels", "time", "integer")


def test_a_log_is_told_from_what_is_replaced() -> None:
    replaced = {table.name for table in LAKE_TABLES if not table.is_log}
    assert replaced >= {"candles", "exchange_candles", "alerts", "feed_events"}
    assert not replaced & {"trades", "book_metrics", "book", "quotes"}
