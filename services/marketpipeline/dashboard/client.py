"""Questions to the query API, each asked once for all who want to know it at the time."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx

from marketpipeline.errors import RetryableError

__all__ = ["ApiClient", "NoAnswer", "reason"]

_TIMEOUT_SECONDS = 10.0
_KEPT = 256
_FAILED_SECONDS = 2.0
"""An API that is away is not asked more often than this."""


class NoAnswer(RetryableError):
    """The API is away, or has no answer; `status` is what it said, 0 where it said nothing."""

    def __init__(self, text: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(text, retry_after=retry_after)
        self.status = status


class _Kept:
    """An answer, or why there is none, and until when it holds; the lock is for whoever asks meanwhile."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0
        self.value: Any = None
        self.error: NoAnswer | None = None


class ApiClient:
    """Asks an API; an answer is kept for as long as the question says. Each method may be called from any thread."""

    def __init__(self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        self._http = httpx.Client(
            base_url=url, headers=dict(headers), verify=tls or True, timeout=_TIMEOUT_SECONDS, trust_env=False
        )
        self._lock = threading.Lock()
        self._kept: dict[tuple[Any, ...], _Kept] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, path: str, holds: float, **parameters: Any) -> Any:
        """The answer's JSON, at most `holds` seconds old. Raises NoAnswer."""
        wanted = {name: value for name, value in parameters.items() if value is not None}
        key = (path, *sorted(wanted.items()))
        with self._lock:
            kept = self._kept.pop(key, None) or _Kept()
            self._kept[key] = kept
            while len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        with kept.lock:
            if time.monotonic() >= kept.until:
                self._ask(kept, path, wanted, holds)
            if kept.error is not None:
                raise NoAnswer(str(kept.error), kept.error.status, kept.error.retry_after) from kept.error
            return kept.value

    def _ask(self, kept: _Kept, path: str, parameters: Mapping[str, Any], holds: float) -> None:
        try:
            kept.value, kept.error = self._get(path, parameters), None
        except NoAnswer as error:
            kept.error, holds = error, max(_FAILED_SECONDS, error.retry_after or 0.0)
        kept.until = time.monotonic() + holds

    def _get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        try:
            answer = self._http.get(path, params=parameters)
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NoAnswer(f"the API does not answer: {reason(error)}") from error
        if answer.status_code != 200 and not (answer.status_code == 503 and "stores" in body):
            words = body.get("detail") or body.get("title") or "no reason given"
            findings = "; ".join(f"{each['field']} {each['expected']}" for each in body.get("problems", []))
            raise NoAnswer(": ".join(filter(None, (words, findings))), answer.status_code, _wait(answer))
        return body


def reason(error: Exception) -> str:
    """An error in words: its text without the system's number, or its name where it has none."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _wait(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None
