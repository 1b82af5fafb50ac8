"""The frames of a capture again and again, as if the market had gone on: ids and times continue in each round.

Between two rounds one more book change leads from the last book back to the first, so that the book is never crossed.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Frames", "load"]

_NUMBERS = re.compile(rb'"(E|T|t|U|u)":(\d+)')


@dataclass(frozen=True, slots=True)
class Frames:
    """`snapshot` is the REST body that the first round's book starts from, `began` the first event's time in ms."""

    symbol: str
    frames: list[bytes]
    snapshot: bytes
    by_stream: dict[str, int]
    began: int


def load(path: Path, rounds: int) -> Frames:
    """`rounds` times the frames of a capture of one symbol."""
    with gzip.open(path) as lines:
        payloads = [line.split(b" ", 1)[1].rstrip() for line in lines]
    snapshot = next(payload for payload in payloads if not payload.startswith(b'{"stream"'))
    last_id = json.loads(snapshot)["lastUpdateId"]
    own = [payload for payload in payloads if payload.startswith(b'{"stream"')]
    # Changes that the snapshot has in it already would not continue in a later round.
    own = [p for p in own if b"@depth@" not in p[:40] or json.loads(p)["data"]["u"] > last_id]
    spans, back = _spans(own), _way_back(own, json.loads(snapshot))
    by_stream: dict[str, int] = {}
    for payload in own:
        stream = payload[11 : payload.index(b'"', 11)].decode()
        by_stream[stream] = by_stream.get(stream, 0) + rounds
    frames: list[bytes] = []
    for number in range(rounds):
        shift = {name: span * number for name, span in spans.items()}
        frames += [_shifted(payload, shift) for payload in (own if number == 0 else [back, *own])]
    stream = own[0][11 : own[0].index(b"@")].decode().upper()
    began = next(json.loads(p)["data"]["E"] for p in own if b"@bookTicker" not in p[:40])
    return Frames(stream, frames, snapshot, by_stream, began)


def _shifted(payload: bytes, shift: dict[bytes, int]) -> bytes:
    return _NUMBERS.sub(lambda found: b'"%s":%d' % (found[1], int(found[2]) + shift[found[1]]), payload)


def _spans(payloads: list[bytes]) -> dict[bytes, int]:
    """How far each number goes on in one round. One update id is left for the way back."""
    depths = [json.loads(p)["data"] for p in payloads if b"@depth@" in p[:40]]
    trades = [json.loads(p)["data"] for p in payloads if b"@trade" in p[:40]]
    updates = depths[-1]["u"] - depths[0]["U"] + 2
    time = max(depths[-1]["E"], trades[-1]["E"]) - min(depths[0]["E"], trades[0]["T"]) + 1000
    return {b"U": updates, b"u": updates, b"t": trades[-1]["t"] - trades[0]["t"] + 1, b"E": time, b"T": time}


def _way_back(payloads: list[bytes], snapshot: dict[str, list[list[str]]]) -> bytes:
    """The change from the last book to the first, numbered so that a shift by one round puts it between two."""
    first = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    last = {side: dict(levels) for side, levels in first.items()}
    depths = [json.loads(p) for p in payloads if b"@depth@" in p[:40]]
    for depth in depths:
        for side in ("b", "a"):
            for price, quantity in depth["data"][side]:
                if float(quantity):
                    last[side][price] = quantity
                else:
                    last[side].pop(price, None)
    changes = {
        side: [[price, "0.00000000"] for price in last[side].keys() - first[side].keys()]
        + [[price, quantity] for price, quantity in first[side].items() if last[side].get(price) != quantity]
        for side in ("b", "a")
    }
    data = depths[0]["data"]
    number = data["U"] - 1
    frame = {"stream": depths[0]["stream"], "data": {**data, "U": number, "u": number, **changes}}
    return json.dumps(frame, separators=(",", ":")).encode()
