"""The kinds of sink: everything that is known of each without connecting to a store, as one entry a kind.

`sink_kinds/<name>.py` holds one `SINK`, light enough for everyone to import. Spec, CustomResourceDefinition, plan,
command line, operator, the platform of one machine and the Tiltfile are made from these entries; none of them names a
store. A plugin adds one by an entry point of the group `marketpipeline.sink_kinds`. See CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from marketpipeline.registry import discover
from marketpipeline.sink_kinds.kind import (
    SECURED,
    ReadRank,
    SecuredSinkSpec,
    SecuredStoreSettings,
    SinkJob,
    SinkKind,
    SinkSettings,
    SinkSpec,
    StoreSettings,
)

__all__ = [
    "SECURED",
    "ReadRank",
    "SecuredSinkSpec",
    "SecuredStoreSettings",
    "SinkJob",
    "SinkKind",
    "SinkSettings",
    "SinkSpec",
    "StoreSettings",
    "sink_kinds",
]


@cache
def sink_kinds() -> Mapping[str, SinkKind]:
    """Every kind of sink by its name: those of this release and those of the plugins that are installed."""
    return discover(__name__, "SINK", SinkKind)
