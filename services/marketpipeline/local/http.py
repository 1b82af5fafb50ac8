"""Asking the processes of this machine over HTTP, each with a short time limit."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from marketpipeline.errors import RetryableError

__all__ = ["get_json"]

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is never behind a proxy, whatever the environment says."""


def get_json(url: str, seconds: float = 1.5) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of a GET. Raises RetryableError when there is no answer, or no JSON object."""
    try:
        with _open(url, seconds) as answer:
            status, body = answer.status or 0, answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RetryableError(f"no answer from {url}: {getattr(error, 'reason', error)}") from error
    try:
        content = json.loads(body)
    except ValueError as error:
        raise RetryableError(f"{url} gave no JSON") from error
    if not isinstance(content, dict):
        raise RetryableError(f"{url} gave no JSON object")
    return status, content


def _open(url: str, seconds: float) -> http.client.HTTPResponse | urllib.error.HTTPError:
    """The answer, of whatever status; its body is not read yet."""
    try:
        answer: http.client.HTTPResponse = _opener.open(url, timeout=seconds)
    except urllib.error.HTTPError as error:
        return error
    return answer
