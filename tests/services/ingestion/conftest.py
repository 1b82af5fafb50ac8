"""Fixtures of the tests that run the real thing: an exchange, a broker, an ingestion process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.services.ingestion.processes import Processes
from tests.support.broker import RunningBroker, broker

__all__ = ["broker", "processes"]

# What is found must not depend on how busy the machine is.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def processes(broker: RunningBroker, tmp_path: Path) -> Iterator[Processes]:
    """Processes of one test, ended with it."""
    running = Processes(broker, tmp_path)
    try:
        yield running
    finally:
        running.close()
