"""A process is reached over IPv4 and IPv6 at one port; where the kernel has no IPv6, over IPv4."""

from __future__ import annotations

import errno
import socket
import urllib.request

import pytest
from marketpipeline.errors import InvalidInput
from marketpipeline.telemetry import Health, HealthServer
from marketpipeline.telemetry.listening import address_of, listen

from tests.conftest import require


@pytest.fixture
def ipv6() -> None:
    """A loopback of IPv6, which a container may lack though its kernel knows the family."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        require(False, f"IPv6 on the loopback: {error}")


@pytest.mark.usefixtures("ipv6")
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_health_is_asked_over_both_families(host: str) -> None:
    server = HealthServer(host, 0, lambda: Health("ok"), lambda: b"")
    try:
        for place in ("127.0.0.1", "[::1]"):
            with urllib.request.urlopen(f"http://{place}:{server.port}/health", timeout=60) as answer:
                assert answer.status == 200
    finally:
        server.close()


@pytest.mark.usefixtures("ipv6")
def test_a_caller_over_ipv4_is_seen_by_that_address() -> None:
    """Else no entry of trustedProxies would fit it."""
    sockets = listen("0.0.0.0", 0)
    with socket.create_connection(("127.0.0.1", sockets[0].getsockname()[1])):
        taken, caller = sockets[0].accept()
        assert caller[0] == "127.0.0.1"
        taken.close()
    assert [address_of(one).rpartition(":")[0] for one in sockets] == ["0.0.0.0", "[::]"]
    for one in sockets:
        one.close()


@pytest.mark.usefixtures("ipv6")
def test_one_address_is_that_alone_and_a_port_in_use_is_named() -> None:
    (only,) = listen("::1", 0)
    assert address_of(only) == f"[::1]:{only.getsockname()[1]}"
    for host in ("::1", "::", "0.0.0.0"):
        with pytest.raises(InvalidInput, match=rf"http.port: {only.getsockname()[1]}: must be free on {host}"):
            listen(host, only.getsockname()[1])
    only.close()


@pytest.mark.parametrize("missing", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_in_the_kernel_it_is_ipv4(monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    """Such a kernel cannot be had here; what it answers can."""
    real = socket.create_server

    def create(address: tuple[str, int], **options: object) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(missing, "no IPv6")
        return real(address, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(socket, "create_server", create)
    (only,) = listen("::", 0)
    assert only.family == socket.AF_INET
    only.close()
