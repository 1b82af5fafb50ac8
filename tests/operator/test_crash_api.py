"""Killed at every request that writes: whatever was done until then, an operator that starts again finishes it.

A kill before write n+1 leaves what a kill after write n does, and a read leaves nothing. So the operator is killed
after each write was carried out, before its answer is used, and once before the first. It is its passes here, called as
the queue calls them.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from marketpipeline_operator.application import Operator
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.cluster.kinds import CHILD_KINDS, PIPELINE_KIND, POD

from tests.operator.builders.support import TOPICS
from tests.operator.support import Kubectl, Pipelines, settings_for, topics_of
from tests.support.broker import RunningBroker

LEAN: dict[str, Any] = {"sinks": {"timescale": {"enabled": False}}, "api": {"enabled": False}}


BESIDE = 4
FOREVER = 10**9
PATIENT = {"ingestion": 60, "job": 60, "sinks": 60, "topics": 60}


class Killed(BaseException):
    """The end of the process; nothing catches it."""


class Mortal(Kubernetes):
    """A client that dies after its `last` request that writes."""

    last = FOREVER
    made = 0

    async def _call(self, verb: str, *arguments: Any, **options: Any) -> Any:
        if verb == "GET":
            return await super()._call(verb, *arguments, **options)
        if self.last == 0:
            raise Killed
        answer = await super()._call(verb, *arguments, **options)
        self.made += 1
        if self.made >= self.last:
            raise Killed
        return answer


async def life(kubeconfig: Path, pipelines: Pipelines, last: int, done: Callable[[], Awaitable[bool]]) -> int | None:
    """One life of the operator, until it is killed (None) or `done` (its requests)."""
    key = (pipelines.namespace, "crypto")
    client = Mortal.connect(kubeconfig=str(kubeconfig))
    operator = Operator(
        client, settings_for(pipelines.namespace, flink={"savepoint_timeout": 0.2}, deletion=PATIENT), "test"
    )
    client.last = last
    try:
        for _ in range(400):
            for kind in (*CHILD_KINDS, POD, PIPELINE_KIND):
                selector = None if kind == PIPELINE_KIND else "app.kubernetes.io/managed-by=marketpipeline-operator"
                found = [thing async for thing in pipelines.kubernetes.list(kind, pipelines.namespace, selector)]
                _take(operator, kind, found)
            await operator.reconciler.reconcile(key)
            if await done():
                return client.made
            await asyncio.sleep(0.05)
    except Killed:
        return None
    finally:
        operator.reconciler.close()
        client.close()
    pytest.fail("the work is not done after 400 passes")


def _take(operator: Operator, kind: Any, found: list[Any]) -> None:
    """What watches would tell, deletions included."""
    uids = {thing["metadata"]["uid"] for thing in found}
    for thing in found:
        operator.cache.put(thing)
    if kind == PIPELINE_KIND:
        gone = [seen.body for _, seen in operator.cache.pipelines() if seen.uid not in uids]
    else:
        known = operator.cache._all_children(kind)
        gone = [child.body for child in list(known) if child.uid not in uids]
    for thing in gone:
        operator.cache.drop(thing)


async def made(pipelines: Pipelines) -> bool:
    """All is there, and the status says so of this generation."""
    found = await pipelines.get()
    status = (found or {}).get("status") or {}
    names = set(await pipelines.deployments())
    current = found is not None and status.get("observedGeneration") == found["metadata"]["generation"]
    return current and "thresholds" in status.get("topics", {}) and "taskmanager" in names


async def checked(pipelines: Pipelines, wanted: set[str]) -> None:
    """No duplicate, no orphan: exactly these children, each with this pipeline as its only owner."""
    found = await pipelines.get()
    assert found is not None
    children = await pipelines.children()
    assert set(children) == wanted
    for key, thing in children.items():
        assert [owner["uid"] for owner in thing["metadata"]["ownerReferences"]] == [found["metadata"]["uid"]], key
    assert len(found["metadata"]["finalizers"]) == 1


async def spread(
    kubectl: Kubectl, kubernetes: Kubernetes, last: int, work: Callable[[Pipelines, int], Awaitable[None]]
) -> None:
    """Do `work` for each number up to `last`, a few at a time, each of these in a namespace of its own."""
    numbers = iter(range(last + 1))

    async def worker() -> None:
        name = f"test-{uuid.uuid4().hex[:8]}"
        kubectl("create", "namespace", name)
        try:
            for number in numbers:
                await work(Pipelines(kubernetes, name), number)
        finally:
            kubectl.drop_namespace(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(BESIDE):
            group.create_task(worker())


async def gone(pipelines: Pipelines) -> bool:
    return await pipelines.get() is None and not await pipelines.children()


async def edited(pipelines: Pipelines) -> bool:
    found = await pipelines.deployments()
    return "ingestion-binance-1" in found and "sink-redis" not in found and await made(pipelines)


async def whole(kubeconfig: Path, pipelines: Pipelines, done: Callable[[Pipelines], Awaitable[bool]]) -> int:
    """A life that is not cut short."""
    requests = await life(kubeconfig, pipelines, FOREVER, lambda: done(pipelines))
    assert requests is not None
    return requests


async def test_killed_at_each_request_of_a_creation_and_an_update(
    kubeconfig: Path, kubectl: Kubectl, kubernetes: Kubernetes, pipelines: Pipelines, broker: RunningBroker
) -> None:
    change: dict[str, Any] = {
        "ingestion": {"replicas": 2},
        "sinks": {"redis": {"enabled": False}},
        "symbols": [f"binance:{base}USDT" for base in ("BTC", "ETH", "SOL", "XRP")],
    }

    async def create(place: Pipelines) -> str:
        prefix = broker.prefix()
        await place.create(address=broker.address, broker={"topicPrefix": prefix}, **LEAN)
        return prefix

    await create(pipelines)
    requests = await whole(kubeconfig, pipelines, made)
    wanted = set(await pipelines.children())
    await pipelines.edit(**change)
    updates = await whole(kubeconfig, pipelines, edited)
    after = set(await pipelines.children())
    assert requests > 20
    assert updates > 5

    async def attempt(place: Pipelines, number: int) -> None:
        prefix = await create(place)
        await life(kubeconfig, place, number, lambda: made(place))
        await whole(kubeconfig, place, made)
        await checked(place, wanted)
        if number <= updates:
            await place.edit(**change)
            await life(kubeconfig, place, number, lambda: edited(place))
            await whole(kubeconfig, place, edited)
            await checked(place, after)
        assert len(topics_of(broker, prefix)) == TOPICS
        await place.annotate(force_delete="true")
        await place.delete()
        await whole(kubeconfig, place, gone)

    await spread(kubectl, kubernetes, max(requests, updates), attempt)


async def test_killed_at_each_request_of_a_deletion(
    kubeconfig: Path, kubectl: Kubectl, kubernetes: Kubernetes, pipelines: Pipelines, broker: RunningBroker
) -> None:
    async def create(place: Pipelines) -> str:
        prefix = broker.prefix()
        spec: dict[str, Any] = {"broker": {"topicPrefix": prefix}, "deletionPolicy": "Delete", **LEAN}
        await place.create(address=broker.address, **spec)
        await whole(kubeconfig, place, made)
        await place.delete()
        return prefix

    await create(pipelines)
    requests = await whole(kubeconfig, pipelines, gone)
    assert requests > 8

    async def attempt(place: Pipelines, number: int) -> None:
        prefix = await create(place)
        await life(kubeconfig, place, number, lambda: gone(place))
        await whole(kubeconfig, place, gone)
        assert topics_of(broker, prefix) == set()

    await spread(kubectl, kubernetes, requests, attempt)
