from __future__ import annotations

from confluent_kafka import Producer
from marketpipeline.local.managed_process import State
from marketpipeline.local.view.observer import Observer, Rates, SymbolView
from marketpipeline.plan import plan
from marketpipeline.readers import Readers
from marketpipeline.readers.redis import RedisReader
from marketpipeline.records import encode
from marketpipeline.settings import KafkaSettings
from marketpipeline.spec import load_object
from marketpipeline.topic_admin import ensure_topics
from marketpipeline.topics import TopicKind

from tests.services.local.view.samples import managed
from tests.services.sinks.samples import BTC, book, candle, deliver, late_trade, quote, trade
from tests.services.sinks.stores import ValkeyStore
from tests.support.broker import RunningBroker
from tests.support.valkey import RunningValkey


def test_rates_are_over_the_last_seconds() -> None:
    rates = Rates(span=5.0)
    for second in range(20):
        rates.note("ingestion", {"frames": second * second, "connected": True, "status": "ok"}, float(second))
    rate = rates.of("ingestion", "frames")
    assert rate is not None
    assert 30 <= rate <= 35
    assert rates.of("ingestion", "connected") is None
    assert rates.of("ingestion", "absent") is None
    assert rates.of("nobody", "frames") is None


def test_a_restarted_counter_is_no_negative_rate() -> None:
    rates = Rates()
    rates.note("x", {"frames": 1_000}, 0.0)
    rates.note("x", {"frames": 3}, 2.0)
    assert rates.of("x", "frames") == 0.0


async def test_late_trades_of_this_run_are_counted_however_many_there_are(broker: RunningBroker) -> None:
    spec = {"symbols": ["binance:BTCUSDT"], "broker": {"topicPrefix": broker.prefix()}}
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}
    planned, kafka = plan(load_object(head | {"spec": spec})), KafkaSettings(bootstrap_servers=broker.address)
    ensure_topics(kafka, planned.topics)
    topic = planned.topic(TopicKind.LATE)
    assert topic is not None
    producer = Producer({"bootstrap.servers": broker.address})

    def put(count: int) -> None:
        for number in range(count):
            producer.produce(topic.name, encode(late_trade(number)), partition=number % topic.partitions)
        assert producer.flush(10) == 0

    observer, processes = Observer(planned, kafka, Readers([], []), []), {"broker": managed("broker", State.READY)}
    put(4)
    await observer.open()
    try:
        await observer.look([], processes)
        assert observer.late_trades == 0, "an earlier run left these"
        put(11)
        await observer.look([], processes)
        assert observer.late_trades == 11
    finally:
        await observer.close()


async def test_the_newest_of_each_kind_is_seen_and_a_store_that_is_away_is_left_out(valkey: RunningValkey) -> None:
    head = {"apiVersion": "marketpipeline.dev/v1alpha1", "kind": "MarketPipeline", "metadata": {"name": "crypto"}}
    planned, kafka = plan(load_object(head | {"spec": {"symbols": [BTC]}})), KafkaSettings(bootstrap_servers="x:1")
    store = ValkeyStore(valkey)
    observer = Observer(planned, kafka, Readers([RedisReader(store.settings, "test")], []), ["1m"])
    await observer.open()
    assert (await observer.look([BTC], {})).symbols == [SymbolView(BTC)]
    sink = store.sink()
    sink.open()
    sink.write(deliver(trade(3), quote(), book(2), candle(0, closed=True), candle(1)))
    sink.close()
    (seen,) = (await observer.look([BTC], {})).symbols
    assert (seen.trade, seen.quote, seen.book) == (trade(3), quote(), book(2))
    assert (seen.forming, seen.closed) == ({"1m": candle(1)}, {"1m": candle(0, closed=True)})
    await observer.close()
    away = RedisReader(store.settings.model_copy(update={"url": "redis://127.0.0.1:1/0"}), "test")
    blind = Observer(planned, kafka, Readers([away], []), ["1m"])
    assert (await blind.look([BTC], {})).symbols == [SymbolView(BTC)]
    await blind.close()
