"""Binance spot, as a server speaks it. Facts: its public API documentation, checked against captures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from marketpipeline.simulator.derived import Derivation, Encoders
from marketpipeline.simulator.events import Event
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.protocols.base import Answer, Limits, MarketView
from marketpipeline.simulator.protocols.binance import encode, rest, wire
from marketpipeline.simulator.protocols.binance.session import BinanceSession, open_session
from marketpipeline.venues.binance import VENUE

__all__ = ["PROTOCOL", "BinanceProtocol"]


class BinanceProtocol:
    """See `WireProtocol`; each method delegates to the module that knows."""

    name = "binance"
    encoders = Encoders(encode.encode_partial, encode.encode_diff, encode.encode_candle, encode.encode_statistics)
    limits = Limits(
        ping_interval=20.0,
        pong_timeout=60.0,
        lifetime=86_400.0,
        messages_per_second=5,
        max_streams=1024,
        weight_per_minute=6000,
    )

    def read(self, due: int, message: bytes) -> Frame | None:
        """See `WireProtocol.read`."""
        return wire.read(due, message)

    def read_rest(self, due: int, url: str, body: bytes) -> Frame | None:
        """See `WireProtocol.read_rest`."""
        return wire.read_rest(due, url, body)

    def events(self, frame: Frame) -> Sequence[Event]:
        """See `WireProtocol.events`."""
        if not frame.stream and frame.kind in (Kind.TRADE, Kind.AGG_TRADE):
            return wire.decode_page(frame)
        return (wire.decode(frame),)

    def diff_symbol(self, stream: str) -> str:
        """See `WireProtocol.diff_symbol`."""
        return wire.diff_symbol(stream)

    def accepts(self, symbol: str) -> bool:
        """See `WireProtocol.accepts`."""
        return VENUE.accepts(symbol)

    def names(self, bases: Sequence[str]) -> Sequence[str]:
        """See `WireProtocol.names`: each against USDT, some against others."""
        return [*(f"{base}USDT" for base in bases), *(f"{base}USDC" for base in bases[:3]), "ETHBTC"]

    def encode(self, due: int, symbol: str, event: Event) -> Frame:
        """See `WireProtocol.encode`."""
        return encode.encode(due, symbol, event)

    def derive(self, stream: str) -> Derivation | None:
        """See `WireProtocol.derive`."""
        return wire.derive(stream)

    def malform(self, frame: Frame) -> list[Frame]:
        """See `WireProtocol.malform`."""
        return encode.malform(frame)

    def opening(self, stream: str, market: MarketView, now: int) -> Sequence[Frame]:
        """See `WireProtocol.opening`: books start with a REST snapshot."""
        return ()

    def spoil(self, frame: Frame, value: str) -> Frame | None:
        """See `WireProtocol.spoil`."""
        return encode.spoil(frame, value)

    def open(self, path: str, query: str, max_streams: int, market: MarketView) -> BinanceSession | None:
        """See `WireProtocol.open`."""
        return open_session(path, query, max_streams)

    def shutdown_notice(self, now: int) -> Frame:
        """See `WireProtocol.shutdown_notice`."""
        payload = msgspec.json.encode({"e": "serverShutdown", "E": now // 1000})
        wrapper = b'{"stream":"!serverShutdown","data":'
        message = wrapper + payload + b"}"
        return Frame(0, "!serverShutdown", "", Kind.OTHER, 0, message, len(wrapper), len(message) - 1)

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """See `WireProtocol.weight`."""
        return rest.weight(path, query)

    def weight_headers(self, used: int) -> Mapping[str, str]:
        """See `WireProtocol.weight_headers`."""
        return {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}

    def limited(self, banned: bool, retry_after: int, now: int) -> Answer:
        """See `WireProtocol.limited`."""
        return rest.limited(banned, retry_after, now)

    def answer(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], market: MarketView, now: int
    ) -> Answer:
        """See `WireProtocol.answer`."""
        microseconds = headers.get("X-MBX-TIME-UNIT", "").upper() == "MICROSECOND"
        return rest.answer(path, query, microseconds, market, now)


PROTOCOL = BinanceProtocol()
