"""The HTTP interface around ClickHouse's engine, as its client and any HTTP client see it."""

from __future__ import annotations

import gzip
import re
import socket
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.clickhouse import PASSWORD, RunningClickHouse

MAKE = "CREATE TABLE t (n Int64, s LowCardinality(String), x Nullable(Float64)) ENGINE = MergeTree ORDER BY n"


@pytest.fixture
def database(clickhouse: RunningClickHouse) -> str:
    return clickhouse.create_database()


@pytest.mark.parametrize("compress", [False, "lz4", "gzip"])
def test_every_row_of_an_insert_arrives_compressed_or_not(
    clickhouse: RunningClickHouse, database: str, compress: str | bool
) -> None:
    with clickhouse.client(database, compress=compress) as client:
        client.command(MAKE)
        rows = [(number, f"s{number % 7}", None if number % 3 else number / 2) for number in range(50_000)]
        client.insert("t", rows, column_names=["n", "s", "x"], settings={"insert_deduplication_token": "one"})
        assert client.query("SELECT * FROM t ORDER BY n").result_rows == rows


def test_an_encoding_that_it_does_not_know_is_refused(clickhouse: RunningClickHouse, database: str) -> None:
    with clickhouse.client(database, compress="zstd") as client:
        client.command(MAKE)
        with pytest.raises(DatabaseError, match="known encodings: gzip, lz4"):
            client.insert("t", [(1, "s", None)], column_names=["n", "s", "x"])
        assert client.command("SELECT count() FROM t") == 0


def test_requests_share_nothing_and_run_side_by_side(clickhouse: RunningClickHouse, database: str) -> None:
    with clickhouse.client(database) as one, clickhouse.client() as other:
        assert one.command("SELECT currentDatabase()", settings={"max_threads": 1}) == database
        assert other.command("SELECT currentDatabase()") == "marketpipeline"
        changed = "SELECT changed FROM system.settings WHERE name = 'max_threads'"
        assert (one.command(changed, settings={"max_threads": 1}), one.command(changed)) == (1, 0)


def test_parameters_are_bound_by_the_engine(clickhouse: RunningClickHouse) -> None:
    with clickhouse.client() as client:
        values = {"words": ["it's", "a \\ b"], "number": 5}
        found = client.query("SELECT {words:Array(String)}, {number:Int64}", values).result_rows
    assert found == [(["it's", "a \\ b"], 5)]


Answer = tuple[int, str, Mapping[str, str]]


def request(
    clickhouse: RunningClickHouse, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    where = f"http://127.0.0.1:{clickhouse.port}{path}"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(where, body or None, dict(headers or {})), timeout=10
        ) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def test_any_client_of_http(clickhouse: RunningClickHouse, database: str) -> None:
    secret = b64encode(f"marketpipeline:{PASSWORD}".encode()).decode()
    known = {"Authorization": f"Basic {secret}"}
    assert request(clickhouse, "/ping")[:2] == (200, "Ok.\n")
    assert request(clickhouse, "/?query=SELECT%201", headers=known)[1] == "1\n"
    assert request(clickhouse, f"/?user=marketpipeline&password={PASSWORD}", b"SELECT 2")[1] == "2\n"
    assert request(clickhouse, f"/?database={database}", MAKE.encode(), headers=known)[0] == 200
    insert = f"/?database={database}&query=INSERT%20INTO%20t%20FORMAT%20CSV"
    packed = gzip.compress(b"1,a,\n2,b,0.5\n")
    assert request(clickhouse, insert, packed, known | {"Content-Encoding": "gzip"})[0] == 200
    assert (
        request(clickhouse, f"/?database={database}", b"SELECT * FROM t FORMAT CSV", headers=known)[1]
        == '1,"a",\\N\n2,"b",0.5\n'
    )
    status, text, headers = request(clickhouse, "/", b"SELECT * FROM nowhere", headers=known)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (404, "60")
    assert text.startswith("Code: 60. DB::Exception: ")


LOOKS_LIKE_ONE = b"GET /ping HTTP/1.1\r\n\r\n"


def statuses(clickhouse: RunningClickHouse, sent: bytes) -> list[int]:
    """Of the answers to all that is sent at once."""
    with socket.create_connection(("127.0.0.1", clickhouse.port), timeout=60) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            return [int(status) for status in re.findall(rb"^HTTP/1.1 (\d+)", answers.read(), re.MULTILINE)]


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", *headers, "", "")).encode()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (["/?query=SELECT", "Content-Encoding: zstd"], 500),
        (["/?query=SELECT", "Content-Encoding: gzip"], 500),
        (["/?query=SELECT&user=nobody"], 403),
        (["/ping"], 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_body_is_taken_for_the_next_request(
    clickhouse: RunningClickHouse, request_head: list[str], status: int, method: str
) -> None:
    """Whatever is answered, and however its length is told; the request behind it is answered too."""
    length, behind = len(LOOKS_LIKE_ONE), head("/ping", method="GET")
    whole = head(*request_head, f"Content-Length: {length}", method=method) + LOOKS_LIKE_ONE
    assert statuses(clickhouse, whole + behind) == [status, 200]
    chunk = b"%x;a=b\r\n%s\r\n" % (length, LOOKS_LIKE_ONE)
    chunked = head(*request_head, "Transfer-Encoding: chunked", method=method) + chunk * 2 + b"0\r\n\r\n"
    assert statuses(clickhouse, chunked + behind) == [status, 200]


@pytest.mark.parametrize(
    "header", ["Content-Length: some", "Content-Length: -1", f"Content-Length: {1 << 40}", "Transfer-Encoding: chunked"]
)
def test_a_body_without_an_end_is_the_last_of_its_connection(clickhouse: RunningClickHouse, header: str) -> None:
    assert statuses(clickhouse, head("/", header) + LOOKS_LIKE_ONE) == [400]


def test_of_a_body_that_breaks_off_nothing_is_stored(clickhouse: RunningClickHouse, database: str) -> None:
    with clickhouse.client(database) as client:
        client.command(MAKE)
        insert = f"/?user=marketpipeline&password={PASSWORD}&database={database}&query=INSERT%20INTO%20t%20FORMAT%20CSV"
        assert statuses(clickhouse, head(insert, "Content-Length: 12") + b"1,a,\n") == [400]
        assert statuses(clickhouse, head(insert, "Transfer-Encoding: chunked") + b"5\r\n1,a,\n\r\n") == [400]
        assert client.command("SELECT count() FROM t") == 0


@pytest.mark.parametrize("path", ["/?query=SELECT%201", "/?user=marketpipeline&password=wrong&query=SELECT%201"])
def test_without_the_password_nothing(clickhouse: RunningClickHouse, path: str) -> None:
    status, text, headers = request(clickhouse, path)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert "AUTHENTICATION_FAILED" in text


def test_an_insert_that_the_engine_refuses_is_told(clickhouse: RunningClickHouse, database: str) -> None:
    with clickhouse.client(database) as client:
        client.command(MAKE)
        client.command("ALTER TABLE t ADD CONSTRAINT positive CHECK n > 0")
        with pytest.raises(DatabaseError, match="positive"):
            client.insert("t", [(-1, "s", None)], column_names=["n", "s", "x"])
        assert client.command("SELECT count() FROM t") == 0
