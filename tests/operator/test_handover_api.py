"""Processes of ingestion hand symbols over, against a real API server: nobody lets go before another one reads."""

from __future__ import annotations

import json

from tests.operator.support import OperatorUnderTest, Pipelines, ScriptedFlink, eventually
from tests.operator.test_standalone_api import started
from tests.support.broker import RunningBroker

FIRST, SECOND = "ingestion-binance-0", "ingestion-binance-1"


async def symbols(pipelines: Pipelines, process: str) -> list[str]:
    """What a process is told to read."""
    settings = (await pipelines.children())[f"ConfigMap/crypto-{process}"]["data"]["settings.json"]
    found: list[str] = json.loads(settings)["symbols"]
    return found


async def replicas(pipelines: Pipelines) -> dict[str, int]:
    """By process: of how many Pods it shall be."""
    found = await pipelines.deployments()
    return {name: thing["spec"]["replicas"] for name, thing in found.items() if name.startswith("ingestion")}


async def test_a_step_of_scaling_and_a_pair_that_becomes_one_hand_over_process_by_process(
    pipelines: Pipelines, operator: OperatorUnderTest, broker: RunningBroker
) -> None:
    await started(pipelines, operator, broker, ScriptedFlink())

    async def are(wanted: dict[str, int]) -> bool:
        return await replicas(pipelines) == wanted

    async def told(process: str, number: int) -> bool:
        return len(await symbols(pipelines, process)) == number

    await pipelines.edit(ingestion={"replicas": 2})
    await eventually(lambda: are({FIRST: 1, SECOND: 1}), "the new process")
    assert await told(SECOND, 1)
    assert await told(FIRST, 2), "the old one reads both until the new one is in sync"
    await pipelines.make_ready(until=lambda: told(FIRST, 1))
    assert await replicas(pipelines) == {FIRST: 1, SECOND: 1}

    await pipelines.edit(ingestion={"redundancy": 2})
    await pipelines.make_ready(until=lambda: are({FIRST: 2, SECOND: 2}))
    await pipelines.make_ready()
    seen: set[tuple[int, ...]] = set()

    async def single() -> bool:
        now = await replicas(pipelines)
        seen.add(tuple(now[name] for name in (FIRST, SECOND)))
        return set(now.values()) == {1}

    await pipelines.edit(ingestion={"redundancy": 1})
    await pipelines.make_ready(until=single)
    assert seen <= {(2, 2), (1, 2), (1, 1)}, "one pair after the other"

    await pipelines.edit(ingestion={"replicas": 1})
    await eventually(lambda: told(FIRST, 2), "the first is told of both")
    assert SECOND in await replicas(pipelines), "it stays until the first reads its symbol"
    await pipelines.make_ready(until=lambda: are({FIRST: 1}))
