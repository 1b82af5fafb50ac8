"""The protocols that the exchange speaks, one subpackage an exchange; nothing generic names one.

Each subpackage has one `PROTOCOL`. It is sans-IO: it takes bytes and times and returns frames, replies and
answers, so the server, the replay and the simulation are the same for every exchange.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from marketpipeline.simulator.protocols.base import (
    Answer,
    ConnectionOptions,
    Limits,
    MarketView,
    Response,
    Session,
    WireProtocol,
)

__all__ = [
    "Answer",
    "ConnectionOptions",
    "Limits",
    "MarketView",
    "Response",
    "Session",
    "WireProtocol",
    "protocols",
]


@cache
def protocols() -> Mapping[str, WireProtocol]:
    """Every exchange that can be served, by its name."""
    found: dict[str, WireProtocol] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            protocol: WireProtocol = importlib.import_module(f"{__name__}.{module.name}").PROTOCOL
            found[protocol.name] = protocol
    return MappingProxyType(found)
