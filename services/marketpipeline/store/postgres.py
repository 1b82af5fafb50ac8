"""How the database is reached over TLS, in the options of PostgreSQL's clients."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from marketpipeline.store.tls import Secured, as_file, own_certificate

__all__ = ["libpq_options"]


def libpq_options(store: Secured, url: str) -> dict[str, Any]:
    """Beside the URL; what that says of `sslmode` holds."""
    found = own_certificate(store, "sslcert", "sslkey")
    if store.ca is None:
        return found
    mode = {} if "sslmode" in parse_qs(urlsplit(url).query) else {"sslmode": "verify-full"}
    return found | {"sslrootcert": as_file(store.ca)} | mode
