"""What an exchange's protocol implements, so that the generic server, replay and simulation can speak it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, runtime_checkable

from marketpipeline.simulator.candles import Candle
from marketpipeline.simulator.derived import Derivation, Encoders
from marketpipeline.simulator.events import AggTrade, BookSnapshot, Event, Quote, Trade
from marketpipeline.simulator.frames import Frame

__all__ = ["Answer", "Limits", "MarketView", "Response", "Session", "WireProtocol"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the real exchange enforces on a connection and an address; settings may override each."""

    ping_interval: float | None
    """Seconds between pings of the server; None where the client has to keep its connection alive."""
    pong_timeout: float
    """Seconds after which a connection that owes a pong is closed."""
    lifetime: float
    """Seconds that a connection may live."""
    messages_per_second: int
    """Incoming messages, pings and pongs included; one more and the connection is closed."""
    max_streams: int
    weight_per_minute: int
    """REST request weight of an address."""
    idle_timeout: float | None = None
    """Seconds of silence on both sides after which a connection is closed; None where that is allowed."""
    connects_per_second: int | None = None
    """New connections of an address; None where they are not counted."""


@dataclass(frozen=True, slots=True)
class Response:
    """What one incoming message leads to: replies, of which there may be one an argument, and streams to start or stop.

    A text ping is answered here too, by its text pong.
    """

    replies: tuple[bytes, ...] = ()
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()


class Session(Protocol):
    """One connection's side of the protocol: what it was opened with, control messages, and how frames are written.

    There is no socket and no clock in it.
    """

    @property
    def streams(self) -> Iterable[str]:
        """What is subscribed now; at the start, what the address asked for."""
        ...

    def receive(self, message: bytes, now: float = 0.0) -> Response:
        """Handle a text message of the client, at `now` in seconds. Never raises: what is wrong gets an error reply."""
        ...

    def carries(self, stream: str, here: bool) -> None:
        """A stream was moved: to this connection's address, or away from it."""
        ...

    def render(self, frame: Frame) -> bytes:
        """A frame's message as this connection gets it, e.g. without its wrapper or in another unit of time."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A REST answer. `snapshot_of` names the symbol whose whole book it carries, empty for every other one."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    snapshot_of: str = ""


class MarketView(Protocol):
    """What REST can be asked of the market; always as of the frames sent so far."""

    def symbols(self) -> Sequence[str]: ...

    def seeded(self, symbol: str) -> bool: ...

    def depth(self, symbol: str, limit: int) -> BookSnapshot: ...

    def trades(self, symbol: str, from_id: int | None, limit: int) -> list[Trade]: ...

    def agg_trades(self, symbol: str, from_id: int | None, limit: int) -> list[AggTrade]: ...

    def quote(self, symbol: str) -> Quote | None: ...

    def day(self, symbol: str) -> Candle | None: ...

    def quote_volume(self, symbol: str) -> Decimal: ...


@runtime_checkable
class WireProtocol(Protocol):
    """One exchange's protocol. `limits` are the real exchange's; `encoders` write the derived streams."""

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def encoders(self) -> Encoders: ...

    def accepts(self, symbol: str) -> bool:
        """Whether the exchange could have a symbol of this form."""
        ...

    def names(self, bases: Sequence[str]) -> Sequence[str]:
        """Symbols of a market in which these currencies are traded, as the exchange writes them."""
        ...

    def encode(self, due: int, symbol: str, event: Event) -> Frame:
        """What happened as the message of the stream that reports it; a snapshot as a frame of its kind."""
        ...

    def derive(self, stream: str) -> Derivation | None:
        """What a stream that follows from others carries; None for the others and for what does not exist."""
        ...

    def malform(self, frame: Frame) -> list[Frame]:
        """Broken copies of a trade's frame."""
        ...

    def spoil(self, frame: Frame, value: str) -> Frame | None:
        """The frame with one value wrong, as `faults.WrongValue` names it; None where it has no such value."""
        ...

    def read(self, due: int, message: bytes) -> Frame | None:
        """A captured line's message as a frame; None for what is not market data (acks, errors, notices).

        A book snapshot that does not name its symbol has an empty `symbol`. Raises ValueError, which says what
        would be right, for anything that is not this exchange's.
        """
        ...

    def read_rest(self, due: int, url: str, body: bytes) -> Frame | None:
        """A captured REST answer as a frame; None for what does not matter. Raises ValueError likewise."""
        ...

    def events(self, frame: Frame) -> Sequence[Event]:
        """What a frame of any kind but OTHER says: one event or several of its kind, in the order of their ids."""
        ...

    def diff_symbol(self, stream: str) -> str:
        """The symbol whose book changes the stream carries, or empty: its reader needs a REST snapshot."""
        ...

    def opening(self, stream: str, market: MarketView, now: int) -> Sequence[Frame]:
        """What a new subscriber of the stream is sent first, e.g. a pushed book snapshot; mostly nothing."""
        ...

    def open(self, path: str, query: str, max_streams: int, market: MarketView) -> Session | None:
        """The session of a new WebSocket; None when the exchange has no such path. `market` tells what is listed."""
        ...

    def shutdown_notice(self, now: int) -> Frame:
        """The message that announces the end of a connection; `now` in microseconds."""
        ...

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """What a REST request costs."""
        ...

    def weight_headers(self, used: int) -> Mapping[str, str]:
        """How an answer tells what was used in this minute."""
        ...

    def limited(self, banned: bool, retry_after: int, now: int) -> Answer:
        """The answer to one request too many, or to a banned address."""
        ...

    def answer(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], market: MarketView, now: int
    ) -> Answer:
        """Answer a REST request; `now` is the exchange's clock in microseconds."""
        ...
