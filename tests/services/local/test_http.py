"""Answers of a process that is just ending or just starting: each is the content, or no answer."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from marketpipeline.errors import RetryableError
from marketpipeline.local.http import get_json


@contextmanager
def answering(answer: bytes, *, reset: bool = False) -> Iterator[str]:
    """The URL of a server that gives one answer and hangs up; with `reset` as a killed process does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if not reset:
                    connection.recv(65_536)
                connection.sendall(answer)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/health"
        thread.join(10)


@pytest.mark.parametrize("status", [200, 503])
def test_status_and_content_whatever_the_status(status: int) -> None:
    with answering(b'HTTP/1.1 %d X\r\nContent-Length: 8\r\n\r\n{"a": 1}' % status) as url:
        assert get_json(url) == (status, {"a": 1})


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"a": 1}',
        b'HTTP/1.1 503 No\r\nContent-Length: 90\r\n\r\n{"a": 1}',
    ],
    ids=["nothing", "no-http", "cut-200", "cut-503"],
)
def test_an_answer_that_is_cut_or_none_may_come_later(answer: bytes, reset: bool) -> None:
    with answering(answer, reset=reset) as url, pytest.raises(RetryableError, match="no answer from http"):
        get_json(url)


@pytest.mark.parametrize(("body", "said"), [(b"no", "is not JSON"), (b"[]", "is not a JSON object")])
def test_what_is_not_a_json_object(body: bytes, said: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body
    with answering(answer) as url, pytest.raises(RetryableError, match=f"{said}$"):
        get_json(url)
