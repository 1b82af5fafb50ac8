"""Ingestion from the socket to acknowledged records: `python -m benchmarks.feeds.through_socket SETTINGS FRAMES`.

Prints one JSON object. `seconds` run from the first frame read to the last record acknowledged; `cpu_seconds` are all
threads of the process, the broker's client included.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from marketpipeline.ingestion import Ingestion
from marketpipeline.settings import IngestionSettings
from marketpipeline.telemetry import configure_logging

LIMIT = 300.0


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(settings: IngestionSettings, frames: int) -> None:
    configure_logging(settings.pipeline, "benchmark", "WARNING")
    ingestion = Ingestion(settings)
    ingestion.start()
    deadline = time.monotonic() + LIMIT
    started = cpu_started = 0.0
    while time.monotonic() < deadline and not ingestion.wait(0.005):
        session, publisher = ingestion.session, ingestion.publisher
        if session is None or publisher is None:
            continue
        read = session.frames
        if read > 1 and not started:
            started, cpu_started = time.perf_counter(), cpu()
        if read >= frames and not publisher.in_flight and not session.pending:
            break
    seconds, cpu_seconds = time.perf_counter() - started, cpu() - cpu_started
    metrics = ingestion.metrics()
    acknowledged = ingestion.stop()
    result = {name: metrics[name] for name in ("frames", "produced", "dlq", "gaps", "paused_seconds", "bytes")}
    print(json.dumps(result | {"seconds": seconds, "cpu_seconds": cpu_seconds, "acknowledged": acknowledged}))


if __name__ == "__main__":
    main(IngestionSettings.load(Path(sys.argv[1])), int(sys.argv[2]))
