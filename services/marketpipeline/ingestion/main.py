"""The ingestion process: telemetry around an `Ingestion`, signals to its end."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

from marketpipeline.errors import InvalidInput
from marketpipeline.ingestion.service import Ingestion
from marketpipeline.ingestion.status import instrument
from marketpipeline.settings import IngestionSettings
from marketpipeline.telemetry import Health, Telemetry

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(settings: IngestionSettings) -> int:
    """Read until SIGTERM or SIGINT. 0: stopped with everything acknowledged; 1: not, or it failed.

    Raises InvalidInput for settings that cannot work.
    """
    holder: list[Ingestion] = []

    def health() -> Health:
        return holder[0].health() if holder else Health("starting")

    telemetry = Telemetry.start(settings, "ingestion", health)
    try:
        ingestion = Ingestion(settings, telemetry.tracing)
        holder.append(ingestion)
        instrument(ingestion, telemetry.meter)
        return _supervise(ingestion)
    finally:
        telemetry.close()


def _supervise(ingestion: Ingestion) -> int:
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        _log.info("stopping: %s", signal.Signals(number).name)
        asked.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ingestion.start()
        while not asked.is_set() and not ingestion.wait(0.1):
            pass
        acknowledged = ingestion.stop()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if isinstance(ingestion.error, InvalidInput):
        raise ingestion.error
    return 0 if acknowledged and ingestion.error is None else 1
