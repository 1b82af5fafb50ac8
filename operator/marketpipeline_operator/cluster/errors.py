"""What the API server says, as errors to be chosen by type.

RetryableError
├── Unavailable     not reached, overloaded, or it failed itself
├── Conflict        somebody else was quicker, or owns what is to be changed
└── Forbidden       no right, or a quota: neither changes by an event that the operator sees, so it tries again
PermanentError
├── Invalid         refused for what it says; the same will be refused again
└── KindMissing     the cluster does not serve this kind
"""

from __future__ import annotations

import contextlib
import json

from marketpipeline.errors import PermanentError, RetryableError

__all__ = ["Conflict", "Forbidden", "Invalid", "KindMissing", "Unavailable", "error_of"]


_UNSERVED = ("404 page not found", "could not find the requested resource")
"""How the API server says that it knows no such kind; of an object that is absent it says its name."""


class Unavailable(RetryableError):
    """The API server could not answer now."""


class Conflict(RetryableError):
    """The object is not as expected."""


class Forbidden(RetryableError):
    """Not allowed, for now."""


class Invalid(PermanentError):
    """The API server refuses the object itself."""


class KindMissing(PermanentError):
    """The cluster does not serve this kind of object, or the object itself is gone."""


def error_of(status: int, body: bytes, what: str, retry_after: str | None = None) -> RetryableError | PermanentError:
    """The error for an answer of the API server; `what` says what was tried, the server's own words are kept."""
    message = f"{what}: {_words(body) or f'status {status}'}"
    if status == 409:
        return Conflict(message)
    if status == 403:
        return Forbidden(message)
    if status == 404:
        unserved = any(words in message for words in _UNSERVED)
        return KindMissing(f"{what}: the cluster does not serve this kind of object" if unserved else message)
    if status in (400, 405, 406, 413, 415, 422):
        return Invalid(message)
    delay = float(retry_after) if retry_after and retry_after.isdigit() else None
    return Unavailable(message, delay)


def _words(body: bytes) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(body).get("message", ""))
    return body[:200].decode(errors="replace")
