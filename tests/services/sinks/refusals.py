"""What a spec may say wrongly of a store, by kind of sink, and what the sink has to say of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

__all__ = ["REFUSALS", "WRONG", "Refusal"]

WRONG = "not-the-secret"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The field of the spec that is wrong, what has to be told of it, and settings that are wrong in it."""

    field: str
    value: str
    remedy: str
    changes: Callable[[Any], Mapping[str, Any]]


def _password(_: Any) -> dict[str, Any]:
    return {"password": SecretStr(WRONG)}


def _nobody(settings: Any) -> dict[str, Any]:
    scheme, _, rest = settings.url.partition("://")
    return {"url": f"{scheme}://nobody@{rest.rpartition('@')[2]}"}


def _database(name: str) -> Callable[[Any], Mapping[str, Any]]:
    return lambda settings: {"url": "/".join([*settings.url.split("/")[:3], name])}


def _another_key(_: Any) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"private_key": SecretStr(key.private_bytes(*form).decode()), "user": "SOMEBODY"}


@cache
def _another_region(status: int, code: str) -> str:
    """A server that answers as AWS does for a bucket of another region, with a redirect that says not where to."""
    body = (
        f"<Error><Code>{code}</Code><Message>the region is wrong; expecting 'eu-central-1'</Message></Error>".encode()
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_HEAD = do_POST = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


@cache
def _without_rights(url: str) -> str:
    """The real server, by a way on which nothing may be made: the engine in a process knows no user's rights."""
    target = urlsplit(url)
    said = b"Code: 497. DB::Exception: marketpipeline: Not enough privileges. (ACCESS_DENIED)\n"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if b"CREATE TABLE" in body:
                self._answer(403, {"X-ClickHouse-Exception-Code": "497"}, said)
                return
            there = HTTPConnection(str(target.hostname), target.port or 0)
            there.request(self.command, self.path, body, dict(self.headers))
            found = there.getresponse()
            self._answer(found.status, dict(found.getheaders()), found.read())

        do_GET = do_POST  # noqa: N815 - http.server's names

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in ({**headers, "Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{target.username}@127.0.0.1:{server.server_port}{target.path}"


def _may_do_nothing(settings: Any) -> dict[str, Any]:
    """A user of the real cache with this password and no rights."""
    password = settings.password.get_secret_value()
    with redis.Redis.from_url(settings.url, password=password) as client:
        client.acl_setuser("powerless", enabled=True, passwords=[f"+{password}"], commands=["-@all"])
    return {"url": settings.url.replace("redis://", "redis://powerless@")}


def _elsewhere(status: int, code: str) -> Callable[[Any], Mapping[str, Any]]:
    return lambda _: {"region": "eu-north-7", "endpoint": _another_region(status, code)}


REFUSALS: Mapping[str, Sequence[Refusal]] = {
    "clickhouse": [
        Refusal("passwordSecret", "user 'marketpipeline' at 127.0.0.1", "give this user's password", _password),
        Refusal("passwordSecret", "user 'nobody' at 127.0.0.1", "name a user of the server's in url", _nobody),
        Refusal("url", "database 'nowhere' at 127.0.0.1", "create it, or name one", _database("nowhere")),
        Refusal("url", "user 'marketpipeline'", "GRANT it what", lambda given: {"url": _without_rights(given.url)}),
    ],
    "timescale": [
        Refusal("passwordSecret", "user 'marketpipeline' at 127.0.0.1", "give this user's password", _password),
        Refusal("passwordSecret", "user 'nobody' at 127.0.0.1", "name a role of the server in url", _nobody),
        Refusal("passwordSecret", "user 'marketpipeline'", "name the Secret", lambda _: {"password": None}),
        Refusal("url", "database 'nowhere' at 127.0.0.1", "create it, or name one", _database("nowhere")),
        Refusal("url", "'postgresql://x?none=1'", "postgresql://user@host", lambda _: {"url": "postgresql://x?none=1"}),
    ],
    "redis": [
        Refusal("passwordSecret", "user 'default' at 127.0.0.1", "give this user's password", _password),
        Refusal("passwordSecret", "user 'nobody' at 127.0.0.1", "name another user in url", _nobody),
        Refusal("passwordSecret", "user 'default'", "give this user's password", lambda _: {"password": None}),
        Refusal("url", "user 'powerless' at 127.0.0.1", "allow it by ACL SETUSER", _may_do_nothing),
        Refusal("url", "'redis://127.0.0.1:", "has fewer databases: name one that it has", _database("99")),
        Refusal("url", "'http://x'", "redis://host[:port]", lambda _: {"url": "http://x"}),
    ],
    "snowflake": [
        Refusal("account", "'nobody-here'", "name an account that there is", lambda _: {"account": "nobody-here"}),
        Refusal("privateKeySecret", "user 'SOMEBODY'", "give the key whose public half", _another_key),
        Refusal("role", "'NOROLE'", "grant it to the user MARKETPIPELINE", lambda _: {"role": "NOROLE"}),
        Refusal("warehouse", "'NOWHERE'", "make it, and GRANT USAGE", lambda _: {"warehouse": "NOWHERE"}),
        Refusal("database", "'NODB'", "make it, and GRANT USAGE", lambda _: {"database": "NODB"}),
        Refusal("schema", "'NOSCHEMA'", "make it, and GRANT USAGE", lambda _: {"schema_name": "NOSCHEMA"}),
    ],
    "lake": [
        Refusal("url", "'s3://elsewhere/x'", "a bucket that is not there", lambda _: {"url": "s3://elsewhere/x"}),
        Refusal(
            "credentialsSecret", "'s3://lake/", "refuses the key", lambda _: {"secret_access_key": SecretStr(WRONG)}
        ),
        Refusal(
            "credentialsSecret", "'s3://lake/", "refuses the key", lambda _: {"access_key_id": SecretStr("nobody")}
        ),
        Refusal("region", "'eu-north-7'", "name the bucket's own", _elsewhere(301, "PermanentRedirect")),
        Refusal("region", "'eu-north-7'", "name the bucket's own", _elsewhere(400, "AuthorizationHeaderMalformed")),
    ],
}
"""Against the real servers, but for AWS' regions and the rights of ClickHouse's users, which no server here knows."""
