"""How the cache is reached over TLS, in the options of Redis' clients."""

from __future__ import annotations

from typing import Any

from marketpipeline.store.tls import Secured, own_certificate

__all__ = ["redis_address", "redis_options"]


def redis_address(store: Secured, url: str) -> str:
    """The URL, of TLS where there is an authority to check by."""
    return url.replace("redis://", "rediss://", 1) if store.ca is not None and url.startswith("redis://") else url


def redis_options(store: Secured, url: str) -> dict[str, Any]:
    """For clients at `redis_address`."""
    if not redis_address(store, url).startswith("rediss://"):
        return {}
    trusted = {"ssl_ca_data": store.ca} if store.ca is not None else {}
    return trusted | own_certificate(store, "ssl_certfile", "ssl_keyfile") | {"ssl_check_hostname": True}
