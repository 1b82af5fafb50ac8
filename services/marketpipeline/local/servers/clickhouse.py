"""ClickHouse on one machine: its engine in this process (chDB), behind the part of its HTTP interface that clients use.

    python -m marketpipeline.local.servers.clickhouse SETTINGS

There is no package of ClickHouse's server; chDB is the same engine as a library, without an interface. This one takes
statements and inserts in any format, compressed or not, gives results in any format, and answers errors as the server
does: the text of the exception, its code in a header, and the status of a wrong password. A user is checked by name
and password, databases are the engine's. A result is made whole before it is sent; the engine is for one machine.
"""

from __future__ import annotations

import gzip
import hmac
import json
import re
import signal
import sys
import threading
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame

from marketpipeline.local.ports import HOST

__all__ = ["DATABASE", "USER", "main"]

USER = DATABASE = "marketpipeline"

_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)[ \t\r]*(?:\n|$)", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)")


def _lz4(body: bytes) -> bytes:
    """All frames of a body: a client may make one of each block, and `lz4.frame.decompress` reads the first alone."""
    parts = []
    while body:
        frame = lz4.frame.LZ4FrameDecompressor()
        parts.append(frame.decompress(body))
        if not frame.eof:
            raise RuntimeError("it ends within a frame of lz4")
        body = frame.unused_data or b""
    return b"".join(parts)


_UNCOMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, "identity": bytes, "gzip": gzip.decompress, "lz4": _lz4}
_AUTHENTICATION_FAILED = 516
_LARGEST, _LONGEST_LINE = 1 << 30, 65_536
"""Bytes of a body, and of a line between its chunks."""
_OF_THE_INTERFACE = re.compile(
    "buffer_size|client_protocol_version|(de)?compress|database|default_format|enable_http_compression|password|query(_id)?"
    "|http_headers_progress_interval_ms|quota_key|role|send_progress_in_http_headers|session_.*|user|wait_end_of_query"
    "|param_.*"
)
"""Parameters of a request that are no settings of the engine."""


class _Refused(Exception):
    """What a request is answered with: ClickHouse's code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text if text.startswith("Code: ") else f"Code: {code}. DB::Exception: {text}")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Engine:
    """The engine over its folder. Each request is a session of its own, and they run side by side.

    Data of an insert go through a file: the engine's own way to take them from memory says that rows are written, and
    raises nothing, when a constraint or a full disk has refused them (chDB 26.9).
    """

    folder: str

    def run(self, parameters: Mapping[str, str], body: bytes) -> bytes:
        """The result of a statement, or of an insert, which has none. Raises _Refused."""
        statement, data = _parts(parameters.get("query", "").encode(), body)
        values = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
        try:
            with closing(chdb.connect(self.folder)) as session:
                for preamble in _preambles(parameters):
                    session.query(preamble)
                if (found := _INSERT.fullmatch(statement)) is not None:
                    with NamedTemporaryFile(dir=Path(self.folder).parent, suffix=".insert") as file:
                        file.write(data)
                        file.flush()
                        session.query(f"{found[1].decode()} FROM INFILE '{file.name}' FORMAT {found[2].decode()}")
                    return b""
                output = parameters.get("default_format", "TabSeparated")
                return bytes(session.query(statement.decode(), output, params=values).bytes())
        except RuntimeError as error:
            text = re.sub(r"^.*?(?=Code: )", "", str(error), count=1, flags=re.DOTALL)
            code = _CODE.match(text)
            raise _Refused(int(code[1]) if code else 1002, text) from error


def _parts(query: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The statement, and the data that follow it; both may be in the body."""
    if query:
        return query, body
    found = _INSERT.match(body)
    return (body[: found.end()], body[found.end() :]) if found else (body, b"")


def _preambles(parameters: Mapping[str, str]) -> Iterator[str]:
    if database := parameters.get("database"):
        yield f"USE `{database}`"
    for name, value in parameters.items():
        if not _OF_THE_INTERFACE.fullmatch(name):
            yield f"SET {name} = '{value}'"


def _length(text: str, base: int, most: int = _LARGEST) -> int:
    """How many bytes a client says that come. Raises ValueError for no number, or more than `most`."""
    digits = text.strip()
    if not re.fullmatch("[0-9]+" if base == 10 else "[0-9a-fA-F]+", digits) or (size := int(digits, base)) > most:
        raise ValueError(f"{digits[:80]!r} is not a number of bytes up to {most}")
    return size


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    engine: _Engine
    password: str

    def do_POST(self) -> None:
        """Answer when the whole request is here: what is left of a body would be taken for the next request."""
        try:
            body = self._body()
        except ValueError as error:
            self.send_error(400, explain=str(error))  # closes the connection: where a next request begins is not known
            return
        try:
            body = _UNCOMPRESS[self.headers.get("Content-Encoding", "")](body)
        except (KeyError, OSError, RuntimeError, EOFError, zlib.error) as error:
            self._refuse(_Refused(432, f"Cannot read the body: {error!r}; known encodings: gzip, lz4"))
            return
        if urlsplit(self.path).path == "/ping":
            self._answer(200, b"Ok.\n")
        else:
            self._serve(body)

    def do_GET(self) -> None:
        """A request with no body, or with one."""
        self.do_POST()

    def _serve(self, body: bytes) -> None:
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            self._authenticate(parameters)
            self._answer(200, self.engine.run(parameters, body))
        except _Refused as refused:
            self._refuse(refused)

    def _authenticate(self, parameters: Mapping[str, str]) -> None:
        user, password = parameters.get("user", ""), parameters.get("password", "")
        if (header := self.headers.get("Authorization", "")).startswith("Basic "):
            user, _, password = b64decode(header[6:]).decode().partition(":")
        if user != USER or not hmac.compare_digest(password.encode(), self.password.encode()):
            text = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            raise _Refused(_AUTHENTICATION_FAILED, f"{text} (AUTHENTICATION_FAILED)")

    def _body(self) -> bytes:
        """All of it. Raises ValueError for one whose end cannot be told, or that ends before it."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self._read(_length(self.headers.get("Content-Length", "0"), 10))
        return body

    def _chunks(self) -> Iterator[bytes]:
        left = _LARGEST
        while size := _length(self.rfile.readline(_LONGEST_LINE).partition(b";")[0].decode("latin-1"), 16, left):
            left -= size
            yield self._read(size)
            self._read(2)
        while self.rfile.readline(_LONGEST_LINE).strip():
            """Trailers are of no interest."""

    def _read(self, size: int) -> bytes:
        found = self.rfile.read(size)
        if len(found) < size:
            raise ValueError(f"the body ends {size - len(found)} bytes too early")
        return found

    def _refuse(self, refused: _Refused) -> None:
        status = 403 if refused.code == _AUTHENTICATION_FAILED else 404 if refused.code in (60, 81) else 500
        self._answer(status, f"{refused}\n".encode(), {"X-ClickHouse-Exception-Code": str(refused.code)})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"X-ClickHouse-Timezone": "UTC", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A run has no use for a line a request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> int:
    """Serve until SIGTERM; requests that run are finished by then, or undone by the engine's next start."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    keeper = chdb.connect(settings["folder"])
    keeper.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    handler = type("Handler", (_Handler,), {"engine": _Engine(settings["folder"]), "password": settings["password"]})
    server = _Server((HOST, settings["port"]), handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        server.serve_forever(poll_interval=0.1)
    keeper.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
