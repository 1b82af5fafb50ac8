"""The unit that travels through the exchange: one message of one stream, with the time it is due."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "Frame", "Kind", "header"]

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
"""Opcodes of RFC 6455."""


class Kind(IntEnum):
    """What a frame says of the market, as far as the exchange has to remember it."""

    OTHER = 0
    DIFF = 1
    TRADE = 2
    AGG_TRADE = 3
    QUOTE = 4
    SNAPSHOT = 5


class Frame:
    """One message. Slots and no checks: there are hundreds of thousands a second.

    `due` is in nanoseconds on the source's own clock (a capture's receive time). `message` is the whole text
    as a combined connection gets it; its payload, which a bare connection gets, is `message[start:end]`.
    `event_time` is the exchange's, in microseconds, 0 where the message has none; `microseconds` tells
    whether the times in the message are in that unit, else they are in milliseconds. A SNAPSHOT is not a message of
    a stream: it is the book that REST gave at that moment, and only the market sees it.
    """

    __slots__ = ("due", "end", "event_time", "kind", "message", "microseconds", "start", "stream", "symbol")

    def __init__(
        self,
        due: int,
        stream: str,
        symbol: str,
        kind: Kind,
        event_time: int,
        message: bytes,
        start: int,
        end: int,
        microseconds: bool = False,
    ) -> None:
        self.due = due
        self.stream = stream
        self.symbol = symbol
        self.kind = kind
        self.event_time = event_time
        self.message = message
        self.start = start
        self.end = end
        self.microseconds = microseconds

    @property
    def payload(self) -> bytes:
        """The message without the wrapper that names the stream."""
        return self.message[self.start : self.end]

    def __repr__(self) -> str:
        return f"Frame({self.due}, {self.stream!r}, {self.kind.name}, {self.payload[:60]!r})"


def _header(opcode: int, length: int) -> bytes:
    first = bytes((0x80 | opcode,))
    if length < 126:
        return first + bytes((length,))
    if length < 1 << 16:
        return first + b"\x7e" + length.to_bytes(2, "big")
    return first + b"\x7f" + length.to_bytes(8, "big")


_TEXT_HEADERS = [_header(TEXT, length) for length in range(4096)]


def header(length: int, opcode: int = TEXT) -> bytes:
    """The header of an unmasked, final WebSocket frame.

    Messages of a market are framed here and written in batches of one `write` each, because a call of the
    library and of the kernel per message costs more than all the rest (docs/decisions/0040).
    """
    if opcode == TEXT and length < 4096:
        return _TEXT_HEADERS[length]
    return _header(opcode, length)
