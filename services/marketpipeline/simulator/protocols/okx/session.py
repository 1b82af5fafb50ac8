"""OKX's control messages on a WebSocket: each argument of a subscription is answered by itself.

What does not exist, or is served at the other address, gets an error that names it in its text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.protocols.base import MarketView, Response
from marketpipeline.simulator.protocols.okx.wire import CHANNELS

__all__ = ["OkxSession", "open_session"]

PATHS = {"/ws/v5/public": "public", "/ws/v5/business": "business"}
REQUESTS, HOUR = 480, 3600.0
"""Requests of a connection in an hour."""
CONNECTION = "a4d3ae55"


def open_session(path: str, market: MarketView) -> OkxSession | None:
    """`/ws/v5/public` and `/ws/v5/business`."""
    return OkxSession(PATHS[path], market) if path in PATHS else None


class OkxSession:
    """See `Session`."""

    def __init__(self, address: str, market: MarketView) -> None:
        self._channels = CHANNELS[address]
        self._market = market
        self._streams: dict[str, None] = {}
        self._requests: deque[float] = deque()
        self._moved: dict[str, bool] = {}

    @property
    def streams(self) -> Iterable[str]:
        """See `Session.streams`."""
        return tuple(self._streams)

    def carries(self, stream: str, here: bool) -> None:
        """See `Session.carries`."""
        self._moved[stream] = here

    def render(self, frame: Frame) -> bytes:
        """See `Session.render`."""
        return frame.message

    def receive(self, message: bytes, now: float = 0.0) -> Response:
        """See `Session.receive`."""
        if message == b"ping":
            return Response((b"pong",))
        try:
            request = msgspec.json.decode(message)
        except msgspec.DecodeError:
            request = None
        if not isinstance(request, dict) or request.get("op") not in ("subscribe", "unsubscribe"):
            return Response((_error("60012", f"Invalid request: {message[:200].decode(errors='replace')}"),))
        arguments = request.get("args")
        if not isinstance(arguments, list) or not arguments or not all(isinstance(one, dict) for one in arguments):
            return Response((_error("60013", "Invalid args"),))
        while self._requests and self._requests[0] <= now - HOUR:
            self._requests.popleft()
        if len(self._requests) >= REQUESTS:
            return Response((_error("60014", "Requests too frequent"),))
        self._requests.append(now)
        return self._subscribe(arguments) if request["op"] == "subscribe" else self._unsubscribe(arguments)

    def _subscribe(self, arguments: list[dict[str, Any]]) -> Response:
        listed = set(self._market.symbols())
        replies: list[bytes] = []
        new: list[str] = []
        for argument in arguments:
            channel, name = str(argument.get("channel", "")), str(argument.get("instId", ""))
            known = self._channels.fullmatch(channel) is not None
            here = self._moved.get(f"{channel}:{name}", self._moved.get("", known))
            if not here or name not in listed:
                said = (
                    f"Wrong URL or channel:{channel},instId:{name} doesn't exist. Please use the correct URL, channel "
                )
                replies.append(_error("60018", said + "and parameters referring to API document."))
                continue
            replies.append(_event("subscribe", argument))
            if f"{channel}:{name}" not in self._streams:
                new.append(f"{channel}:{name}")
        self._streams.update(dict.fromkeys(new))
        return Response(tuple(replies), subscribe=tuple(new))

    def _unsubscribe(self, arguments: list[dict[str, Any]]) -> Response:
        names = [f"{argument.get('channel', '')}:{argument.get('instId', '')}" for argument in arguments]
        gone = tuple(name for name in dict.fromkeys(names) if name in self._streams)
        for name in gone:
            del self._streams[name]
        return Response(tuple(_event("unsubscribe", argument) for argument in arguments), unsubscribe=gone)


def _event(event: str, argument: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"event": event, "arg": argument, "connId": CONNECTION})


def _error(code: str, text: str) -> bytes:
    return msgspec.json.encode({"event": "error", "code": code, "msg": text, "connId": CONNECTION})
