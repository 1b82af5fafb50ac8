from __future__ import annotations

from marketpipeline.sinks.memory import MemorySink

from tests.services.sinks.samples import alert, deliver, every_kind, quote, trade


def test_rows_are_the_records() -> None:
    sink = MemorySink()
    sink.write(deliver(*every_kind()))
    assert sink.rows("trades") == [trade()]
    assert sink.rows("alerts") == [alert()]
    assert quote() not in [row for table in ("trades", "tickers") for row in sink.rows(table)]


def test_it_holds_the_newest_rows_only() -> None:
    sink = MemorySink(max_rows=3)
    sink.write(deliver(*(trade(number) for number in range(10))))
    assert [row.trade_id for row in sink.rows("trades")] == [1_007, 1_008, 1_009]  # type: ignore[attr-defined]
