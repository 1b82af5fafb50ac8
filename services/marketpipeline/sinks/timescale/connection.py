"""The connection to the database, and what its errors mean for a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL

from marketpipeline.errors import PermanentError, Refused
from marketpipeline.sink_kinds.timescale import TimescaleStoreSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected, Unusable
from marketpipeline.store.postgres import libpq_options
from marketpipeline.store.sqlstate import Verdict, verdict

__all__ = ["Connection", "connect", "translated"]

_CONNECT_TIMEOUT = 5
_SESSION = {
    "timezone": "UTC",
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
}
_URL, _PASSWORD = "spec.sinks.timescale.url", "spec.sinks.timescale.passwordSecret"
_AT_THE_DOOR = {
    "authentication failed": (
        _PASSWORD,
        "user {user!r}",
        "give this user's password, or name a role of the server in url",
    ),
    "no password supplied": (_PASSWORD, "user {user!r}", "the server wants a password: name the Secret that has it"),
    "is not permitted to log in": (_URL, "user {user!r}", "ALTER ROLE … LOGIN, or name another user"),
    "no pg_hba.conf entry": (_URL, "user {user!r}", "let it in in the server's pg_hba.conf, or give caSecret for TLS"),
    "pg_hba.conf rejects": (_URL, "user {user!r}", "let it in in the server's pg_hba.conf, or give caSecret for TLS"),
    "permission denied for database": (_URL, "user {user!r}", "GRANT CONNECT ON DATABASE {database} to it"),
    "role ": (_URL, "user {user!r}", "create this role, or name one that is there"),
    "does not exist": (_URL, "database {database!r}", "create it, or name one that is there"),
}
"""What a server says at the door and waiting does not change: the field, what is wrong in it, and what helps."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose settings hold wherever its transactions run.

    Behind a pooler that may give each transaction another connection to the server (PgBouncer in transaction mode),
    nothing that a session keeps is there in the next transaction: settings, temporary tables, prepared statements.
    `pooled` tells; settings are then made in every transaction (docs/decisions/0101).
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pooled = False
        self._settings: dict[str, str] = {}

    def configure(self, settings: Mapping[str, str]) -> None:
        """Make settings for this connection, beside those that it has."""
        self._settings |= settings
        if not self.pooled:
            self._set(settings, local=False)

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[psycopg.Transaction]:
        """As psycopg's."""
        is_outermost = self.info.transaction_status is TransactionStatus.IDLE
        with super().transaction(*arguments, **options) as transaction:
            if self.pooled and is_outermost:
                self._set(self._settings, local=True)
            yield transaction

    def _set(self, settings: Mapping[str, str], *, local: bool) -> None:
        calls = SQL(", ").join([SQL("set_config(%s, %s, {})").format(local)] * len(settings))
        self.execute(SQL("SELECT ") + calls, [part for setting in settings.items() for part in setting])


def connect(store: TimescaleStoreSettings, application: str) -> Connection:
    """A connection in autocommit mode whose every statement has a bound.

    Raises Backpressure while the server is away, PermanentError when it refuses the user or the database.
    """
    password = store.password.get_secret_value() if store.password else None
    try:
        connection = Connection.connect(
            store.url,
            password=password,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            application_name=application,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            **libpq_options(store, store.url),
        )
    except psycopg.OperationalError as error:
        message = _one_line(error)
        if (refused := _refused(store, message)) is not None:
            raise refused from error
        raise Backpressure(f"the database is away: {message}") from error
    except psycopg.ProgrammingError as error:
        wanted = "give an address of the form postgresql://user@host[:port]/database"
        raise Refused(_URL, repr(store.url), wanted, error) from error
    with translated():
        connection.pooled = _is_pooled(connection)
        if connection.pooled:
            connection.prepare_threshold = None
        connection.configure(_SESSION)
    return connection


def _refused(store: TimescaleStoreSettings, said: str) -> Refused | None:
    parts = conninfo_to_dict(store.url)
    user = parts.get("user")
    names = {"user": user, "database": parts.get("dbname")}
    for words, (field, value, remedy) in _AT_THE_DOOR.items():
        if words in said and (words != "role " or "does not exist" in said):
            shown = "no user, as url names none," if user is None and "{user" in value else value.format(**names)
            where = f"{shown} at {parts.get('host', 'localhost')}"
            return Refused(field, where, remedy.format(**names), said)
    return None


def _is_pooled(connection: Connection) -> bool:
    """Whether another process answers for the server: a pooler names itself in the key of the connection."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into this project's errors, by the table in `store.sqlstate`."""
    try:
        yield
    except (OverflowError, UnicodeEncodeError) as error:
        raise RowsRejected(_one_line(error)) from error
    except psycopg.Error as error:
        match _verdict(error):
            case Verdict.ROW | Verdict.SMALLER:
                raise RowsRejected(_one_line(error)) from error
            case Verdict.NEVER:
                raise PermanentError(f"the database does not do what it is asked: {_one_line(error)}") from error
            case Verdict.AGAIN:
                raise Backpressure(f"the database cannot do it now: {_one_line(error)}") from error
            case _:
                raise Unusable(f"the database fails: {_one_line(error)}") from error


def _verdict(error: psycopg.Error) -> Verdict:
    """Of an error of the server by its code, of one of the driver's own by its type."""
    if error.sqlstate is not None:
        return verdict(error.sqlstate)
    if isinstance(error, psycopg.DataError):
        return Verdict.ROW
    return Verdict.NEVER if isinstance(error, psycopg.ProgrammingError) else Verdict.RECONNECT


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
