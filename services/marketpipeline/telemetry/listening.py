"""Where a process listens: every address means those of both families, as Pods of a cluster may have either or both."""

from __future__ import annotations

import errno
import socket

from marketpipeline.errors import InvalidInput, Problem

__all__ = ["address_of", "listen"]

_EVERY = ("0.0.0.0", "::")
_TRIES = 5
"""For a port that is free of one family and, picked by the kernel, taken of the other."""


def listen(host: str, port: int, field: str = "http.port", *, backlog: int = 128) -> list[socket.socket]:
    """Sockets that are bound and listen, all at one port; with 0 a free one.

    `0.0.0.0` and `::` are every address: a socket a family, so that a caller over IPv4 is seen by that address; where
    the kernel has no IPv6, of IPv4 alone. Raises InvalidInput, which names `field`, when the port is in use.
    """
    try:
        if host not in _EVERY:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return [socket.create_server((host, port), family=family, backlog=backlog)]
        for _ in range(_TRIES if port == 0 else 1):
            if found := _both(port, backlog, last=port != 0):
                return found
        return _both(port, backlog, last=True)
    except OSError as error:
        problem = Problem(field, port, f"must be free on {host}: {error.strerror}; choose another")
        raise InvalidInput("settings", [problem]) from error


def _both(port: int, backlog: int, *, last: bool) -> list[socket.socket]:
    """One a family; none where only the second finds the port taken and it is not the `last` try."""
    first = socket.create_server((_EVERY[0], port), backlog=backlog)
    try:
        second = socket.create_server((_EVERY[1], first.getsockname()[1]), family=socket.AF_INET6, backlog=backlog)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT):
            return [first]  # this kernel has no IPv6
        first.close()
        if last:
            raise
        return []
    return [first, second]


def address_of(listener: socket.socket) -> str:
    """host:port, of IPv6 in brackets."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
