"""The captures as the records that ingestion would write, made without it: by hand, for tests only."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketpipeline.records import Book, Heartbeat, Record, Trade

__all__ = ["book_records", "trade_records"]

HEARTBEAT_US = 1_000_000


def _frames(capture: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    with gzip.open(capture, "rt") as lines:
        for line in lines:
            frame = json.loads(line[line.index("{") :])
            yield int(line.partition(" ")[0]) // 1000, frame.get("stream", "snapshot"), frame.get("data", frame)


def trade_records(capture: Path) -> list[Record]:
    """Trades with a heartbeat a second among them; every 50th trade twice, the second time 20 records later."""
    found: list[Record] = []
    again: list[tuple[int, Record]] = []
    last = 0
    for at, stream, data in _frames(capture):
        if stream.endswith("@trade"):
            trade = Trade(
                symbol=f"binance:{data['s']}",
                event_time=data["E"] * 1000,
                trade_time=data["T"] * 1000,
                receive_time=at,
                trade_id=data["t"],
                price=float(data["p"]),
                quantity=float(data["q"]),
                taker_side="sell" if data["m"] else "buy",
            )
            found.append(trade)
            if data["t"] % 50 == 0:
                again.append((len(found) + 20, trade))
            if data["E"] * 1000 > last + HEARTBEAT_US:
                last = data["E"] * 1000
                found.append(Heartbeat(symbol=trade.symbol, event_time=last, receive_time=at))
        while again and len(found) >= again[0][0]:
            found.append(again.pop(0)[1])
    return found + [trade for _, trade in again]


def book_records(capture: Path, levels: int) -> list[Book]:
    """The top levels after every diff event that follows the capture's snapshot."""
    found: list[Book] = []
    waiting: list[tuple[int, dict[str, Any]]] = []
    sides: dict[str, dict[float, float]] = {}
    last = None
    for at, stream, data in _frames(capture):
        if stream == "snapshot":
            last = data["lastUpdateId"]
            sides = {"b": _levels(data["bids"]), "a": _levels(data["asks"])}
        elif stream.endswith("@depth@100ms"):
            waiting.append((at, data))
        if last is None:
            continue
        for received, event in waiting:
            if event["u"] > last:
                found.append(_book(received, event, sides, levels))
        waiting.clear()
    return found


def _levels(rows: list[list[str]]) -> dict[float, float]:
    return {float(price): float(quantity) for price, quantity in rows}


def _book(at: int, event: dict[str, Any], sides: dict[str, dict[float, float]], levels: int) -> Book:
    for name, side in sides.items():
        side.update(_levels(event[name]))
        for price in [price for price, quantity in side.items() if not quantity]:
            del side[price]
    return Book(
        symbol=f"binance:{event['s']}",
        event_time=event["E"] * 1000,
        receive_time=at,
        update_id=event["u"],
        bids=sorted(sides["b"].items(), reverse=True)[:levels],
        asks=sorted(sides["a"].items())[:levels],
    )
