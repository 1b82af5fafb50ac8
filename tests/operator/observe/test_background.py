"""Background tasks: at most one at a time, results by what they were asked of, retries that wake."""

from __future__ import annotations

import asyncio

from marketpipeline.errors import RetryableError
from marketpipeline_operator.observe.background import BackgroundTask


async def test_a_result_holds_for_what_it_was_asked_of() -> None:
    woken = asyncio.Event()
    calls: list[str] = []
    task: BackgroundTask[str] = BackgroundTask("x", woken.set, initial=0.05, longest=0.1)

    async def work(value: str) -> str:
        calls.append(value)
        return value

    task.ask("a", lambda: work("a"))
    assert task.result("a") is None
    await asyncio.wait_for(woken.wait(), 1)
    assert task.result("a") == "a"
    assert task.result("b") is None
    task.ask("a", lambda: work("again"))
    await asyncio.sleep(0.01)
    assert calls == ["a"], "it is known"
    task.ask("a", lambda: work("old"), max_age=0)
    await asyncio.sleep(0.01)
    assert calls == ["a", "old"]


async def test_the_same_answer_once_more_is_no_news() -> None:
    woken, answers = [], iter(["a", "a", "b"])

    async def work() -> str:
        return next(answers)

    task: BackgroundTask[str] = BackgroundTask("x", lambda: woken.append(task.result("x")), initial=1, longest=1)
    for _ in range(3):
        task.ask("x", work, max_age=0)
        await asyncio.sleep(0.01)
    assert woken == ["a", "b"]


async def test_a_failure_is_told_and_wakes_when_it_is_time_to_try_again() -> None:
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    async def fail() -> str:
        raise RetryableError("away")

    task: BackgroundTask[str] = BackgroundTask("x", wake, initial=0.05, longest=0.1)
    task.ask("a", fail)
    await asyncio.sleep(0.02)
    assert str(task.error("a")) == "away"
    assert woken == 1
    task.ask("a", fail)
    running = [task.running]
    await asyncio.sleep(0.1)
    assert woken == 2
    task.ask("a", fail)
    running.append(task.running)
    assert running == [False, True], "not before its time"
    task.close()


async def test_a_defect_shows_as_an_error() -> None:
    async def broken() -> str:
        raise KeyError("x")

    task: BackgroundTask[str] = BackgroundTask("topics", lambda: None, initial=5, longest=5)
    task.ask("a", broken)
    await asyncio.sleep(0.01)
    assert "topics: KeyError" in str(task.error("a"))
    task.close()
