"""Asking the processes of this machine over HTTP, each with a short time limit."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx

from marketpipeline.errors import RetryableError

__all__ = ["get_json"]


@cache
def _client() -> httpx.Client:
    """One for all threads. Loopback is never behind a proxy, whatever the environment says; the processes come and go,
    so no connection is kept."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0), verify=False)


def get_json(url: str, seconds: float = 1.5) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of a GET. Raises RetryableError when there is no answer, or it is not a JSON object."""
    try:
        answer = _client().get(url, timeout=seconds)
    except httpx.HTTPError as error:
        raise RetryableError(f"no answer from {url}: {str(error) or type(error).__name__}") from error
    try:
        content = json.loads(answer.content)
    except ValueError as error:
        raise RetryableError(f"the answer of {url} is not JSON") from error
    if not isinstance(content, dict):
        raise RetryableError(f"the answer of {url} is not a JSON object")
    return answer.status_code, content
