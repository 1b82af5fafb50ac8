"""OKX v5, as a server speaks it. Facts: its public API documentation, checked against a capture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marketpipeline.simulator.derived import Derivation, Encoders
from marketpipeline.simulator.events import Event
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.protocols.base import Answer, Limits, MarketView
from marketpipeline.simulator.protocols.okx import encode, rest, wire
from marketpipeline.simulator.protocols.okx.session import OkxSession, open_session
from marketpipeline.venues.okx import VENUE

__all__ = ["PROTOCOL", "OkxProtocol"]

BOOK_LEVELS = 400


class OkxProtocol:
    """See `WireProtocol`; each method delegates to the module that knows."""

    name = "okx"
    encoders = Encoders(
        encode.encode_partial, encode.encode_diff, encode.encode_candle, encode.encode_statistics, encode.encode_trade
    )
    limits = Limits(
        ping_interval=None,
        pong_timeout=60.0,
        lifetime=86_400.0,
        messages_per_second=100,
        max_streams=100_000,
        weight_per_minute=1200,
        idle_timeout=30.0,
        connects_per_second=3,
    )

    def read(self, due: int, message: bytes) -> Frame | None:
        """See `WireProtocol.read`."""
        return wire.read(due, message)

    def read_rest(self, due: int, url: str, body: bytes) -> Frame | None:
        """See `WireProtocol.read_rest`."""
        return wire.read_rest(due, url, body)

    def events(self, frame: Frame) -> Sequence[Event]:
        """See `WireProtocol.events`."""
        return wire.decode(frame)

    def diff_symbol(self, stream: str) -> str:
        """See `WireProtocol.diff_symbol`: a book starts with what is pushed."""
        return ""

    def accepts(self, symbol: str) -> bool:
        """See `WireProtocol.accepts`."""
        return VENUE.accepts(symbol)

    def names(self, bases: Sequence[str]) -> Sequence[str]:
        """See `WireProtocol.names`: each against USDT, the first ones as contracts too."""
        swaps = [f"{base}-{quote}-SWAP" for base in bases[:3] for quote in ("USDT", "USD")]
        return [*(f"{base}-USDT" for base in bases), "ETH-BTC", *swaps]

    def encode(self, due: int, symbol: str, event: Event) -> Frame:
        """See `WireProtocol.encode`."""
        return encode.encode(due, symbol, event)

    def derive(self, stream: str) -> Derivation | None:
        """See `WireProtocol.derive`."""
        return wire.derive(stream)

    def malform(self, frame: Frame) -> list[Frame]:
        """See `WireProtocol.malform`."""
        return encode.malform(frame)

    def spoil(self, frame: Frame, value: str) -> Frame | None:
        """See `WireProtocol.spoil`."""
        return encode.spoil(frame, value)

    def opening(self, stream: str, market: MarketView, now: int) -> Sequence[Frame]:
        """See `WireProtocol.opening`: the book as it is now, once it is known."""
        channel, _, name = stream.partition(":")
        if channel != "books" or name not in market.symbols() or not market.seeded(name):
            return ()
        return (encode.snapshot(now * 1000, name, market.depth(name, BOOK_LEVELS), now),)

    def open(self, path: str, query: str, max_streams: int, market: MarketView) -> OkxSession | None:
        """See `WireProtocol.open`."""
        return open_session(path, market)

    def shutdown_notice(self, now: int) -> Frame:
        """See `WireProtocol.shutdown_notice`."""
        text = (
            b'{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
            b'Please reconnect.","connId":"a4d3ae55"}'
        )
        return Frame(0, "", "", Kind.OTHER, 0, text, 0, len(text))

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """See `WireProtocol.weight`."""
        return rest.weight(path)

    def weight_headers(self, used: int) -> Mapping[str, str]:
        """See `WireProtocol.weight_headers`: it does not tell."""
        return {}

    def limited(self, banned: bool, retry_after: int, now: int) -> Answer:
        """See `WireProtocol.limited`."""
        return rest.limited()

    def answer(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], market: MarketView, now: int
    ) -> Answer:
        """See `WireProtocol.answer`."""
        return rest.answer(path, query, market, now)


PROTOCOL = OkxProtocol()
