"""What only the sink into Redis has: orders, expiry, the bounded list of alerts."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.sinks.base import Backpressure
from marketpipeline.sinks.redis import RedisSink

from tests.conftest import free_port, wait_for
from tests.services.sinks.samples import BTC, ETH, START, alert, book, candle, deliver, every_kind, quote, ticker, trade
from tests.services.sinks.stores import ValkeyStore
from tests.support.valkey import RunningValkey


@pytest.fixture
def store(valkey: RunningValkey) -> ValkeyStore:
    return ValkeyStore(valkey, expiry_ms=60_000, alerts=5)


def write(store: ValkeyStore, *records) -> None:  # type: ignore[no-untyped-def]
    sink = store.sink()
    sink.open()
    sink.write(deliver(*records))
    sink.close()


def test_every_kind_under_its_key(store: ValkeyStore) -> None:
    write(store, *every_kind(BTC), candle(1, ETH, closed=True, interval="5m"))
    for kind, field, value in (
        ("trade", "trade_id", 1_001),
        ("quote", "update_id", 9_001),
        ("book", "update_id", 7_001),
        ("ticker", "last_price", 61_000.5),
        ("candle:1m", "trades", 100),
    ):
        found = store.latest(kind, BTC)
        assert found is not None, kind
        assert found[field] == value
        assert found["symbol"] == BTC
    assert store.latest("closed-candle:1m", BTC) is None
    closed = store.latest("closed-candle:5m", ETH)
    assert closed is not None
    assert closed == store.latest("candle:5m", ETH)


def test_older_data_of_another_writer_is_refused(store: ValkeyStore) -> None:
    write(store, trade(5), quote(5), book(5), ticker(5), candle(1))
    write(store, trade(4), quote(4), book(4), ticker(4), candle(0, closed=True))
    newest = [store.latest(kind, BTC) for kind in ("trade", "quote", "book", "ticker", "candle:1m")]
    expected: list[Any] = [trade(5), quote(5), book(5), ticker(5), candle(1)]
    assert [found and found["receive_time"] for found in newest] == [record.receive_time for record in expected]
    closed = store.latest("closed-candle:1m", BTC)
    assert closed is not None
    assert closed["open_time"] == START


def test_values_expire_unless_renewed(valkey: RunningValkey) -> None:
    store = ValkeyStore(valkey, expiry_ms=300)
    write(store, trade(1), alert())
    key = store.keys.latest("trade", BTC)
    assert 0 < store.run(lambda client: client.pttl(key)) <= 300
    wait_for(lambda: store.latest("trade", BTC) is None, "the value expires", seconds=5)
    assert store.alert(alert().id) == ("open", 0.55), "recent alerts outlive a quiet hour"
    write(store, trade(0))
    assert store.newest_trade(BTC) == 1_000


def test_the_list_of_alerts_holds_the_newest(store: ValkeyStore) -> None:
    write(store, *(alert(number) for number in range(4)))
    write(store, *(alert(number, ETH) for number in range(4, 8)))
    records, order, index = store.keys.alerts
    ids = store.run(lambda client: client.zrevrange(index, 0, -1))
    assert ids == [alert(number, ETH if number > 3 else BTC).id for number in (7, 6, 5, 4, 3)]
    for key in (records, order):
        assert set(store.hash_fields(key)) == set(ids)


def test_an_alert_is_replaced_in_its_place(store: ValkeyStore) -> None:
    write(store, *(alert(number) for number in range(5)))
    write(store, alert(2, status="closed", extreme=0.9, ended_at=START + 9_000_000))
    assert store.run(lambda client: client.zcard(store.keys.alerts[2])) == 5
    assert store.alert(alert(2).id) == ("closed", 0.9)


def test_scripts_survive_a_restart_of_the_server(store: ValkeyStore) -> None:
    sink = store.sink()
    sink.open()
    sink.write(deliver(trade(1)))
    store.run(lambda client: client.script_flush())
    sink.write(deliver(trade(2)))
    assert store.newest_trade(BTC) == 1_002
    sink.close()


def test_a_full_server_is_backpressure(store: ValkeyStore) -> None:
    sink = store.sink()
    sink.open()
    store.run(lambda client: client.config_set("maxmemory", "1mb"))
    try:
        with pytest.raises(Backpressure, match="cannot write now"):
            sink.write(deliver(trade(1)))
    finally:
        store.run(lambda client: client.config_set("maxmemory", "256mb"))
    sink.open()
    sink.write(deliver(trade(1)))
    sink.close()


def test_an_absent_server_is_waited_for(store: ValkeyStore) -> None:
    absent = store.settings.model_copy(update={"url": f"redis://127.0.0.1:{free_port()}/0"})
    with pytest.raises(Backpressure, match="away"):
        RedisSink(absent).open()
