"""The limit of a client: a window that slides, counted together with other replicas."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from marketpipeline.api.limiter import MOST_CLIENTS, Limiter
from marketpipeline.errors import RetryableError
from marketpipeline.readers.redis import RedisCounters

from tests.services.api.serving import Stores


class Clock:
    def __init__(self) -> None:
        self.now = 6_000.0

    def __call__(self) -> float:
        return self.now


def asked(limiter: Limiter, count: int, client: str = "a") -> int:
    """How many of so many requests are allowed."""
    return sum(limiter.ask(client).allowed for _ in range(count))


def test_a_client_may_ask_so_often_and_is_told_what_is_left() -> None:
    clock = Clock()
    limiter = Limiter(3, 60, clock=clock)
    assert [limiter.ask("a").remaining for _ in range(3)] == [2, 1, 0]
    refused = limiter.ask("a")
    assert not refused.allowed
    assert limiter.ask("b").allowed, "another client"
    clock.now += refused.wait - 0.01
    assert not limiter.ask("a").allowed
    clock.now += 0.02
    assert limiter.ask("a").allowed, "after what it was told to wait"
    assert not limiter.ask("a").allowed


def test_the_window_slides() -> None:
    clock = Clock()
    limiter = Limiter(100, 60, clock=clock)
    clock.now += 59
    assert asked(limiter, 150) == 100
    clock.now += 1
    assert asked(limiter, 150) == 0, "a new minute of the clock is no new allowance"
    clock.now += 30
    assert asked(limiter, 150) == 50
    refused = limiter.ask("a")
    clock.now += refused.wait + 0.001
    assert limiter.ask("a").allowed
    clock.now += 1_000
    assert asked(limiter, 150) == 100


def test_clients_that_are_known_have_a_bound() -> None:
    limiter = Limiter(1, 60, clock=Clock())
    for number in range(MOST_CLIENTS + 10):
        assert limiter.ask(str(number)).allowed
    assert len(limiter._counts) == MOST_CLIENTS


async def test_replicas_count_together(stores: Stores) -> None:
    clock = Clock()
    first, second, third = (Limiter(100, 60, RedisCounters(stores.valkey.settings, "test"), clock) for _ in range(3))
    assert asked(first, 60) == 60
    await first.tell()
    assert asked(second, 1) == 1
    await second.tell()
    assert asked(second, 60) == 39
    await second.tell()
    assert asked(first, 10) == 10, "until it hears of the others"
    await first.tell()
    assert asked(first, 10) == 0
    clock.now += 61
    assert asked(third, 1) == 1
    await third.tell()
    assert asked(third, 100) < 100, "it hears of the window before, too"
    for limiter in (first, second, third):
        await limiter.close()


async def test_without_the_store_a_process_goes_by_its_own_count() -> None:
    class Away:
        async def add(self, amounts: Mapping[str, int], seconds: int) -> dict[str, int]:
            raise RetryableError("away")

        async def close(self) -> None:
            pass

    limiter = Limiter(5, 60, Away(), Clock())
    assert asked(limiter, 3) == 3
    with pytest.raises(RetryableError):
        await limiter.tell()
    assert asked(limiter, 9) == 2
