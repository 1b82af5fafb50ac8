"""What is gathered: the furthest of each key, and samples that end the same however they are told."""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marketpipeline.records import BookMetrics
from marketpipeline.sinks.base import Delivery, RowsRejected
from marketpipeline.sinks.snowflake.held import Held, Samples
from marketpipeline.store import table_of
from marketpipeline.store.snowflake import EXTREMES, SAMPLES

from tests.services.sinks.samples import BTC, ETH, START, book, candle, deliver, feed_event, trade

SECOND = 1_000_000


def rows(held: Held) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(held.parquet()[0])).to_pylist()  # type: ignore[no-any-return]


def test_of_each_key_the_furthest_is_held_sorted_by_symbol_and_time() -> None:
    held = Held(table_of("candles"))
    held.take(deliver(candle(1, ETH), candle(1, trades=9), candle(1, trades=7), candle(0, trades=3)))
    held.take(deliver(candle(1, trades=9, closed=True), candle(1, trades=8)))
    found = [(row["symbol"], row["open_time"], row["trades"], row["closed"]) for row in rows(held)]
    minute = 60 * SECOND
    assert found == [(BTC, START, 3, False), (BTC, START + minute, 9, True), (ETH, START + minute, 100, False)]
    assert held.parquet()[1] == (START, START + minute)
    held.lose({("t", 0)})
    assert held.rows == 0


@pytest.mark.parametrize(
    ("held", "record", "says"),
    [
        (Held(table_of("trades")), trade(2, trade_id=2**63), r"trades\.trade_id: a number of more than 64 bits"),
        (Held(table_of("trades")), trade(2, trade_time=2**62), r"trades\.trade_time: a time that is not from 1900"),
        (Held(table_of("feed_events")), feed_event(detail="\ud800"), r"feed_events\.detail: .*surrogates"),
        (Samples(SAMPLES, "1s"), book(2, update_id=-(2**63) - 1), r"book_samples\.update_id"),
    ],
    ids=["number", "time", "text", "sample"],
)
def test_what_no_column_can_hold_is_refused_before_it_is_held(held: Held, record: Any, says: str) -> None:
    with pytest.raises(RowsRejected, match=says):
        held.check([Delivery(record=record, payload=b"", topic="t", partition=0, offset=0)])
    held.check(deliver(trade(1)) if held.table.name == "trades" else [])
    assert held.rows == 0


def metrics() -> st.SearchStrategy[BookMetrics]:
    value = st.integers(-3, 3).map(float)
    return st.builds(
        lambda time, update, mid, spread, imbalance: book(
            event_time=START + time * 250_000, update_id=update, mid=mid, spread_bps=spread, imbalance=imbalance
        ),
        *(st.integers(0, 11), st.integers(0, 3), value, value, value),
    )


@settings(deadline=None, max_examples=50)
@given(records=st.lists(metrics(), min_size=1, max_size=30), data=st.data())
def test_a_sample_is_the_last_and_the_extremes_whatever_order_and_however_often(
    records: list[BookMetrics], data: st.DataObject
) -> None:
    records = list({(r.event_time, r.update_id): r for r in records}.values())
    repeated = data.draw(st.permutations([*records, *records[: len(records) // 2]]))
    held = Samples(SAMPLES, "1s")
    held.take(deliver(*repeated))
    found = {row["open_time"]: row for row in rows(held)}
    windows = {record.event_time // SECOND * SECOND for record in records}
    assert found.keys() == windows
    for time, row in found.items():
        inside = [record for record in records if record.event_time // SECOND * SECOND == time]
        last = max(inside, key=lambda record: (record.event_time, record.update_id))
        assert {name: row[name] for name in last.__struct_fields__ if name != "v"} == {
            name: getattr(last, name) for name in last.__struct_fields__ if name != "v"
        }
        assert (row["interval"], row["close_time"]) == ("1s", time + SECOND)
        for measure in EXTREMES:
            values = [getattr(record, measure) for record in inside]
            assert (row[f"lowest_{measure}"], row[f"highest_{measure}"]) == (min(values), max(values))
