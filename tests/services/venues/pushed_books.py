"""The messages of a capture of pushed books, each with a checksum: of an exchange that has no module yet.

The capture is older than the exchange's sequence numbers, so each instrument's messages are numbered as it numbers them
today: `prevSeqId` of an update is the `seqId` of the message before.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketpipeline.records import Level
from marketpipeline.venues.messages import BookChange, BookSnapshot, RawLevel
from marketpipeline.venues.values import TimeUnit, microseconds

__all__ = ["read_books"]

STEP = 10
"""Between two sequence numbers: they grow, but not by one."""


def read_books(path: Path) -> Iterator[tuple[int, BookSnapshot | BookChange]]:
    """Every message of the books, with its receive time in µs, in order."""
    last: defaultdict[str, int] = defaultdict(lambda: 1_000)
    with gzip.open(path) as lines:
        for line in lines:
            time, payload = line.split(b" ", 1)
            frame = json.loads(payload)
            if "action" in frame:
                symbol = f"exchange:{frame['arg']['instId']}"
                (row,) = frame["data"]
                received = microseconds(int(time), TimeUnit.NANOSECONDS)
                number = last[symbol] + STEP
                yield received, _message(frame["action"], symbol, row, received, number, last[symbol])
                last[symbol] = number


def _message(
    action: str, symbol: str, row: dict[str, Any], received: int, number: int, previous: int
) -> BookSnapshot | BookChange:
    raw_bids, raw_asks = ([(level[0], level[1]) for level in row[side]] for side in ("bids", "asks"))
    time = microseconds(int(row["ts"]), TimeUnit.MILLISECONDS)
    bids, asks, raw, checksum = _levels(raw_bids), _levels(raw_asks), (raw_bids, raw_asks), row["checksum"]
    if action == "snapshot":
        return BookSnapshot(number, bids, asks, True, True, symbol, time, received, checksum, raw)
    return BookChange(symbol, time, received, previous + 1, number, bids, asks, previous, checksum, raw)


def _levels(raw: list[RawLevel]) -> list[Level]:
    return [(float(price), float(quantity)) for price, quantity in raw]
