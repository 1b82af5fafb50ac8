"""The queue: serial for each pipeline, beside each other for several, the newest state, bounded waits."""

from __future__ import annotations

import asyncio
import math
import time

from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline_operator.cluster.cache import Key
from marketpipeline_operator.reconcile.queue import Queue
from marketpipeline_operator.settings import ReconcileSettings

A, B = ("ns", "a"), ("ns", "b")
SETTINGS = ReconcileSettings(least_gap=0, backoff_initial=0.02, backoff_max=0.05, interval=60, workers=4)


async def until(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_one_pipeline_is_never_worked_on_twice_at_a_time_and_the_newest_state_counts() -> None:
    running: set[Key] = set()
    passes: list[Key] = []
    both, go = 0, asyncio.Event()

    async def work(key: Key) -> float | None:
        nonlocal both
        assert key not in running
        running.add(key)
        both = max(both, len(running))
        await go.wait()
        running.remove(key)
        passes.append(key)
        return None

    queue = Queue(work, SETTINGS)
    queue.add(A)
    queue.add(B)
    await until(lambda: running == {A, B})
    for _ in range(10):
        queue.add(A)
        queue.add(B)
        await asyncio.sleep(0.001)
    go.set()
    await until(lambda: passes.count(A) == 2 and passes.count(B) == 2)
    await asyncio.sleep(0.1)
    assert both == 2
    assert passes.count(A) == 2, "what came during a pass is one pass more, however often it came"
    await queue.close()


async def test_an_error_that_may_pass_is_tried_again_with_growing_waits_and_a_defect_too() -> None:
    errors: list[Exception | None] = [RetryableError("away"), ValueError("defect"), None]
    times = []

    async def work(key: Key) -> float | None:
        times.append(time.monotonic())
        error = errors.pop(0)
        if error:
            raise error
        return None

    queue = Queue(work, SETTINGS)
    queue.add(A)
    await until(lambda: queue.results == {"ok": 1, "retry": 1, "failed": 1})
    assert times[1] - times[0] >= 0.016
    assert times[2] - times[1] >= 0.032, "twice as long; how much later it comes is up to the machine"
    await queue.close()


async def test_an_error_that_stays_waits_for_a_change() -> None:
    calls = 0

    async def work(key: Key) -> float | None:
        nonlocal calls
        calls += 1
        raise PermanentError("refused")

    queue = Queue(work, SETTINGS)
    queue.add(A)
    await asyncio.sleep(0.2)
    assert calls == 1
    queue.add(A)
    await until(lambda: calls == 2)
    await queue.close()


async def test_a_wanted_delay_is_kept_and_a_pipeline_that_is_gone_is_forgotten() -> None:
    answers: list[float] = [0.05, math.inf]
    times = []

    async def work(key: Key) -> float | None:
        times.append(time.monotonic())
        return answers.pop(0)

    queue = Queue(work, SETTINGS)
    queue.add(A)
    await until(lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.045
    await asyncio.sleep(0.05)
    assert not queue._entries
    await queue.close()


async def test_work_that_hangs_shows_in_the_age_of_the_oldest() -> None:
    async def work(key: Key) -> float | None:
        await asyncio.sleep(10)
        return None

    queue = Queue(work, ReconcileSettings(workers=1, least_gap=0))
    queue.add(A)
    queue.add(B)
    await asyncio.sleep(0.2)
    assert queue.oldest() > 0.15
    assert queue.depth == 1
    await queue.close()


async def test_many_pipelines_that_rest_are_looked_at_a_few_a_second() -> None:
    passes: list[Key] = []

    async def work(key: Key) -> float | None:
        passes.append(key)
        return None

    settings = ReconcileSettings(least_gap=0, interval=0.1)
    queue, many = Queue(work, settings), [("ns", str(number)) for number in range(20)]
    for key in many:
        queue.add(key)
    await until(lambda: len(passes) == len(many))
    await asyncio.sleep(1)
    assert len(passes) == len(many), "the next turn of the first is after 3 s and more, though the interval is 0.1 s"
    await queue.close()
