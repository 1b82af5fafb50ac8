from __future__ import annotations

import socket
from pathlib import Path

import pytest
from marketpipeline.errors import InvalidInput, PermanentError
from marketpipeline.local import ports as module
from marketpipeline.local.ports import HOST, claim_port, free_ports, require_port


def test_ports_are_free_different_and_outside_what_clients_are_given() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    begin = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(found) < begin
    for port in found:
        with socket.socket() as taken:
            # As every server here does: a connection of an earlier one on this port may not have faded yet.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((HOST, port))


def test_a_claimed_port_is_for_its_server_and_for_no_other_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    with claim_port() as claim, socket.socket() as server:
        port = claim.getsockname()[1]
        monkeypatch.setattr(module, "_candidates", lambda _: range(port, port + 1))
        with pytest.raises(PermanentError, match="no free TCP port"):
            claim_port()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        server.listen()
        socket.create_connection((HOST, port), timeout=10).close()


def test_a_port_that_was_given_up_can_be_claimed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with claim_port() as claim:
        port = claim.getsockname()[1]
    monkeypatch.setattr(module, "_candidates", lambda _: range(port, port + 1))
    claim_port().close()


def test_a_port_in_use_names_the_field_and_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput) as caught:
            require_port(port, "spec.api.port", "crypto.yaml")
    assert str(caught.value).startswith(
        f"crypto.yaml:\n  spec.api.port: {port}: is in use on this machine; stop what listens"
    )
    assert "or set spec.api.port to another" in str(caught.value)
    require_port(port, "spec.api.port", "crypto.yaml")


@pytest.mark.parametrize(
    ("begin", "low", "high"),
    [
        ("32768", 20_000, 31_999),
        ("20600", 20_000, 20_599),
        ("20001", 1_024, 20_000),
        ("20000", 1_024, 19_999),
        ("15000", 1_024, 14_999),
        ("1524", 20_000, 31_999),
        ("1024", 20_000, 31_999),
        ("0", 20_000, 31_999),
    ],
)
def test_wherever_the_kernels_range_begins_there_are_ports(
    begin: str, low: int, high: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "ip_local_port_range"
    kernel.write_text(f"{begin}\t65535\n")
    monkeypatch.setattr(module, "_RANGE", kernel)
    found = free_ports(30)
    assert len(set(found)) == 30
    assert low <= min(found)
    assert max(found) <= high
