"""Flink's own REST interface, asked over the loopback."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from marketpipeline.errors import RetryableError

__all__ = ["FlinkRest"]

_TIMEOUT_SECONDS = 5.0
_NAMES_AT_ONCE = 50
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The loopback is never reached through a proxy, whatever the environment says."""


class FlinkRest:
    """What is asked of a running job. Raises RetryableError when Flink does not answer."""

    def __init__(self, port: int, job: str) -> None:
        self._base = f"http://127.0.0.1:{port}/jobs/{job}"
        self._names: dict[str, list[str]] = {}

    def job(self) -> Any:
        """State of the job and of its tasks: `state`, `vertices` with `id`, `name`, `status`."""
        return self._get("")

    def checkpoints(self) -> Any:
        """Counts and the latest checkpoints."""
        return self._get("/checkpoints")

    def failure(self) -> str:
        """The exception that the job failed with last; empty when it has not."""
        entries = self._get("/exceptions?maxExceptions=1").get("exceptionHistory", {}).get("entries", [])
        stack = str(entries[0].get("stacktrace", "")) if entries else ""
        causes = [line.removeprefix("Caused by: ") for line in stack.splitlines() if line.startswith("Caused by: ")]
        return (causes or stack.splitlines() or [""])[-1]

    def metric_names(self, vertex: str, *, again: bool = True) -> list[str]:
        """Names of the metrics of a task, `<subtask>.<operator>.<metric>`; the last ones unless asked `again`."""
        if again or vertex not in self._names:
            self._names[vertex] = [entry["id"] for entry in self._get(f"/vertices/{vertex}/metrics")]
        return self._names[vertex]

    def metrics(self, vertex: str, names: list[str]) -> dict[str, float]:
        """Values by name; what is no number is left out. Asked for in parts: a URL has a greatest length."""
        found = {}
        for first in range(0, len(names), _NAMES_AT_ONCE):
            query = quote(",".join(names[first : first + _NAMES_AT_ONCE]), safe=",")
            for entry in self._get(f"/vertices/{vertex}/metrics?get={query}"):
                try:
                    found[entry["id"]] = float(entry["value"])
                except (KeyError, ValueError):
                    continue
        return found

    def _get(self, path: str) -> Any:
        try:
            with _OPENER.open(f"{self._base}{path}", timeout=_TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except (OSError, ValueError, HTTPException, urllib.error.URLError) as error:
            raise RetryableError(f"Flink does not answer: {error}") from error
