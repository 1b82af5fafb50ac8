"""Binance's control messages on a WebSocket: subscribe, unsubscribe, list, properties, and their errors.

A stream that does not exist, or that is written in upper case, is acknowledged like any other and never
speaks: so does the real exchange. Both error shapes that the real one sends are sent here: a message that is
not JSON, or has no usable method or id, gets `{"code","msg","id"}`, one whose parameters are wrong gets
`{"error":{"code","msg"},"id"}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.protocols.base import Response
from marketpipeline.simulator.protocols.binance.wire import in_other_unit

__all__ = ["BinanceSession", "open_session"]

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


def open_session(path: str, query: str, max_streams: int) -> BinanceSession | None:
    """`/ws`, `/ws/<stream>[/<stream>…]` and `/stream[?streams=<stream>/…]`, each with `timeUnit`."""
    parameters = parse_qs(query)
    microseconds = parameters.get("timeUnit", [""])[0].upper() == "MICROSECOND"
    if path == "/stream":
        names = parameters.get("streams", [""])[0]
        return BinanceSession(_split(names), max_streams, combined=True, microseconds=microseconds)
    if path == "/ws" or path.startswith("/ws/"):
        return BinanceSession(_split(path[3:]), max_streams, combined=False, microseconds=microseconds)
    return None


def _split(names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names.split("/") if name))


class BinanceSession:
    """See `Session`. A combined connection gets each message wrapped with the name of its stream."""

    def __init__(
        self, streams: Iterable[str], max_streams: int, *, combined: bool = True, microseconds: bool = False
    ) -> None:
        self.combined = combined
        self.microseconds = microseconds
        self._streams = dict.fromkeys(streams)
        self._max_streams = max_streams

    @property
    def streams(self) -> Iterable[str]:
        """See `Session.streams`."""
        return tuple(self._streams)

    def render(self, frame: Frame) -> bytes:
        """See `Session.render`."""
        message = frame.message
        if frame.event_time and frame.microseconds is not self.microseconds:
            message = in_other_unit(frame)
        if self.combined:
            return message
        return message[frame.start : len(message) - (len(frame.message) - frame.end)]

    def carries(self, stream: str, here: bool) -> None:
        """See `Session.carries`: whatever is asked for is acknowledged."""

    def receive(self, message: bytes, now: float = 0.0) -> Response:
        """See `Session.receive`."""
        try:
            request = msgspec.json.decode(message)
        except msgspec.DecodeError as error:
            return _flat_error(3, f"Invalid JSON: {error}", None)
        if not isinstance(request, dict):
            return _flat_error(2, "Invalid request: expected an object", None)
        identity = request.get("id")
        if not _is_id(identity):
            return _flat_error(2, "Invalid request: request ID must be an unsigned integer", None)
        method = request.get("method")
        if method is None:
            return _flat_error(2, "Invalid request: missing field `method`", identity)
        if method not in METHODS:
            known = ", ".join(f"`{known}`" for known in METHODS)
            return _flat_error(2, f"Invalid request: unknown variant `{method}`, expected one of {known}", identity)
        return self._handle(method, request.get("params"), identity)

    def _handle(self, method: str, params: Any, identity: Any) -> Response:
        if method == "LIST_SUBSCRIPTIONS":
            return Response((_result(list(self._streams), identity),))
        if not isinstance(params, list):
            return _nested_error(2, "Invalid request: missing field `params`, expected an array", identity)
        if method == "GET_PROPERTY":
            if params != ["combined"]:
                return _nested_error(0, "Unknown property", identity)
            return Response((_result(self.combined, identity),))
        if method == "SET_PROPERTY":
            return self._set_property(params, identity)
        if not all(isinstance(name, str) for name in params):
            return _nested_error(2, "Invalid request: stream names must be strings", identity)
        if method == "SUBSCRIBE":
            return self._subscribe(params, identity)
        gone = tuple(name for name in dict.fromkeys(params) if name in self._streams)
        for name in gone:
            del self._streams[name]
        return Response((_result(None, identity),), unsubscribe=gone)

    def _subscribe(self, names: list[str], identity: Any) -> Response:
        new = tuple(name for name in dict.fromkeys(names) if name not in self._streams)
        if len(self._streams) + len(new) > self._max_streams:
            return _nested_error(2, f"Invalid request: more than {self._max_streams} streams", identity)
        self._streams.update(dict.fromkeys(new))
        return Response((_result(None, identity),), subscribe=new)

    def _set_property(self, params: list[Any], identity: Any) -> Response:
        if not params or not isinstance(params[0], str):
            return _nested_error(2, "Invalid request: property name must be a string", identity)
        if params[0] != "combined":
            return _nested_error(0, "Unknown property", identity)
        if len(params) > 2:
            return _nested_error(2, "Invalid request: too many parameters", identity)
        if len(params) < 2 or not isinstance(params[1], bool):
            return _nested_error(1, "Invalid value type: expected Boolean", identity)
        self.combined = params[1]
        return Response((_result(None, identity),))


def _is_id(identity: Any) -> bool:
    if identity is None:
        return True
    if isinstance(identity, bool):
        return False
    if isinstance(identity, int):
        return -(1 << 63) <= identity < 1 << 63
    return isinstance(identity, str) and identity.isalnum() and len(identity) <= 36


def _result(result: Any, identity: Any) -> bytes:
    return msgspec.json.encode({"result": result, "id": identity})


def _flat_error(code: int, message: str, identity: Any) -> Response:
    return Response((msgspec.json.encode({"code": code, "msg": message, "id": identity}),))


def _nested_error(code: int, message: str, identity: Any) -> Response:
    return Response((msgspec.json.encode({"error": {"code": code, "msg": message}, "id": identity}),))
