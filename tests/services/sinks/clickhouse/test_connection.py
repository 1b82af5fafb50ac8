"""What an error of the server is for the runner."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError, ProgrammingError
from marketpipeline.errors import PermanentError
from marketpipeline.sinks.base import Backpressure, RowsRejected, Unusable
from marketpipeline.sinks.clickhouse.connection import translated
from urllib3.exceptions import ReadTimeoutError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DatabaseError("a constraint", code=469), RowsRejected),
        (DataError("does not fit"), RowsRejected),
        (DatabaseError("no rights", code=497), PermanentError),
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
    with pytest.raises(expected) as caught, translated():
        raise error
    assert type(caught.value) is expected
