"""The protocols that the simulator speaks, one subpackage an exchange; nothing generic names one.

Each subpackage has one `PROTOCOL`, and so has the module that a plugin declares as an entry point in the group
`marketpipeline.simulator.protocols`. It is sans-IO: it takes bytes and times and returns frames, replies and answers,
so the server, the replay and the simulation are the same for every exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from marketpipeline.registry import discover
from marketpipeline.simulator.protocols.base import Answer, Limits, MarketView, Response, Session, WireProtocol

__all__ = ["Answer", "Limits", "MarketView", "Response", "Session", "WireProtocol", "protocols"]


@cache
def protocols() -> Mapping[str, WireProtocol]:
    """Every exchange that can be served, by its name."""
    return discover(__name__, "PROTOCOL", WireProtocol)  # type: ignore[type-abstract]  # entries are checked against it
