"""What follows from something else, made anew only when that is another: most passes find everything as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Last"]

T = TypeVar("T")


class Last(Generic[T]):
    """One value, and what it was made from. The same objects compare at once, others by what they hold."""

    def __init__(self) -> None:
        self._known: tuple[tuple[object, ...], T] | None = None

    def of(self, *sources: object, make: Callable[[], T]) -> T:
        """The last value where it is of these sources, else what `make` gives."""
        if self._known is None or self._known[0] != sources:
            self._known = (sources, make())
        return self._known[1]
