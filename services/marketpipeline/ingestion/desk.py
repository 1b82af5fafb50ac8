"""What the parts of a session hand to each other: commands to the outside, and the desk that lanes turn to.

Nothing here does anything; it is the vocabulary of the sans-IO side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from marketpipeline.records import FeedEventKind
from marketpipeline.topics import TopicKind
from marketpipeline.venues.dialect import FrameError, RestRequest

__all__ = ["CloseLink", "Command", "Desk", "Get", "OpenLink", "Outlet", "Ping", "Put", "Send", "feed_event_id"]

T = TypeVar("T")

Put = Callable[[Any], None]
"""Hands a record to the broker's client; it never blocks and never drops."""


class Outlet(Protocol):
    """Where records go."""

    def lane(self, kind: TopicKind, symbol: str) -> Put:
        """What writes records of one symbol to one topic, in order."""


class Desk(Protocol):
    """What a lane may ask for."""

    def event(
        self,
        kind: FeedEventKind,
        symbol: str,
        feed: str,
        *,
        event_time: int | None = None,
        first_id: int | None = None,
        last_id: int | None = None,
        detail: str = "",
    ) -> None:
        """Write down what happened to a feed."""

    def ask(self, request: RestRequest[T], done: Callable[[T], None], refused: Callable[[str], None]) -> None:
        """Send a request when the limits allow it. Just one of `done` and `refused` (for good) is called, later."""

    def dead_letter(self, payload: bytes, error: FrameError, source: str) -> None:
        """Keep input that cannot be used."""


@dataclass(frozen=True, slots=True)
class OpenLink:
    """Open connection `link` to `url`."""

    link: int
    url: str


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close connection `link`."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text message."""

    link: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping whose pong is to be reported."""

    link: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Get:
    """Send a REST request; its answer is reported under `call`."""

    call: int
    request: RestRequest[Any]


Command = OpenLink | CloseLink | Send | Ping | Get


def feed_event_id(kind: str, symbol: str, feed: str, first: int | None, last: int | None, time: int) -> str:
    """An id that follows from the content: by the ids it speaks of, or by the time where it speaks of none."""
    place = f"{first}-{last}" if first is not None else str(time)
    return f"{kind}:{symbol}:{feed}:{place}"
