"""What two processes of ingestion wrote is taken once."""

from __future__ import annotations

from marketpipeline.sinks.repeats import Repeats
from msgspec.structs import replace

from tests.services.sinks import samples


def test_a_record_that_came_before_is_known_by_its_id_whatever_else_differs() -> None:
    repeats = Repeats()
    for record in (samples.trade(), samples.agg_trade(), samples.ticker()):
        assert not repeats.holds(record)
        assert repeats.holds(replace(record, receive_time=record.receive_time + 1))
    assert not repeats.holds(replace(samples.trade(), trade_id=samples.trade().trade_id + 1))
    assert not repeats.holds(replace(samples.trade(), symbol="other:B"))
    assert repeats.dropped == 3


def test_what_has_no_id_of_the_exchanges_or_grows_truer_is_never_dropped() -> None:
    repeats = Repeats()
    for record in (replace(samples.ticker(), event_time=None), samples.candle(), samples.heartbeat()):
        assert not repeats.holds(record)
        assert not repeats.holds(record)


def test_the_memory_is_bounded_and_can_be_cleared() -> None:
    repeats = Repeats(remembered=10)
    trades = [replace(samples.trade(), trade_id=number) for number in range(40)]
    assert not any(map(repeats.holds, trades))
    assert [repeats.holds(trade) for trade in trades[-10:]] == [True] * 10
    assert not repeats.holds(trades[0])
    repeats.forget()
    assert not repeats.holds(trades[-1])
