"""Free ports on the loopback."""

from __future__ import annotations

import random
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from marketpipeline.errors import InvalidInput, PermanentError, Problem

__all__ = ["CLAIMS_ARE_SHARED", "HOST", "claim_port", "free_ports", "require_port"]

HOST = "127.0.0.1"

CLAIMS_ARE_SHARED = sys.platform == "linux"
"""Whether a server that sets SO_REUSEADDR, as all do that run here, can listen on a port that is claimed."""

_FIRST, _LAST = 20_000, 32_000
_UNPRIVILEGED = 1_024
_ENOUGH = 500
"""Ports to choose from; a run takes some twenty."""
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def claim_port() -> socket.socket:
    """A port that nobody has, as a socket that is bound to it: until that is closed no other claim finds this port.

    The port is below the range that the kernel takes outgoing connections from: a port of a server that is restarted
    must not have become the near end of some client's connection meanwhile. Where that range leaves no room below it,
    it is in it.
    """
    candidates = _candidates(_ephemeral_begin())
    for port in random.sample(candidates, len(candidates)):
        claim = socket.socket()
        try:
            claim.bind((HOST, port))
        except OSError:
            claim.close()
            continue
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return claim
    raise PermanentError(f"no free TCP port between {candidates[0]} and {candidates[-1]} on {HOST}")


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody has; for who takes them at once."""
    with ExitStack() as claims:
        return [claims.enter_context(claim_port()).getsockname()[1] for _ in range(count)]


def require_port(port: int, field: str, source: str) -> None:
    """Raise InvalidInput that names `field` when somebody listens on `port` already."""
    if not _is_free(port):
        expected = (
            f"is in use on this machine; stop what listens there (ss -ltnp 'sport = :{port}') or set {field} to another"
        )
        raise InvalidInput(source, [Problem(field, port, expected)])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _candidates(ephemeral: int) -> range:
    """The ports to choose from when the kernel takes those of outgoing connections from `ephemeral` on."""
    last = min(_LAST, ephemeral - 1)
    for first in (_FIRST, _UNPRIVILEGED):
        if last - first >= _ENOUGH:
            return range(first, last)
    return range(_FIRST, _LAST)


def _ephemeral_begin() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LAST + 1
