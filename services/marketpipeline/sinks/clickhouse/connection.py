"""The client of ClickHouse, and what its errors mean for a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    DataError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from urllib3.exceptions import HTTPError

from marketpipeline.errors import PermanentError, Refused
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected, Unusable
from marketpipeline.store.clickhouse import client_options, verdict
from marketpipeline.store.sqlstate import Verdict

__all__ = ["connect", "one_line", "translated"]

_TIMEOUT = 60.0
_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "max_partitions_per_insert_block": 0,
    "distributed_ddl_task_timeout": 50,
}
"""An insert is answered when its rows are in the table; it may meet any number of months."""

_UNKNOWN_DATABASE = 81
_LOGIN = frozenset({192, 193, 194, 516})
"""Unknown user, wrong password, required password, authentication failed."""
_RIGHTS = frozenset({164, 497})
"""Read only, access denied."""


def connect(store: ClickHouseStoreSettings, application: str) -> Client:
    """A client that has spoken with the server. Inserts go compressed.

    Raises Backpressure while the server is away, PermanentError when it refuses the user or the database.
    """
    quorum = {"insert_quorum": store.cluster.quorum} if store.cluster and store.cluster.quorum > 1 else {}
    try:
        return clickhouse_connect.get_client(
            **client_options(store, timeout=_TIMEOUT),
            compress="lz4",
            client_name=application,
            settings={**_SETTINGS, **quorum},
        )
    except DatabaseError as error:
        if verdict(error.code) is Verdict.NEVER:
            raise _refused(store, error) from error
        raise Backpressure(f"ClickHouse is away: {one_line(error)}") from error
    except (ClickHouseError, HTTPError) as error:
        raise Backpressure(f"ClickHouse is away: {one_line(error)}") from error


def _refused(store: ClickHouseStoreSettings, error: DatabaseError) -> Refused:
    parts = urlsplit(store.url)
    user, database = repr(client_options(store, timeout=0)["username"]), repr(parts.path.strip("/"))
    field = "url"
    if error.code in _LOGIN:
        field, value = "passwordSecret", f"user {user}"
        remedy = "give this user's password, or name a user of the server's in url"
    elif error.code in _RIGHTS:
        value = f"user {user}"
        remedy = f"GRANT it what it is refused in database {database}, or name another user"
    elif error.code == _UNKNOWN_DATABASE:
        value, remedy = f"database {database}", "create it, or name one that is there"
    else:
        value, remedy = f"database {database}", "the server does not do what it is asked"
    return Refused(f"spec.sinks.clickhouse.{field}", f"{value} at {parts.hostname}", remedy, error)


@contextmanager
def translated(store: ClickHouseStoreSettings) -> Iterator[None]:
    """Turn what the client raises into this project's errors, by the table in `store.clickhouse`."""
    try:
        yield
    except (OperationalError, HTTPError) as error:
        raise Unusable(f"ClickHouse is away: {one_line(error)}") from error
    except DataError as error:
        raise RowsRejected(one_line(error)) from error
    except (ProgrammingError, NotSupportedError) as error:
        raise PermanentError(f"ClickHouse does not do what it is asked: {one_line(error)}") from error
    except DatabaseError as error:
        match verdict(error.code):
            case Verdict.ROW | Verdict.SMALLER:
                raise RowsRejected(one_line(error)) from error
            case Verdict.NEVER if error.code in _RIGHTS:
                raise _refused(store, error) from error
            case Verdict.NEVER:
                raise PermanentError(f"ClickHouse does not do what it is asked: {one_line(error)}") from error
            case Verdict.AGAIN:
                raise Backpressure(f"ClickHouse cannot do it now: {one_line(error)}") from error
            case _:
                raise Unusable(f"ClickHouse fails: {one_line(error)}") from error
    except ClickHouseError as error:
        raise PermanentError(f"ClickHouse does not do what it is asked: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """The text of an error."""
    return " ".join(str(error).split())
