"""What every sink keeps, whatever store it writes to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from marketpipeline.errors import Refused
from marketpipeline.records import Candle
from marketpipeline.sinks.base import Backpressure, HoldingSink, RowsRejected, Sink

from tests.conftest import wait_for
from tests.services.sinks.refusals import REFUSALS, WRONG
from tests.services.sinks.samples import (
    BTC,
    ETH,
    MINUTE,
    START,
    alert,
    candle,
    deliver,
    every_kind,
    heartbeat,
    trade,
)
from tests.services.sinks.stores import STORES, MemoryStore, Store
from tests.support.postgres import PASSWORD


@pytest.fixture(params=["memory", *STORES])
def store(request: pytest.FixtureRequest) -> Store:
    """One of each kind."""
    return MemoryStore() if request.param == "memory" else STORES[request.param](request)


@pytest.fixture
def sink(store: Store) -> Iterator[Sink]:
    """An open sink into it."""
    sink = store.sink()
    sink.open()
    yield sink
    sink.close()


def test_a_batch_of_every_kind_is_stored(store: Store, sink: Sink) -> None:
    sink.write(deliver(*every_kind(BTC), *every_kind(ETH)))
    for symbol in (BTC, ETH):
        assert store.newest_trade(symbol) == 1_001
        assert store.newest_candle(symbol, "1m") == (START, False, 61_005.0)
        assert store.alert(alert(symbol=symbol).id) == ("open", 0.55)


def test_open_may_be_called_again(store: Store, sink: Sink) -> None:
    sink.open()
    sink.write(deliver(trade()))
    sink.open()
    assert store.newest_trade(BTC) == 1_001


def test_writing_again_changes_nothing(store: Store, sink: Sink) -> None:
    batch = deliver(*every_kind())
    sink.write(batch)
    sink.write(batch)
    sink.write(batch[:3])
    assert store.newest_trade(BTC) == 1_001
    assert store.newest_candle(BTC, "1m") == (START, False, 61_005.0)


def test_the_newest_of_equal_keys_in_a_batch_counts(store: Store, sink: Sink) -> None:
    sink.write(deliver(candle(close=1.0, trades=1), candle(close=2.0, trades=2), candle(close=3.0, trades=3)))
    assert store.newest_candle(BTC, "1m") == (START, False, 3.0)


def test_a_forming_candle_is_replaced_until_it_closes(store: Store, sink: Sink) -> None:
    sink.write(deliver(candle(close=1.0, trades=1)))
    sink.write(deliver(candle(close=2.0, trades=2)))
    assert store.newest_candle(BTC, "1m") == (START, False, 2.0)
    sink.write(deliver(candle(close=2.5, trades=2, closed=True)))
    assert store.newest_candle(BTC, "1m") == (START, True, 2.5)
    sink.write(deliver(candle(1, close=9.0)))
    assert store.newest_candle(BTC, "1m") == (START + MINUTE, False, 9.0)


def test_a_replay_does_not_open_a_closed_candle_again(store: Store, sink: Sink) -> None:
    sink.write(deliver(candle(close=2.5, closed=True)))
    sink.write(deliver(candle(close=1.0, trades=1)))
    sink.write(deliver(candle(close=1.0, trades=1), candle(close=2.5, closed=True), candle(close=2.0, trades=2)))
    assert store.newest_candle(BTC, "1m") == (START, True, 2.5)


WHOLE = candle(trades=593, close=2.5, closed=True)
REBUILT = candle(trades=300, close=3.5, closed=True, complete=False)
"""A candle, and what a job makes of it that has read only the rest of its window."""


def test_a_candle_with_fewer_trades_never_replaces_one_with_more(store: Store, sink: Sink) -> None:
    sink.write(deliver(WHOLE))
    sink.write(deliver(candle(trades=1, close=1.0, complete=False), REBUILT))
    assert store.newest_candle(BTC, "1m") == (START, True, 2.5)
    assert store.is_complete(BTC, "1m")
    sink.write(deliver(candle(1, trades=500, close=2.0), candle(1, trades=300, close=3.0, closed=True)))
    assert store.newest_candle(BTC, "1m") == (START + MINUTE, False, 2.0), "one that forms is no less whole"


@pytest.mark.parametrize("order", [(WHOLE, REBUILT), (REBUILT, WHOLE)], ids=["whole first", "rebuilt first"])
@pytest.mark.parametrize("batches", [1, 2])
def test_the_order_of_candles_does_not_matter(
    store: Store, sink: Sink, order: tuple[Candle, ...], batches: int
) -> None:
    for batch in [order] if batches == 1 else [order[:1], order[1:]]:
        sink.write(deliver(*batch))
    assert store.newest_candle(BTC, "1m") == (START, True, 2.5)


def test_a_whole_computation_makes_an_incomplete_candle_whole(store: Store, sink: Sink) -> None:
    sink.write(deliver(REBUILT))
    assert not store.is_complete(BTC, "1m")
    sink.write(deliver(candle(trades=300, close=2.0), candle(trades=301, close=2.1)))
    assert store.newest_candle(BTC, "1m") == (START, False, 2.1)
    sink.write(deliver(WHOLE))
    assert store.newest_candle(BTC, "1m") == (START, True, 2.5)
    assert store.is_complete(BTC, "1m")


def test_an_alert_goes_forward_only(store: Store, sink: Sink) -> None:
    opened, closed = alert(), alert(status="closed", extreme=0.8, ended_at=START + 5, event_time=START + 5)
    escalated = alert(status="escalated", severity="HIGH", extreme=0.75, event_time=START + 3)
    sink.write(deliver(opened))
    assert store.alert(opened.id) == ("open", 0.55)
    sink.write(deliver(escalated, opened))
    assert store.alert(opened.id) == ("escalated", 0.75)
    sink.write(deliver(closed))
    sink.write(deliver(opened, escalated))
    assert store.alert(opened.id) == ("closed", 0.8)


def test_an_alert_that_stays_open_takes_the_newer_extreme(store: Store, sink: Sink) -> None:
    sink.write(deliver(alert()))
    sink.write(deliver(alert(extreme=0.66, event_time=START + 60_000_000)))
    assert store.alert(alert().id) == ("open", 0.66)


def test_a_heartbeat_is_passed_over(store: Store, sink: Sink) -> None:
    sink.write(deliver(heartbeat()))
    sink.write(deliver(heartbeat(), trade(), heartbeat(1)))
    assert store.newest_trade(BTC) == 1_001


def test_what_is_stored_outlives_the_sink(store: Store, sink: Sink) -> None:
    _offer(sink, deliver(trade(1)))
    sink.close()
    sink.close()
    second = store.sink()
    _offer(second, deliver(trade(2)))
    second.close()
    assert store.newest_trade(BTC) == 1_002


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_server_that_is_away_is_backpressure_and_then_the_same_batch_is_taken(store: Store, sink: Sink) -> None:
    assert store.server is not None
    sink.write(deliver(trade(1)))
    batch = deliver(trade(2), candle())
    store.server.kill()
    try:
        for _ in range(2):
            with pytest.raises(Backpressure):
                _offer(sink, batch)
    finally:
        store.server.start()
    wait_for(lambda: _is_taken(sink, batch), "the server takes the batch again")
    assert store.newest_trade(BTC) == 1_002
    assert store.newest_candle(BTC, "1m") == (START, False, 61_005.0)


def test_a_row_that_the_store_cannot_hold_keeps_no_other_from_it(store: Store, sink: Sink) -> None:
    """Refused, with the batch, whose other rows are then taken; a store that holds any number takes it as well."""
    poison = trade(2, trade_id=2**63)
    refused = False
    try:
        _offer(sink, deliver(trade(1), poison, candle()))
    except RowsRejected:
        refused = True
        _offer(sink, deliver(trade(1), candle()))
    assert store.newest_trade(BTC) == (1_001 if refused else 2**63)
    assert store.newest_candle(BTC, "1m") == (START, False, 61_005.0)
    _offer(sink, deliver(trade(3)))
    assert store.newest_trade(BTC) == (1_003 if refused else store.newest_trade(BTC)), "the sink goes on"


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_a_store_that_hangs_is_waited_for_and_loses_nothing(store: Store, sink: Sink) -> None:
    assert store.server is not None
    _offer(sink, deliver(trade(1)))
    batch = deliver(trade(2), candle())
    store.server.pause()
    try:
        writing = ThreadPoolExecutor(1).submit(_is_taken, sink, batch)
        with suppress(TimeoutError):  # a server of several processes may go on with a connection that it has
            writing.result(timeout=0.5)
    finally:
        store.server.resume()
    if not writing.result(timeout=60):
        wait_for(lambda: _is_taken(sink, batch), "the server takes the batch")
    assert store.newest_trade(BTC) == 1_002
    assert store.newest_candle(BTC, "1m") == (START, False, 61_005.0)


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_what_the_spec_says_wrongly_of_a_store_is_named_and_nothing_is_taken(store: Store) -> None:
    """By field, value and remedy, never a password; what was offered is there for a sink with the right settings."""
    settings, right = store.settings, store.sink()  # type: ignore[attr-defined]
    told: list[str] = []
    for refusal in REFUSALS[right.name]:
        wrong = type(right)(settings.model_copy(update=refusal.changes(settings)))  # type: ignore[call-arg]
        with pytest.raises(Refused) as caught:
            _offer(wrong, deliver(trade(1), candle()))
        wrong.close()
        told.append(str(caught.value))
        assert told[-1].startswith(f"spec.sinks.{right.name}.{refusal.field}: {refusal.value}"), told[-1]
        assert refusal.remedy in told[-1], told[-1]
    assert not any(secret in " ".join(told) for secret in (PASSWORD, WRONG)), told
    _offer(right, deliver(trade(1), candle()))
    right.close()
    assert store.newest_trade(BTC) == 1_001


def test_a_clock_that_jumps_keeps_no_row_out(store: Store, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own, a day on and then two back: rows go by the times that they bring."""
    now, now_ns = time.time, time.time_ns
    for number, days in enumerate((0, 1, -1, -2), 1):
        monkeypatch.setattr("time.time", lambda days=days: now() + days * 86_400)
        monkeypatch.setattr("time.time_ns", lambda days=days: now_ns() + days * 86_400 * 10**9)
        _offer(sink, deliver(trade(number), candle(trades=number, close=float(number))))
        assert store.newest_trade(BTC) == 1_000 + number
        assert store.newest_candle(BTC, "1m") == (START, False, float(number))


def _offer(sink: Sink, batch: list) -> None:  # type: ignore[type-arg]
    sink.open()
    sink.write(batch)
    if isinstance(sink, HoldingSink):
        sink.flush(everything=True)


def _is_taken(sink: Sink, batch: list) -> bool:  # type: ignore[type-arg]
    try:
        _offer(sink, batch)
    except Backpressure:
        return False
    return True
