"""Selectors against a real API server, a real broker and an exchange that lists things: who joins, who leaves, and what
is said when it cannot be known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from marketpipeline.records import FeedEvent, decode
from marketpipeline.settings import HttpSettings, SimulatorSettings
from marketpipeline.simulator.main import SimulatedExchange
from marketpipeline_operator.names import Object

from tests.operator.support import OperatorUnderTest, Pipelines, eventually
from tests.support.broker import RunningBroker

NOBODY = "http://127.0.0.1:9"
RANKED = "binance:top-3-USDT"
FIRST = ["binance:BNBUSDT", "binance:BTCUSDT", "binance:ETHUSDT"]


@pytest.fixture
async def exchange() -> AsyncIterator[SimulatedExchange]:
    http = HttpSettings(host="127.0.0.1", port=0)
    served = SimulatedExchange(SimulatorSettings(http=http, exchange="binance", more_symbols=30, scenarios=["calm"]))
    await served.start()
    yield served
    await served.stop()


async def status(pipelines: Pipelines) -> Object:
    found: Object = (await pipelines.get() or {}).get("status") or {}
    return found


def told(broker: RunningBroker, prefix: str) -> list[tuple[str, str]]:
    """What the events topic says of symbols, whatever partition it is in."""
    consumer: Any = Consumer({"bootstrap.servers": broker.address, "group.id": "none"})
    topic, found = f"{prefix}.events", []
    for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        consumer.assign([TopicPartition(topic, partition, 0)])
        records = [decode(message.value()) for message in (consumer.consume(end, timeout=10) if end else [])]
        found += [(each.kind, each.symbol) for each in records if isinstance(each, FeedEvent)]
    consumer.close()
    return sorted(found)


async def test_symbols_join_and_leave_and_stay_while_the_exchange_is_away(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker, exchange: SimulatedExchange
) -> None:
    await operator.start(reconcile={"listing_interval": 0.5})
    prefix, urls = broker.prefix(), {"restUrls": {"binance": exchange.url}}
    await pipelines.create(
        address=broker.address, symbols=["binance:ETHBTC", RANKED], ingestion=urls, broker={"topicPrefix": prefix}
    )
    await pipelines.until("SymbolsSelected", status="True", message=f"{RANKED}: 3")
    await pipelines.until("TopicsReady", status="True")

    async def follows() -> bool:
        return "ingestion-binance-0" in await pipelines.deployments() and (await status(pipelines))["symbols"] == 4

    await eventually(follows, "ingestion")
    assert (await status(pipelines))["selection"]["selectors"] == [{"selector": RANKED, "symbols": 3}]
    before = await pipelines.children()

    exchange.faults.fire("volume", {"symbol": "ADAUSDT", "factor": "1e3"}, 0.0)
    after = ["binance:ADAUSDT", "binance:BTCUSDT", "binance:ETHUSDT"]

    async def changed() -> bool:
        selection = (await status(pipelines))["selection"]
        return bool(selection["symbols"] == selection["told"] == after)

    await eventually(changed, "the new one, and that the events topic knows")
    expected = [("followed", symbol) for symbol in sorted([*FIRST, "binance:ADAUSDT"])]
    assert told(broker, prefix) == [*expected, ("unfollowed", "binance:BNBUSDT")]
    now = await pipelines.children()
    moved = {key for key in now if _generation(now[key]) != _generation(before.get(key, {}))}
    assert moved == {"Deployment/crypto-ingestion-binance-0", "Deployment/crypto-api", "CronJob/crypto-staleness"}

    await exchange.stop()
    await pipelines.until("SymbolsSelected", status="False", reason="ExchangeNotReached", message="stay as they are")
    assert (await status(pipelines))["selection"]["symbols"] == after
    assert (await pipelines.condition("Degraded"))["reason"] != "ExchangeNotReached"


async def test_nothing_runs_before_it_is_known_what_is_followed(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await operator.start()
    urls = {"restUrls": {"binance": NOBODY}}
    await pipelines.create(
        address=broker.address, symbols=[RANKED], ingestion=urls, broker={"topicPrefix": broker.prefix()}
    )
    await pipelines.until("TopicsReady", status="True")
    await pipelines.until("Ready", status="False", reason="ExchangeNotReached", message=f"{NOBODY} is not reached")
    assert not await pipelines.deployments()


async def test_what_runs_stays_until_it_is_known_what_a_selector_stands_for(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    """Also what its processes were told; and a suspension waits for no exchange."""
    await operator.start()
    await pipelines.create(address=broker.address, broker={"topicPrefix": broker.prefix()})

    async def made() -> bool:
        return "ingestion-binance-0" in await pipelines.deployments()

    await eventually(made, "ingestion")
    before = {key: _generation(thing) for key, thing in (await pipelines.children()).items() if "ingestion" in key}
    await pipelines.edit(symbols=[RANKED], ingestion={"restUrls": {"binance": NOBODY}})
    await pipelines.until("Ready", status="False", reason="ExchangeNotReached", message=f"{NOBODY} is not reached")
    now = await pipelines.children()
    assert {key: _generation(now[key]) for key in before} == before
    settings = now["ConfigMap/crypto-ingestion-binance-0"]["data"]["settings.json"]
    assert "BTCUSDT" in settings
    await pipelines.edit(suspend=True)

    async def stopped() -> bool:
        return bool((await pipelines.deployments())["api"]["spec"]["replicas"] == 0)

    await eventually(stopped, "what is suspended stops")


async def test_a_bound_that_cuts_is_said(
    pipelines: Pipelines, operator: OperatorUnderTest, exchange: SimulatedExchange
) -> None:
    await operator.start()
    await pipelines.create(symbols=["binance:*USDT"], maxSymbols=2, ingestion={"restUrls": {"binance": exchange.url}})
    text = "spec.maxSymbols (2) leaves out 20 of 22 symbols"
    await pipelines.until("SymbolsSelected", status="False", reason="TooManySymbols", message=text)
    await pipelines.until("Degraded", status="True", message=text)
    assert (await status(pipelines))["symbols"] == 2


def _generation(thing: Object) -> Any:
    return thing.get("metadata", {}).get("generation")
