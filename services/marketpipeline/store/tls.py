"""How clients of the stores are told of TLS: certificates come as text, and what takes only files gets files.

With a certificate authority in the settings the connection is one of TLS, and the store's certificate must be by that
authority and of the store's name.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

__all__ = ["Secured", "as_file", "own_certificate"]


class Secured(Protocol):
    """What settings of a store say of TLS (`SecuredStoreSettings` in `sink_kinds`)."""

    @property
    def ca(self) -> str | None:
        """Certificate authorities to trust, PEM text."""

    @property
    def certificate(self) -> str | None:
        """The client's own, PEM text."""

    @property
    def key(self) -> SecretStr | None:
        """Its private key."""


def own_certificate(store: Secured, certificate: str, key: str) -> dict[str, str]:
    """The client's own certificate, where it has one, by the names of the options for it."""
    if store.certificate is None or store.key is None:
        return {}
    return {certificate: as_file(store.certificate), key: as_file(store.key.get_secret_value())}


def as_file(text: str) -> str:
    """A file of this process alone with this text."""
    path = _folder() / sha256(text.encode()).hexdigest()[:16]
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    return str(path)


@cache
def _folder() -> Path:
    """In the temporary folder of the process, gone with it."""
    found = tempfile.mkdtemp(prefix="marketpipeline-")
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return Path(found)
