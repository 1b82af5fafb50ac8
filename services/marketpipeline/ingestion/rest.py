"""REST over HTTP: the only module here that sends requests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from marketpipeline.errors import RetryableError
from marketpipeline.ingestion.route import Route
from marketpipeline.venues.adapter import ExchangeAdapter, RestRequest

__all__ = ["RestClient"]

T = TypeVar("T")

SECONDS = 10.0
CONNECTIONS = 8


class RestClient:
    """GETs of one exchange. `base` is its REST endpoint without a path."""

    def __init__(self, base: str, user_agent: str, route: Route) -> None:
        self._base = base.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=SECONDS,
            limits=httpx.Limits(max_connections=CONNECTIONS),
            headers={"User-Agent": user_agent},
            trust_env=False,
            proxy=route.proxy,
            verify=route.tls or True,
        )

    async def get(self, request: RestRequest[Any]) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers (names in lower case) and body of the answer. Raises RetryableError when there is none."""
        try:
            answer = await self._client.get(
                self._base + request.path, params=list(request.params), headers=dict(request.headers)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RetryableError(f"{request.path}: {str(error) or type(error).__name__}") from error
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content

    async def fetch(self, request: RestRequest[T], adapter: ExchangeAdapter) -> T:
        """What the answer says. Raises what `adapter` makes of another answer, and FrameError."""
        status, headers, body = await self.get(request)
        adapter.judge(status, headers, body)
        return request.read(body, time.time_ns() // 1000)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()
