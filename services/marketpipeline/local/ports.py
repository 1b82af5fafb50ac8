"""Free ports on the loopback."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from marketpipeline.errors import InvalidInput, PermanentError, Problem

__all__ = ["HOST", "free_ports", "require_port"]

HOST = "127.0.0.1"

_FIRST, _LAST = 20_000, 32_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on.

    They are below the range that the kernel takes outgoing connections from: a port of a server that is restarted must
    not have become the near end of some client's connection meanwhile.
    """
    last = min(_LAST, _ephemeral_begin() - 1)
    candidates = random.sample(range(_FIRST, last), last - _FIRST)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise PermanentError(f"no {count} free TCP ports between {_FIRST} and {last} on {HOST}")


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


def _ephemeral_begin() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LAST + 1
