"""The operator asks processes how they are: against the real server of `/health`, on an address of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from marketpipeline.telemetry import Health
from marketpipeline.telemetry.health import HealthServer
from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.names import PIPELINE, Object
from marketpipeline_operator.observe.health import HealthMonitor, words_of

from tests.operator.support import eventually


def pod(port: int, *, ready: bool = True, version: int = 1, uid: str = "u1", path: str = "/health") -> Object:
    probe = {"httpGet": {"path": path, "port": "http"}}
    container = {"ports": [{"name": "http", "containerPort": port}], "readinessProbe": probe}
    metadata: Object = {"name": "api-x", "namespace": "ns", "uid": uid, "resourceVersion": str(version)}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata | {"labels": {PIPELINE: "crypto"}},
        "spec": {"containers": [container]},
        "status": {"podIP": "127.0.0.1", "conditions": conditions},
    }


class Process:
    health = Health("ok")


@contextmanager
def served() -> Iterator[tuple[Process, int]]:
    process = Process()
    server = HealthServer("127.0.0.1", 0, lambda: process.health, lambda: b"")
    try:
        yield process, server.port
    finally:
        server.close()


async def test_a_degraded_process_is_known_until_it_is_well_again() -> None:
    cache, woken = Cache(), list[Key]()
    with served() as (process, port):
        monitor = HealthMonitor(cache, woken.append, 0.05)
        cache.put(pod(port))
        task = asyncio.create_task(monitor.run())
        process.health = Health("degraded", {"stores": {"redis": {"status": "away"}}, "rows": 5})

        async def known() -> bool:
            return dict(monitor.degraded) == {"u1": 'degraded: {"stores": {"redis": {"status": "away"}}}'}

        async def well() -> bool:
            return not monitor.degraded

        await eventually(known, "degraded")
        process.health = Health("degraded", {"stores": {"redis": {"status": "away"}}, "rows": 6})
        await asyncio.sleep(0.2)
        assert woken == [("ns", "crypto")], "a count that goes on is not news"
        process.health = Health("ok")
        await eventually(well, "well again")
        process.health = Health("degraded", {"reason": "no store"})
        await eventually(lambda: _has(monitor, "degraded: no store"), "degraded again")
        cache.put(pod(port, ready=False, version=2))
        await eventually(well, "what is not ready is not asked")
        task.cancel()
    assert woken == [("ns", "crypto")] * 3


async def test_a_process_that_is_degraded_for_a_moment_is_well() -> None:
    cache, woken = Cache(), list[Key]()
    with contextlib.ExitStack() as stack:
        answers = iter([Health("degraded", {"reason": "paused"}), *[Health("ok")] * 1000])
        server = HealthServer("127.0.0.1", 0, lambda: next(answers), lambda: b"")
        stack.callback(server.close)
        monitor = HealthMonitor(cache, woken.append, 0.05)
        cache.put(pod(server.port))
        task = asyncio.create_task(monitor.run())

        async def asked_again() -> bool:
            return next(answers).status == "ok" and bool(monitor._asked) and not monitor._suspected

        await eventually(asked_again, "asked again")
        await asyncio.sleep(0.2)
        assert not woken
        assert not monitor.degraded
        task.cancel()


async def _has(monitor: HealthMonitor, text: str) -> bool:
    return text in monitor.degraded.values()


async def test_a_process_that_does_not_answer_is_left_to_the_kubelet() -> None:
    cache = Cache()
    with served() as (_, port):
        pass
    cache.put(pod(port, path="/overview"))
    assert not cache.health_urls(), "what Flink serves is not asked"
    cache.put(pod(port, version=2))
    monitor = HealthMonitor(cache, lambda key: None, 0.05)
    task = asyncio.create_task(monitor.run())

    async def asked() -> bool:
        return bool(monitor._asked)

    await eventually(asked, "asked")
    assert not monitor.degraded
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff\xfe", b'{"status": "degraded"'])
async def test_an_answer_that_is_not_one_ends_nothing(body: bytes) -> None:
    """Whatever listens at a Pod's port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    cache = Cache()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        cache.put(pod(server.sockets[0].getsockname()[1]))
        monitor = HealthMonitor(cache, lambda key: None, 0.05)
        task = asyncio.create_task(monitor.run())

        async def asked() -> bool:
            return bool(monitor._asked)

        await eventually(asked, "asked")
        assert not monitor.degraded
        assert not task.done()
        task.cancel()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": "ok", "error": "old"}, None),
        ({"status": "failed"}, None),
        ([], None),
        ({"status": "degraded"}, "degraded"),
        ({"status": "degraded", "lag": 3, "error": "refused"}, "degraded: refused"),
        ({"status": "degraded", "stale": ["a"], "gaps": 3}, 'degraded: {"stale": ["a"]}'),
        ({"status": "degraded", "connected": False}, 'degraded: {"connected": false}'),
    ],
)
def test_what_is_said_of_a_degraded_process_lasts(answer: Any, words: str | None) -> None:
    assert words_of(answer) == words


async def test_of_many_a_few_are_asked_a_second_each_in_its_turn() -> None:
    """Thirty a second, whatever the interval, so that no one is silent before it was asked twice."""
    cache, many = Cache(), 45
    asked: list[float] = []

    def answer() -> Health:
        asked.append(time.monotonic())
        return Health("ok")

    with contextlib.closing(HealthServer("127.0.0.1", 0, answer, lambda: b"")) as server:
        for number in range(many):
            found = pod(server.port, uid=f"u{number}")
            cache.put(found | {"metadata": found["metadata"] | {"name": f"api-{number}"}})
        monitor = HealthMonitor(cache, lambda key: None, 0.2, silent_after=1)
        assert monitor.patience == 3
        task = asyncio.create_task(monitor.run())

        async def everyone() -> bool:
            return len(monitor._asked) == many

        await eventually(everyone, "every process asked")
        task.cancel()
    assert many <= len(asked) <= many + 6, "none twice before all others had their turn"
    assert asked[-1] - asked[0] >= 1
