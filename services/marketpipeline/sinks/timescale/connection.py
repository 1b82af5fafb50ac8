"""The connection to the database, and what its errors mean for a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from marketpipeline.errors import PermanentError
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected

__all__ = ["Connection", "connect", "translated"]

Connection = psycopg.Connection[tuple[Any, ...]]

_CONNECT_TIMEOUT = 5
_SESSION = {
    "timezone": "UTC",
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
}
_WRONG_ADDRESS = ("authentication failed", "does not exist", "no password supplied", "is not permitted to log in")


def connect(store: TimescaleStoreSettings, application: str) -> Connection:
    """A connection in autocommit mode whose every statement has a bound.

    Raises Backpressure while the server is away, PermanentError when it refuses the user or the database.
    """
    password = store.password.get_secret_value() if store.password else None
    try:
        connection = psycopg.connect(
            store.url,
            password=password,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            application_name=application,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except psycopg.OperationalError as error:
        message = _one_line(error)
        if any(words in message for words in _WRONG_ADDRESS):
            raise PermanentError(f"the database refuses {store.url}: {message}") from error
        raise Backpressure(f"the database is away: {message}") from error
    except psycopg.ProgrammingError as error:
        raise PermanentError(f"store.url {store.url!r} is no address of a database: {_one_line(error)}") from error
    with translated():
        for name, value in _SESSION.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    return connection


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into this project's errors."""
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError, OverflowError) as error:
        raise RowsRejected(_one_line(error)) from error
    except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        raise PermanentError(f"the database does not do what it is asked: {_one_line(error)}") from error
    except psycopg.Error as error:
        raise Backpressure(f"the database fails: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
