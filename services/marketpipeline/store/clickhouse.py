"""What the writer and the readers of ClickHouse share: where a server is, and what its errors mean."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from marketpipeline.store.sqlstate import Verdict
from marketpipeline.store.tls import Secured, as_file, own_certificate

__all__ = ["SYMBOLS", "VERSION", "Address", "client_options", "verdict"]

SYMBOLS = "symbols"
"""The table of the symbols that there are, with when something of each was received last (1970 for never)."""

VERSION = "version"
"""The column that a table with a rank has beside its record's: the rank as one number."""

_PORTS = {"http": 8123, "https": 8443}
_CODES = MappingProxyType(
    {
        16: Verdict.NEVER,  # no such column in table
        36: Verdict.NEVER,  # bad arguments
        44: Verdict.NEVER,  # illegal column
        47: Verdict.NEVER,  # unknown identifier
        48: Verdict.NEVER,  # not implemented
        53: Verdict.NEVER,  # type mismatch
        62: Verdict.NEVER,  # syntax error
        69: Verdict.ROW,  # argument out of bound
        80: Verdict.NEVER,  # incorrect query
        81: Verdict.NEVER,  # unknown database
        115: Verdict.NEVER,  # unknown setting
        131: Verdict.ROW,  # too large string size
        164: Verdict.NEVER,  # read only: the user may not write
        170: Verdict.NEVER,  # requested cluster not found
        192: Verdict.NEVER,  # unknown user
        193: Verdict.NEVER,  # wrong password
        194: Verdict.NEVER,  # required password
        241: Verdict.AGAIN,  # memory limit exceeded: of the server, with all that it does
        242: Verdict.AGAIN,  # table is read only: a replica that has lost its Keeper
        243: Verdict.AGAIN,  # not enough space
        252: Verdict.AGAIN,  # too many parts: merges have to catch up
        469: Verdict.ROW,  # violated constraint
        497: Verdict.NEVER,  # access denied
        516: Verdict.NEVER,  # authentication failed
    }
)
"""Codes that are not here may pass: a table that is gone (60) is made again over a new connection."""


def verdict(code: int | None) -> Verdict:
    """What an error with this code means; one that is not known, or has none, may pass over a new connection."""
    return Verdict.RECONNECT if code is None else _CODES.get(code, Verdict.RECONNECT)


class Address(Secured, Protocol):
    """The settings of the store."""

    @property
    def url(self) -> str:
        """Without the password."""

    @property
    def password(self) -> SecretStr | None:
        """The user's."""


def client_options(store: Address, *, timeout: float) -> dict[str, Any]:
    """The arguments of `clickhouse_connect.get_client` for a URL of the form http[s]://user@host[:port]/database.

    A user with a certificate and no password is known by the certificate.
    """
    parts = urlsplit(store.url)
    interface = parts.scheme if store.ca is None else "https"
    password = store.password.get_secret_value() if store.password else ""
    own = own_certificate(store, "client_cert", "client_cert_key")
    return {
        "interface": interface,
        "host": parts.hostname,
        "port": parts.port or _PORTS[interface],
        "username": unquote(parts.username or "default"),
        "password": password,
        "database": parts.path.strip("/"),
        **({} if store.ca is None else {"ca_cert": as_file(store.ca)}),
        **own,
        **({"tls_mode": "strict" if password else "mutual"} if own else {}),
        "connect_timeout": 5,
        "send_receive_timeout": timeout,
        "autogenerate_session_id": False,
    }
