"""What a capture says, read without any of the pipeline's code."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Capture", "read"]


@dataclass
class Capture:
    """Trades and quotes by id; book changes as (first id, last id), in order."""

    trades: dict[int, dict[str, Any]] = field(default_factory=dict)
    quotes: dict[int, dict[str, Any]] = field(default_factory=dict)
    changes: list[tuple[int, int]] = field(default_factory=list)


def read(path: Path) -> Capture:
    """A capture of one symbol."""
    capture = Capture()
    with gzip.open(path) as lines:
        for line in lines:
            frame = json.loads(line[line.index(b"{") :])
            stream, data = frame.get("stream", ""), frame.get("data")
            if stream.endswith("@trade"):
                capture.trades[data["t"]] = data
            elif stream.endswith("@bookTicker"):
                capture.quotes[data["u"]] = data
            elif stream.endswith("@depth@100ms"):
                capture.changes.append((data["U"], data["u"]))
    return capture
