"""How long a process of ingestion takes until all of its books are in sync: `python -m benchmarks.start [N ...]`.

Against the simulated exchanges with the real ones' limits, for each number of symbols; prints JSON with the machine.
Most of it is waiting for request weight; but with hundreds of symbols the simulated exchange itself needs a core of its
own, or it is too late with its pongs. It takes some five minutes.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from confluent_kafka.admin import AdminClient, NewTopic
from marketpipeline.ingestion import Ingestion
from marketpipeline.settings import IngestionSettings
from marketpipeline.topics import TopicKind, topic_name

from benchmarks.support import free_port, machine, running_broker

NUMBERS = (50, 100, 200, 400)
LONGEST = 900.0
FORMS = {"binance": "S{:03}USDT", "okx": "S{:03}-USDT"}


def main(numbers: list[int]) -> None:
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, running_broker(Path(folder)) as broker:
        rows = [measure(exchange, number, broker, Path(folder)) for exchange in FORMS for number in numbers]
    print(json.dumps({"machine": machine(), "starts": rows}, indent=2))


def measure(exchange: str, number: int, broker: str, folder: Path) -> dict[str, Any]:
    """From `start` to the last book in sync, and what it cost."""
    symbols, prefix = [FORMS[exchange].format(place) for place in range(number)], f"{exchange}-{number}"
    make_topics(broker, prefix)
    with simulated(exchange, symbols, folder) as port:
        settings = ingestion_of(exchange, symbols, prefix, broker, port)
        ingestion, before, began, weight = Ingestion(settings), _cpu(), time.monotonic(), 0
        ingestion.start()
        while not (health := ingestion.health()).details["in_sync"]:
            rest: Any = health.details.get("rest", {})
            weight = max(weight, rest.get("weight", 0))
            if ingestion.wait(0.25) or time.monotonic() - began > LONGEST:
                raise SystemExit(f"{exchange}, {number} symbols: {ingestion.error or health.details}")
        seconds, found = time.monotonic() - began, health.details
        ingestion.stop()
    rest = found["rest"]
    row = {
        "exchange": exchange,
        "symbols": number,
        "seconds": round(seconds, 1),
        "connections": found["connections"],
        "requests": rest["requests"],
        "throttled": rest["throttled"],
        "most_weight_a_window": weight,
        "gaps": found["gaps"],
        "cpu_seconds": round(_cpu() - before, 1),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(row, file=sys.stderr, flush=True)
    return row


def make_topics(broker: str, prefix: str) -> None:
    """All topics of a pipeline."""
    admin = AdminClient({"bootstrap.servers": broker})
    for made in admin.create_topics([NewTopic(topic_name(prefix, kind), 6, 1) for kind in TopicKind]).values():
        made.result()


def ingestion_of(
    exchange: str, symbols: list[str], prefix: str, broker: str, port: int, feeds: Sequence[str] = ("book", "trades")
) -> IngestionSettings:
    """Settings of a process that reads the simulated exchange on `port`."""
    return IngestionSettings.model_validate(
        {
            "pipeline": prefix, "topic_prefix": prefix, "kafka": {"bootstrap_servers": broker},
            "exchange": exchange, "symbols": symbols, "feeds": list(feeds), "levels": 20,
            "websocket_url": f"ws://127.0.0.1:{port}", "rest_url": f"http://127.0.0.1:{port}",
        }
    )  # fmt: skip


@contextmanager
def simulated(exchange: str, symbols: list[str], folder: Path, scenario: str = "quiet") -> Iterator[int]:
    """The exchange with these symbols, each of them as in the scenario."""
    port = free_port()
    settings = {
        "http": {"host": "127.0.0.1", "port": port}, "exchange": exchange, "symbols": symbols,
        "scenarios": [f"{scenario}:symbol={symbol},seconds=3600" for symbol in symbols],
    }  # fmt: skip
    config = folder / "simulator.json"
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "marketpipeline", "simulator", "--config", str(config)]
    with (folder / "simulator.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until_open(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the simulator did not start: {error}") from error
            time.sleep(0.2)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(NUMBERS))
