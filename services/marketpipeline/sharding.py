"""Which process follows which symbol: a stable assignment, so that little moves when a symbol or a process is added.

Rendezvous hashing: each symbol goes to the process for which a hash of both is highest. A new symbol moves nobody; one
process more takes about 1/n of the symbols, each from where it was, and no symbol moves between two old processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["shard_of", "shards"]


def shard_of(symbol: str, replicas: int) -> int:
    """The process, from 0, that follows `symbol` among `replicas`."""

    def weight(replica: int) -> bytes:
        return hashlib.blake2b(f"{replica}/{symbol}".encode(), digest_size=8).digest()

    return max(range(replicas), key=weight)


def shards(symbols: Iterable[str], replicas: int) -> list[list[str]]:
    """The symbols of each process, in the order given; a process may have none."""
    found: list[list[str]] = [[] for _ in range(replicas)]
    for symbol in symbols:
        found[shard_of(symbol, replicas)].append(symbol)
    return found
