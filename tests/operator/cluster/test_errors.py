"""What the API server says, by type: to be tried again, or not."""

from __future__ import annotations

import json

import pytest
from marketpipeline.errors import PermanentError, RetryableError
from marketpipeline_operator.cluster.errors import Conflict, Forbidden, Invalid, KindMissing, Unavailable, error_of


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (409, Conflict, True),
        (403, Forbidden, True),
        (404, KindMissing, False),
        (422, Invalid, False),
        (400, Invalid, False),
        (429, Unavailable, True),
        (500, Unavailable, True),
        (401, Unavailable, True),
    ],
)
def test_an_answer_becomes_an_error_by_its_status(status: int, kind: type[Exception], again: bool) -> None:
    error = error_of(status, json.dumps({"message": "why"}).encode(), "PATCH /api", "7")
    assert type(error) is kind
    assert isinstance(error, RetryableError if again else PermanentError)
    assert str(error) == "PATCH /api: why"
    if isinstance(error, Unavailable):
        assert error.retry_after == 7


def test_an_answer_that_is_no_status_is_shown_as_it_is() -> None:
    assert str(error_of(502, b"<html>bad gateway", "GET /x")) == "GET /x: <html>bad gateway"
    assert str(error_of(502, b"", "GET /x")) == "GET /x: status 502"


@pytest.mark.parametrize(
    "body", [b"404 page not found\n", b'{"message":"the server could not find the requested resource"}']
)
def test_a_kind_that_is_not_served_is_told_from_an_object_that_is_absent(body: bytes) -> None:
    what = "write KafkaTopic trades (kafka.strimzi.io/v1)"
    assert str(error_of(404, body, what)) == f"{what}: the cluster does not serve this kind of object"
    absent = b'{"message":"kafkatopics.kafka.strimzi.io \\"trades\\" not found"}'
    assert str(error_of(404, absent, what)) == f'{what}: kafkatopics.kafka.strimzi.io "trades" not found'
