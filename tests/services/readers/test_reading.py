"""Several stores behind one interface: what is asked of which, and what one that is away keeps from nobody."""

from __future__ import annotations

from typing import Any

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.readers import Readers


class Store:
    """A store that holds what it is told to, or is away."""

    def __init__(self, name: str, holds: dict[str, set[str]] | None) -> None:
        self.name, self.holds = name, holds

    async def holdings(self) -> dict[str, set[str]]:
        if self.holds is None:
            raise RetryableError(f"{self.name} is away")
        return self.holds


def readers(*stores: Any) -> Readers:
    return Readers(newest=stores, history=stores[::-1])


async def test_what_one_store_holds_is_known_while_another_is_away() -> None:
    held = {"x:AAA": {"trade"}}
    assert await readers(Store("cache", held), Store("history", None)).holdings() == held
    assert await readers(Store("cache", None), Store("history", held)).holdings() == held
    both = readers(Store("cache", {"x:AAA": {"book"}}), Store("history", held))
    assert await both.holdings() == {"x:AAA": {"book", "trade"}}


async def test_nothing_is_not_what_a_store_that_is_away_holds() -> None:
    with pytest.raises(RetryableError, match="history is away"):
        await readers(Store("cache", None), Store("history", None)).holdings()
    assert await readers().holdings() == {}
