"""What a spec may say wrongly of a store, by kind of sink, and what the sink has to say of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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


def _elsewhere(status: int, code: str) -> Callable[[Any], Mapping[str, Any]]:
    return lambda _: {"region": "eu-north-7", "endpoint": _another_region(status, code)}


REFUSALS: Mapping[str, Sequence[Refusal]] = {
    "clickhouse": [
        Refusal("passwordSecret", "user 'marketpipeline' at 127.0.0.1", "give this user's password", _password),
        Refusal("passwordSecret", "user 'nobody' at 127.0.0.1", "name a user of the server's in url", _nobody),
        Refusal("url", "database 'nowhere' at 127.0.0.1", "create it, or name one", _database("nowhere")),
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
"""Against the real servers, but for AWS' regions: what speaks S3 without being AWS takes any."""
