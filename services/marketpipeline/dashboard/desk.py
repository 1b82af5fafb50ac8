"""What all viewers of a process share: the stream's two threads, what they have told, and the questions to the API.

The books with their levels are followed for the symbols that somebody looks at, all else for every symbol, so that
another symbol is on the screen at once.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from marketpipeline.dashboard.client import ApiClient, NoAnswer
from marketpipeline.dashboard.market import Market, Row
from marketpipeline.dashboard.stream import Stream
from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.settings import DashboardSettings
from marketpipeline.topics import Feed

__all__ = ["Desk"]

_STREAM = "/api/v1/stream"
_WATCHED_SECONDS = 60.0
_CANDLES, _ALERTS = 240, 200
_OF_FEED = {
    Feed.BOOK: ("book", "alert"),
    Feed.TRADES: ("candle", "closed-candle", "alert"),
    Feed.TICKERS: ("ticker",),
}


class Desk:
    """Made once a process, between `start` and `close`. Every other method may be called from any thread."""

    def __init__(self, settings: DashboardSettings) -> None:
        self.settings, self.market = settings, Market()
        key = settings.api.key
        headers = {} if key is None else {"X-API-Key": key.get_secret_value()}
        tls = _tls(settings)
        self._client = ApiClient(settings.api.url, headers, tls)
        kinds = dict.fromkeys(kind for feed in settings.feeds for kind in _OF_FEED.get(feed, ()))
        socket = settings.api.url.replace("http", "ws", 1).rstrip("/") + _STREAM
        self._stream = Stream(socket, headers, tls, kinds, self.market.take, self._begun)
        forget = self.market.forget_levels
        self._levels = Stream(socket, headers, tls, ["levels"], self.market.take, forget, self._looked_at, forget)
        self._lock = threading.Lock()
        self._watched: dict[str, float] = {}
        self._filled: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Follow the stream from now on."""
        self._stream.start()
        self._levels.start()

    def close(self) -> None:
        """Stop."""
        self._stream.stop()
        self._levels.stop()
        self._client.close()

    @property
    def problem(self) -> str | None:
        """Why nothing new comes; None while it does."""
        return self._stream.problem

    def watch(self, symbol: str) -> None:
        """Somebody looks at a symbol: for the next minute its levels are followed."""
        if Feed.BOOK not in self.settings.feeds:
            return
        with self._lock:
            self._watched[symbol] = time.monotonic()

    def _looked_at(self) -> frozenset[str]:
        """The symbols that somebody looked at within the minute; the levels of others are forgotten. Asked by the one
        thread that brings levels, so that none come after."""
        now = time.monotonic()
        with self._lock:
            kept = {name: at for name, at in self._watched.items() if now - at < _WATCHED_SECONDS}
            lost, self._watched = len(kept) < len(self._watched), kept
        if lost:
            self.market.forget_levels(besides=frozenset(kept))
        return frozenset(kept)

    def candles(self, symbol: str, interval: str) -> Sequence[Row]:
        """The last candles, the one that forms at the end. Raises NoAnswer where none is known."""

        def ask() -> list[Row]:
            path = f"/api/v1/analytics/klines/{_in_path(symbol)}"
            rows = self._client.ask(path, 1.0, interval=interval, limit=_CANDLES)["candles"]
            return [{"kind": "candle", **row} for row in rows]

        self._fill((symbol, interval), ask, has_some=bool(self.market.candles(symbol, interval)))
        return self.market.candles(symbol, interval)

    def alerts(self) -> Sequence[Row]:
        """The last alerts of all symbols, the newest first. Raises NoAnswer where none is known."""

        def ask() -> list[Row]:
            return [{"kind": "alert", **row} for row in self.ask("analytics/alerts", 1.0, limit=_ALERTS)["alerts"]]

        self._fill(("alerts", ""), ask, has_some=bool(self.market.alerts()))
        return self.market.alerts()

    def of_symbol(self, what: str, symbol: str, holds: float, **parameters: Any) -> Any:
        """The answer of a path below `/api/v1/analytics` that names a symbol. Raises NoAnswer."""
        return self.ask(f"analytics/{what}/{_in_path(symbol)}", holds, **parameters)

    def ask(self, path: str, holds: float, **parameters: Any) -> Any:
        """The answer of a path below `/api/v1`, at most `holds` seconds old. Raises NoAnswer."""
        return self._client.ask(f"/api/v1/{path}", holds, **parameters)

    def _fill(self, what: tuple[str, str], ask: Any, *, has_some: bool) -> None:
        """Ask once for what was before the stream began, and once more when it begins anew."""
        if what in self._filled:
            return
        try:
            self.market.fill(ask())
        except NoAnswer:
            if not has_some:
                raise
        else:
            self._filled.add(what)

    def _begun(self) -> None:
        self._filled.clear()


def _in_path(symbol: str) -> str:
    return quote(symbol, safe=":")


def _tls(settings: DashboardSettings) -> ssl.SSLContext | None:
    """How an API that serves HTTPS is trusted. Raises InvalidInput for certificates that cannot be read."""
    if not settings.api.url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cadata=settings.api.ca)
    except ssl.SSLError as error:
        problem = Problem("api.ca", settings.api.ca, f"must be certificates in PEM form: {error}")
        raise InvalidInput("settings", [problem]) from error
