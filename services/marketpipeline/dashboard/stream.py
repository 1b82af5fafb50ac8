"""The API's stream, followed by a thread: reconnects by itself, and goes on where it was."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from marketpipeline.backoff import Backoff
from marketpipeline.dashboard.client import reason
from marketpipeline.dashboard.market import Row

__all__ = ["Stream"]

_log = logging.getLogger(__name__)

_LISTEN_SECONDS = 1.0
_IDLE_SECONDS = 0.2
_OPEN_SECONDS = 10.0
_SILENT_SECONDS = 45.0
_EXPECTED = (OSError, WebSocketException, msgspec.MsgspecError)
_LARGEST = 64 << 20
"""Bytes of a message: a snapshot of a thousand symbols has some."""


class _Message(msgspec.Struct):
    type: str
    id: str | None = None
    live: bool | None = None
    records: list[dict[str, Any]] = []


_decode = msgspec.json.Decoder(_Message).decode


class Stream(threading.Thread):
    """Hands what is streamed of `kinds` to `take`; `begun` is told when what comes first is a snapshot.

    After such a beginning something may have been missed. `wanted` is asked each second at least which symbols to
    follow, all of them being None; with none there is no connection. Where `failed` is given it is told when the
    stream ends, which then goes on with a snapshot, and not where it was.
    """

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        tls: ssl.SSLContext | None,
        kinds: Iterable[str],
        take: Callable[[list[Row]], None],
        begun: Callable[[], None],
        wanted: Callable[[], frozenset[str] | None] = lambda: None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name="stream", daemon=True)
        self._url, self._headers, self._tls = url, headers, tls
        self._kinds = ",".join(kinds)
        self._take, self._begun, self._wanted, self._when_failed = take, begun, wanted, failed
        self._stopping = threading.Event()
        self._symbols: frozenset[str] | None = frozenset()
        self._last_id: str | None = None
        self.problem: str | None = "not connected yet"
        """Why nothing comes; None while the stream is there and the broker behind it too."""

    def stop(self) -> None:
        """Have it end; it takes up to a second."""
        self._stopping.set()

    def run(self) -> None:
        """Follow, whatever happens to the API."""
        backoff = Backoff(0.2, 5.0)
        while not self._stopping.is_set():
            if (symbols := self._wanted()) != self._symbols:
                self._symbols, self._last_id = symbols, None
            if self._symbols == frozenset():
                self._stopping.wait(_IDLE_SECONDS)
                continue
            try:
                self._follow(backoff)
            except Exception as error:  # noqa: BLE001 - without this thread every page would stand still and say live
                if not isinstance(error, _EXPECTED):
                    _log.exception("what the stream told was not understood")
                self._failed(error)
                self._stopping.wait(backoff.next())

    def _follow(self, backoff: Backoff) -> None:
        with connect(
            self._address(),
            additional_headers=self._headers,
            ssl=self._tls,
            open_timeout=_OPEN_SECONDS,
            close_timeout=1.0,
            ping_timeout=_SILENT_SECONDS,
            max_size=_LARGEST,
            compression=None,
            proxy=None,
        ) as socket:
            while not self._stopping.is_set() and self._wanted() == self._symbols:
                try:
                    text = socket.recv(_LISTEN_SECONDS, decode=False)
                except TimeoutError:
                    continue
                self._hear(_decode(text))
                backoff.reset()

    def _address(self) -> str:
        wanted = {"kinds": self._kinds}
        if self._symbols is not None:
            wanted["symbols"] = ",".join(sorted(self._symbols))
        if self._last_id is not None:
            wanted["last_id"] = self._last_id
        return f"{self._url}?{urlencode(wanted)}"

    def _hear(self, message: _Message) -> None:
        self._last_id = message.id or self._last_id
        if message.live is not None:
            self.problem = None if message.live else "the API has lost its broker"
        if message.type == "snapshot":
            self._begun()
        if message.records:
            self._take(message.records)  # type: ignore[arg-type]  # a list of what is read only

    def _failed(self, error: Exception) -> None:
        words = reason(error)
        if isinstance(error, InvalidStatus):
            words = f"the API refuses the stream with {error.response.status_code}"
        if self.problem is None:
            _log.warning("the stream has ended", extra={"error": words})
        self.problem = words
        if self._when_failed is not None:
            self._last_id = None
            self._when_failed()
