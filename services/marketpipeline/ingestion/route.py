"""The way to an exchange: the proxy that it leads through, and the certificates that are trusted on it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Self

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import IngestionSettings

__all__ = ["Route"]

_PROXY = re.compile(r"(https?|socks5)://([^/@]+@)?[^/@]+:\d+/?")


@dataclass(frozen=True, slots=True)
class Route:
    """`proxy` is a URL: REST goes through it as HTTP does, a WebSocket by CONNECT (or SOCKS). `tls` is None for the
    authorities that the libraries trust by themselves.
    """

    proxy: str | None = None
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: IngestionSettings) -> Self:
        """The one that the settings say. Raises InvalidInput for another kind of proxy, or no certificates."""
        proxy = None if settings.proxy is None else settings.proxy.get_secret_value()
        if proxy is not None and not _PROXY.fullmatch(proxy):
            expected = "must be the URL of a proxy: http://, https:// or socks5://, [user:password@], host and port"
            raise InvalidInput("settings", [Problem("proxy", settings.proxy, expected)])
        if settings.ca_file is None:
            return cls(proxy)
        try:
            return cls(proxy, ssl.create_default_context(cafile=settings.ca_file))
        except OSError as error:  # of which SSLError is one
            expected = f"must be a file of certificates in PEM form ({error.strerror or error})"
            raise InvalidInput("settings", [Problem("ca_file", str(settings.ca_file), expected)]) from error
