"""The session with Snowflake, and what its errors mean for a batch."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import snowflake.connector
from cryptography.hazmat.primitives import serialization
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error
from snowflake.connector.vendored.requests.exceptions import RequestException

from marketpipeline.errors import PermanentError, Refused
from marketpipeline.sink_kinds.snowflake import SnowflakeStoreSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected, Unusable
from marketpipeline.store.sqlstate import Verdict

__all__ = ["CALL_SECONDS", "STATEMENT_SECONDS", "connect", "one_line", "probe", "translated", "verdict"]

STATEMENT_SECONDS = 120
"""Of one statement, with the start of a warehouse; the connector tries it again for as long. A member of a consumer
group may be silent for 300."""
CALL_SECONDS = 3
"""How long the connector tries to log in, to cancel a statement, and what else takes no time."""

_CODES = MappingProxyType(
    {
        604: Verdict.AGAIN,  # the statement was cancelled
        606: Verdict.NEVER,  # no active warehouse
        625: Verdict.AGAIN,  # aborted while it waited for a lock
        630: Verdict.AGAIN,  # the statement took too long
        904: Verdict.RECONNECT,  # invalid identifier: `open` says which column is absent
        1003: Verdict.NEVER,  # syntax
        2003: Verdict.RECONNECT,  # an object does not exist: `open` makes it again, or says that it may not
        2043: Verdict.RECONNECT,  # the same, of a database or schema
        3001: Verdict.NEVER,  # insufficient privileges
        90073: Verdict.AGAIN,  # a resource monitor keeps the warehouse from running
        251008: Verdict.NEVER,  # the private key is none
        290403: Verdict.NEVER,  # nobody of this name at Snowflake
        290404: Verdict.NEVER,  # the same
        390100: Verdict.NEVER,  # unknown user, or a wrong key
        390101: Verdict.NEVER,  # the user is disabled
        390144: Verdict.NEVER,  # the key is not the user's
        390189: Verdict.NEVER,  # no such role, or not this user's
        390201: Verdict.NEVER,  # no such warehouse, database or schema, or not this role's
        390422: Verdict.NEVER,  # a network policy keeps this address out
    }
)
_ROWS = range(100_000, 100_200)
"""Codes of values that a column does not take."""

_SPEC = "spec.sinks.snowflake"
_GRANT = "make it, and GRANT USAGE of it to the role {0.role}"
_FIELDS = (
    (
        r"JWT|\bkey\b|390100|390101",
        "privateKeySecret",
        "user {0.user!r}",
        "give the key whose public half is the user's",
    ),
    (r"[Rr]ole\b", "role", "{0.role!r}", "make it, and grant it to the user {0.user}"),
    (r"[Ww]arehouse", "warehouse", "{0.warehouse!r}", _GRANT),
    (r"\b[Ss]chema\b", "schema", "{0.schema_name!r}", _GRANT),
    (r"[Dd]atabase", "database", "{0.database!r}", _GRANT),
    (r"^290|account", "account", "{0.account!r}", "name an account that there is: organization-account"),
    (r"", "user", "{0.user!r}", "let this user log in from here"),
)
"""What a refusal at the door is about, by its words; the field of the spec; the value and what helps."""

logging.getLogger("snowflake.connector").setLevel(logging.CRITICAL)
"""What it tells of each attempt the runner tells of the batch."""


def connect(store: SnowflakeStoreSettings, application: str) -> SnowflakeConnection:
    """A session in the schema, with the warehouse that does the work.

    Raises Backpressure while Snowflake is away, PermanentError when it refuses who comes or what is asked for.
    """
    if store.account is None:
        raise PermanentError(f"{_SPEC}.account: is not given; name the account to write to: organization-account")
    try:
        return snowflake.connector.connect(
            account=store.account,
            **_server(store.address),
            user=store.user,
            private_key=_private_key(store),
            authenticator="SNOWFLAKE_JWT",
            role=store.role,
            warehouse=store.warehouse,
            database=store.database,
            schema=store.schema_name,
            validate_default_parameters=True,
            session_parameters={
                "QUERY_TAG": application,
                "TIMEZONE": "UTC",
                "CLIENT_TELEMETRY_ENABLED": False,
                "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_SECONDS,
            },
            login_timeout=CALL_SECONDS,
            network_timeout=CALL_SECONDS,
            platform_detection_timeout_seconds=0.0,
        )
    except (Error, RequestException) as error:
        if verdict(error) is Verdict.NEVER:
            raise _refused(store, error) from error
        raise Backpressure(f"Snowflake is away: {one_line(error)}") from error


def probe(session: SnowflakeConnection) -> None:
    """See whether Snowflake is there before it gets a batch; it wakes no warehouse. Raises the connector's errors."""
    with session.cursor() as cursor:
        cursor.execute("SELECT 1", timeout=CALL_SECONDS)


def _server(address: str | None) -> dict[str, Any]:
    """Where it is, when that is not the account's own place."""
    if address is None:
        return {}
    parts = urlsplit(address)
    return {"protocol": parts.scheme, "host": parts.hostname, "port": parts.port}


def _private_key(store: SnowflakeStoreSettings) -> bytes:
    """The key as the connector takes it. Raises PermanentError that says what is wrong with it."""
    if store.private_key is None:
        raise PermanentError(
            f"{_SPEC}.privateKeySecret: is not given; name the Secret that holds the user's private key"
        )
    phrase = store.private_key_passphrase
    try:
        key = serialization.load_pem_private_key(
            store.private_key.get_secret_value().encode(), phrase.get_secret_value().encode() if phrase else None
        )
    except TypeError as error:
        helps = "it is not encrypted, so it wants none" if phrase else "it is encrypted; name its passphrase's Secret"
        raise PermanentError(f"{_SPEC}.privateKeyPassphraseSecret: {helps}") from error
    except ValueError as error:
        what = "privateKeyPassphraseSecret: is not the key's, or the key" if phrase else "privateKeySecret:"
        raise PermanentError(f"{_SPEC}.{what} is no private key in PEM form (PKCS #8)") from error
    plain = serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain))


def _refused(store: SnowflakeStoreSettings, error: Exception) -> Refused:
    said = one_line(error)
    field, value, helps = next(found for words, *found in _FIELDS if re.search(words, said))
    return Refused(f"{_SPEC}.{field}", value.format(store), helps.format(store), said)


def verdict(error: Exception) -> Verdict:
    """What an error means; one whose code is not known may pass over a new session."""
    if not isinstance(error, Error):
        return Verdict.RECONNECT
    if "Verify the account name" in str(error):
        return Verdict.NEVER
    number = error.errno if error.errno is not None else -1
    return _CODES.get(number, Verdict.ROW if number in _ROWS else Verdict.RECONNECT)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the connector raises into this project's errors."""
    try:
        yield
    except (Error, RequestException, OSError) as error:
        match verdict(error):
            case Verdict.ROW:
                raise RowsRejected(one_line(error)) from error
            case Verdict.NEVER:
                raise PermanentError(f"Snowflake does not do what it is asked: {one_line(error)}") from error
            case Verdict.AGAIN:
                raise Backpressure(f"Snowflake cannot do it now: {one_line(error)}") from error
            case _:
                raise Unusable(f"Snowflake fails: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The text of an error."""
    return " ".join(str(error).split())
