"""Errands: at most one at a time, results by what they were asked of, retries that wake."""

from __future__ import annotations

import asyncio

from marketpipeline.errors import RetryableError
from marketpipeline_operator.observe.background import BackgroundTask


async def test_a_result_holds_for_what_it_was_asked_of() -> None:
    woken = asyncio.Event()
    calls: list[str] = []
    errand: BackgroundTask[str] = BackgroundTask("x", woken.set, initial=0.05, longest=0.1)

    async def work(value: str) -> str:
        calls.append(value)
        return value

    errand.ask("a", lambda: work("a"))
    assert errand.result("a") is None
    await asyncio.wait_for(woken.wait(), 1)
    assert errand.result("a") == "a"
    assert errand.result("b") is None
    errand.ask("a", lambda: work("again"))
    await asyncio.sleep(0.01)
    assert calls == ["a"], "it is known"
    errand.ask("a", lambda: work("old"), max_age=0)
    await asyncio.sleep(0.01)
    assert calls == ["a", "old"]


async def test_a_failure_is_told_and_wakes_when_it_is_time_to_try_again() -> None:
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1

    async def fail() -> str:
        raise RetryableError("away")

    errand: BackgroundTask[str] = BackgroundTask("x", wake, initial=0.05, longest=0.1)
    errand.ask("a", fail)
    await asyncio.sleep(0.02)
    assert str(errand.error("a")) == "away"
    assert woken == 1
    errand.ask("a", fail)
    running = [errand.running]
    await asyncio.sleep(0.1)
    assert woken == 2
    errand.ask("a", fail)
    running.append(errand.running)
    assert running == [False, True], "not before its time"
    errand.close()


async def test_a_defect_shows_as_an_error() -> None:
    async def broken() -> str:
        raise KeyError("x")

    errand: BackgroundTask[str] = BackgroundTask("topics", lambda: None, initial=5, longest=5)
    errand.ask("a", broken)
    await asyncio.sleep(0.01)
    assert "topics: KeyError" in str(errand.error("a"))
    errand.close()
