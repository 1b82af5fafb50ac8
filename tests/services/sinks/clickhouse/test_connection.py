"""What an error of the server is for the runner."""

from __future__ import annotations

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError, ProgrammingError
from marketpipeline.errors import PermanentError, Refused
from marketpipeline.sink_kinds.clickhouse import ClickHouseStoreSettings
from marketpipeline.sinks.base import Backpressure, RowsRejected, Unusable
from marketpipeline.sinks.clickhouse.connection import connect, translated
from urllib3.exceptions import ReadTimeoutError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DatabaseError("a constraint", code=469), RowsRejected),
        (DataError("does not fit"), RowsRejected),
        (DatabaseError("no rights", code=497), Refused),
        (DatabaseError("no such database", code=81), PermanentError),
        (ProgrammingError("not supported"), PermanentError),
        (DatabaseError("no space", code=243), Backpressure),
        (DatabaseError("too many parts", code=252), Backpressure),
        (DatabaseError("of a kind that is not known", code=9_999), Unusable),
        (DatabaseError("without a code"), Unusable),
        (OperationalError("no answer"), Unusable),
        (ReadTimeoutError(None, "/", "too slow"), Unusable),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_each_class_of_error(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, translated(ClickHouseStoreSettings(url="http://x@y/z")):
        raise error
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("code", "field", "remedy"),
    [
        (192, "passwordSecret", "give this user's password"),
        (516, "passwordSecret", "give this user's password"),
        (164, "url", "GRANT it what it is refused"),
        (497, "url", "GRANT it what it is refused"),
        (81, "url", "create it, or name one"),
        (115, "url", "does not do what it is asked (its own words)"),
        (170, "url", "does not do what it is asked (its own words)"),
    ],
)
def test_what_is_refused_at_the_door(monkeypatch: pytest.MonkeyPatch, code: int, field: str, remedy: str) -> None:
    def refuse(**_: object) -> None:
        raise DatabaseError("its own words", code=code)

    monkeypatch.setattr(clickhouse_connect, "get_client", refuse)
    with pytest.raises(Refused) as caught:
        connect(ClickHouseStoreSettings(url="http://u@h/d"), "a test")
    assert caught.value.field == f"spec.sinks.clickhouse.{field}"
    assert remedy in str(caught.value)
