from __future__ import annotations

import pytest
from marketpipeline.local.component import NotReady
from marketpipeline.local.components.service import Service
from marketpipeline.telemetry import Health, HealthServer

from tests.conftest import free_port


def test_ready_is_what_health_says() -> None:
    health, alive = [Health("starting", {"waiting_for": "the broker"})], [True]
    server = HealthServer("127.0.0.1", 0, lambda: health[0], lambda: b"", lambda: alive[0])
    service = Service(name="api", arguments=("true",), port=server.port)
    try:
        with pytest.raises(NotReady, match=r"starting: \{'waiting_for': 'the broker'\}"):
            service.check()
        assert service.alive()
        health[0] = Health("degraded", {"lag": 3})
        assert service.check() == {"status": "degraded", "lag": 3}
        alive[0] = False
        assert not service.alive()
    finally:
        server.close()


def test_nobody_there() -> None:
    service = Service(name="api", arguments=("true",), port=free_port())
    with pytest.raises(NotReady, match="no answer on its port yet"):
        service.check()
    assert not service.alive()
