"""Who reads what: symbols over the replicas of a pipeline, streams over the connections of a replica."""

from __future__ import annotations

from collections.abc import Sequence

from marketpipeline.sharding import shard_of
from marketpipeline.venues.messages import Stream

__all__ = ["share_of", "share_out"]


def share_of(symbols: Sequence[str], replica: int, replicas: int) -> list[str]:
    """The symbols that one replica reads."""
    return [symbol for symbol in symbols if shard_of(symbol, replicas) == replica]


def share_out(streams: Sequence[Stream], most: int) -> list[list[Stream]]:
    """Streams in parts of at most `most`, as even as they can be; those of one symbol stay together where they fit.

    `streams` has those of one symbol side by side.
    """
    groups: list[list[Stream]] = []
    for stream in streams:
        if groups and groups[-1][0].symbol == stream.symbol and len(groups[-1]) < most:
            groups[-1].append(stream)
        else:
            groups.append([stream])
    count = -(-len(streams) // most)
    target = -(-len(streams) // count) if count else 0
    parts: list[list[Stream]] = []
    for group in groups:
        if parts and len(parts[-1]) < target and len(parts[-1]) + len(group) <= most:
            parts[-1] += group
        else:
            parts.append(list(group))
    return parts
