"""The port of a process, asked as a probe asks it."""

from __future__ import annotations

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.telemetry import Health, HealthServer


class Process:
    """What a process would say; a test changes it."""

    def __init__(self) -> None:
        self.health = Health("ok", {"produced": 3})
        self.alive = True
        self.broken = False

    def say(self) -> Health:
        if self.broken:
            raise RuntimeError("the check itself fails")
        return self.health


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def server(process: Process) -> Iterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, process.say, lambda: b"frames_total 7\n", lambda: process.alive)
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("degraded", 200), ("starting", 503), ("failed", 503)])
def test_readiness_with_its_details(process: Process, server: HealthServer, status: str, code: int) -> None:
    process.health = Health(status, {"connected": True, "lag": 12})  # type: ignore[arg-type]
    found, content_type, body = get(server, "/health")
    assert (found, content_type) == (code, "application/json")
    assert json.loads(body) == {"status": status, "connected": True, "lag": 12}


def test_liveness_is_apart_from_readiness(process: Process, server: HealthServer) -> None:
    process.health = Health("starting")
    assert get(server, "/health/live")[0] == 200
    process.alive = False
    code, _, body = get(server, "/health/live")
    assert (code, json.loads(body)) == (503, {"alive": False})


def test_metrics_are_prometheus_text(server: HealthServer) -> None:
    code, content_type, body = get(server, "/metrics")
    assert (code, body) == (200, b"frames_total 7\n")
    assert content_type.startswith("text/plain; version=0.0.4")


def test_a_query_string_does_not_matter_and_another_path_is_not_here(server: HealthServer) -> None:
    assert get(server, "/health?verbose=1")[0] == 200
    assert get(server, "/")[0] == 404


def test_a_check_that_fails_is_answered(process: Process, server: HealthServer) -> None:
    process.broken = True
    code, _, body = get(server, "/health")
    assert (code, json.loads(body)["status"]) == (500, "failed")
    assert get(server, "/health/live")[0] == 200


def test_a_slow_check_does_not_hold_up_another(process: Process) -> None:
    entered, release = threading.Event(), threading.Event()

    def slow() -> Health:
        entered.set()
        release.wait(10)
        return Health("ok")

    server = HealthServer("127.0.0.1", 0, slow, lambda: b"")
    try:
        asking = threading.Thread(target=get, args=(server, "/health"))
        asking.start()
        assert entered.wait(5)
        assert get(server, "/health/live")[0] == 200
        release.set()
        asking.join(5)
        assert not asking.is_alive()
    finally:
        release.set()
        server.close()


def test_a_caller_that_has_left_is_no_news(process: Process, capfd: pytest.CaptureFixture[str]) -> None:
    """Its answer meets a connection that it has reset: no traceback, and the next caller is answered."""
    asked, left = threading.Event(), threading.Event()

    def say() -> Health:
        asked.set()
        left.wait(10)
        return process.health

    before = set(threading.enumerate())
    server = HealthServer("127.0.0.1", 0, say, lambda: b"", lambda: True)
    before |= set(threading.enumerate())
    try:
        caller = socket.create_connection(("127.0.0.1", server.port))
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        assert asked.wait(10)
        (answering,) = set(threading.enumerate()) - before
        caller.close()
        left.set()
        answering.join(10)
        assert get(server, "/health")[0] == 200
    finally:
        server.close()
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_named(server: HealthServer) -> None:
    with pytest.raises(InvalidInput, match=rf"http.port: {server.port}: must be free on 127.0.0.1"):
        HealthServer("127.0.0.1", server.port, lambda: Health("ok"), lambda: b"")


def test_close_frees_the_port(process: Process) -> None:
    first = HealthServer("127.0.0.1", 0, process.say, lambda: b"")
    first.close()
    second = HealthServer("127.0.0.1", first.port, process.say, lambda: b"")
    assert get(second, "/health")[0] == 200
    second.close()
