"""A file for each topic: rewritten whole and put in the place of the old one, so that a batch is all or nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketpipeline.records import Alert, Record, Trade
from marketpipeline.sinks.base import Backpressure, Delivery
from marketpipeline.topics import TopicKind

from toys.jsonlines import SINK, JsonLinesSettings

__all__ = ["JsonLinesSink", "sweep"]


class JsonLinesSink:
    """Keeps the newest line of each trade and alert."""

    def __init__(self, settings: JsonLinesSettings) -> None:
        self._folder = Path(settings.store.folder)
        token = settings.store.token
        self._marks = {} if token is None else {"token": token.get_secret_value()}

    @property
    def name(self) -> str:
        return SINK.name

    @property
    def topics(self) -> frozenset[TopicKind]:
        return SINK.topics

    def open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Backpressure(f"the folder cannot be made: {error}") from error

    def write(self, deliveries: Sequence[Delivery]) -> None:
        found: dict[str, dict[str, Any]] = {}
        for delivery in deliveries:
            if (key := _key(delivery.record)) is not None:
                file = type(delivery.record).__name__.lower()
                found.setdefault(file, {})[key] = json.loads(delivery.payload) | self._marks
        for file, rows in found.items():
            self._replace(self._folder / f"{file}.jsonl", rows)

    def close(self) -> None:
        pass

    def _replace(self, path: Path, rows: dict[str, Any]) -> None:
        try:
            held = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            merged = {row["key"]: row for row in held} | {key: row | {"key": key} for key, row in rows.items()}
            unfinished = path.with_suffix(".new")
            unfinished.write_text("".join(f"{json.dumps(row)}\n" for row in merged.values()))
            unfinished.replace(path)
        except OSError as error:
            raise Backpressure(f"{path} cannot be written: {error}") from error


def _key(record: Record) -> str | None:
    match record:
        case Trade():
            return f"{record.symbol}/{record.trade_id}"
        case Alert():
            return record.id
    return None


def sweep(settings: JsonLinesSettings) -> int:
    """Remove unfinished files."""
    for path in Path(settings.store.folder).glob("*.new"):
        path.unlink()
    return 0
