"""Ingestion as a module: start it in the background, read its numbers, stop it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from marketpipeline.ingestion import Ingestion
from marketpipeline.plan import plan
from marketpipeline.settings import IngestionSettings, KafkaSettings
from marketpipeline.spec import load_file
from marketpipeline.topic_admin import ensure_topics


def main(manifest: Path, broker: str, seconds: int) -> bool:
    """Read the pipeline's first exchange for so long; whether the broker has acknowledged all of it."""
    pipeline = load_file(manifest)
    planned, kafka = plan(pipeline), KafkaSettings(bootstrap_servers=broker)
    ensure_topics(kafka, planned.topics)
    workload = planned.workload(f"ingestion-{pipeline.spec.exchanges[0]}")
    own = {"kafka": kafka, "report_interval_ms": 1_000}
    ingestion = Ingestion(IngestionSettings(**workload.settings | own))
    ingestion.start()
    for _ in range(seconds):
        if ingestion.wait(1.0):
            raise SystemExit(f"it has ended: {ingestion.error}")
        numbers = ingestion.metrics()
        print({name: numbers.get(name) for name in ("doing", "connected", "books", "frames", "produced", "gaps")})
    return ingestion.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    everything = main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print("the broker has everything" if everything else "the broker has not acknowledged everything")
