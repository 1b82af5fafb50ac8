"""The faults that a client of a real exchange has to live with: their kinds, and when they are fired.

Each is fired at a planned time, or at once through the control endpoint. Only what clients see changes: the market
itself goes on, so REST answers stay right and a client can repair what it lost. The times at which faults are planned
are exchange time; how long they last is wall-clock time.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.simulator.frames import Frame, Kind
from marketpipeline.simulator.schedule import Planned, Schedule, build

__all__ = ["FAULTS", "Fault", "FaultContext", "Faults", "Interference", "ServerControls", "WrongValue"]

_log = logging.getLogger(__name__)

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
WrongValue = Literal["ahead", "behind", "nanoseconds", "zero-quantity", "one-sided"]
"""Its time a day ahead or behind, or in ns; a quantity of zero; a quote without its bid."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class ServerControls(Protocol):
    """What a fault does to connections and to REST; the server implements it."""

    def break_connections(self, refuse_seconds: float) -> None:
        """Break every connection without a close frame, and refuse new ones for a while."""
        ...

    def slow_down(self, delay: float, seconds: float) -> None:
        """Deliver everything up to `delay` seconds late for a while."""
        ...

    def limit(self, seconds: float, *, ban: bool) -> None:
        """Refuse REST requests for a while."""
        ...

    def shut_down(self, after: float) -> None:
        """Send the shutdown notice to every open connection, and close these after a while."""
        ...

    def delist(self, symbol: str, seconds: float) -> None:
        """Let REST know nothing of a symbol for a while."""
        ...

    def forget(self, stream: str) -> None:
        """Send nothing more of a stream (of any for an empty name) to who has subscribed to it, without a word."""
        ...

    def move(self, stream: str, to: str) -> None:
        """Carry a stream (any for an empty name) only on connections whose URL has `to` in it."""
        ...

    def scale_volume(self, symbol: str, factor: float) -> None:
        """Make what was traded of a symbol in 24 hours so many times as much."""
        ...

    def spoil_trade(self, symbol: str) -> None:
        """Give the next page of trades that REST is asked for a row that cannot be, in every later answer too."""
        ...


class Messages(Protocol):
    """What a fault does to messages in the exchange's own words; see `WireProtocol`."""

    def malform(self, frame: Frame) -> list[Frame]: ...

    def spoil(self, frame: Frame, value: str) -> Frame | None: ...


class Interference:
    """Sends `change(frame)` in place of each frame that `matches`.

    It is over after `count` such frames, or `seconds` of the wall clock, whichever comes first; None is no bound.
    """

    def __init__(
        self,
        matches: Callable[[Frame], bool],
        change: Callable[[Frame], list[Frame]],
        count: int | None = None,
        seconds: float | None = None,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self._matches = matches
        self._change = change
        self._left = count
        self._wall = wall
        self._until = None if seconds is None else wall() + seconds

    def apply(self, frame: Frame) -> list[Frame]:
        """What is sent in place of the frame."""
        if self.over() or not self._matches(frame):
            return [frame]
        if self._left is not None:
            self._left -= 1
        return self._change(frame)

    def over(self) -> bool:
        """Whether it changes nothing any more."""
        return self._left == 0 or (self._until is not None and self._wall() >= self._until)


def _of(symbol: str, *kinds: Kind) -> Callable[[Frame], bool]:
    """Whether a frame is of the symbol and, where any are named, of one of the kinds."""
    return lambda frame: frame.symbol == symbol and (not kinds or frame.kind in kinds)


def _lose(frame: Frame) -> list[Frame]:
    return []


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a fault can reach."""

    server: ServerControls
    symbols: Sequence[str]
    messages: Messages
    wall: Callable[[], float] = time.monotonic

    def symbol(self, name: str) -> str:
        """The symbol that is meant; the first one when none is named. Raises InvalidInput."""
        if not name:
            return self.symbols[0]
        if name not in self.symbols:
            expected = f"must be one of {', '.join(self.symbols)}"
            raise InvalidInput("fault", [Problem("symbol", name, expected)])
        return name


class Fault(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of all: the parameters, and what happens when it is fired. What each does is its `about`."""

    about: ClassVar[str] = ""

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """Do what is done at once, and return what changes messages from now on."""
        raise NotImplementedError


class DisconnectFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "every connection breaks; new ones are refused for `refuse` seconds"
    refuse: Seconds = 0.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.break_connections(self.refuse)
        return ()


class ShutdownFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "a shutdown notice; the connections that got it are closed `after` seconds later"
    after: Seconds = 5.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.shut_down(self.after)
        return ()


class SlowFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "everything arrives up to `delay` seconds late, in order, for `seconds`"
    delay: Seconds = 0.5
    seconds: Seconds = 10.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.slow_down(self.delay, self.seconds)
        return ()


class RateLimitFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "REST answers 429 with Retry-After, for `seconds`"
    seconds: Seconds = 5.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.limit(self.seconds, ban=False)
        return ()


class BanFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "REST answers 418 with Retry-After, for `seconds`"
    seconds: Seconds = 5.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.limit(self.seconds, ban=True)
        return ()


class GapFault(Fault, frozen=True):
    """See `about`. It ends after `seconds` even where fewer messages were lost."""

    about: ClassVar[str] = "the next `count` book changes and trades (or of `feed`) of `symbol` are lost: ids skip"
    symbol: str = ""
    feed: Literal["all", "book", "trades"] = "all"
    count: Count = 3
    seconds: Seconds = 30.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        symbol = context.symbol(self.symbol)
        return [
            Interference(_of(symbol, kind), _lose, self.count, self.seconds, context.wall)
            for feed, kind in (("book", Kind.DIFF), ("trades", Kind.TRADE))
            if self.feed in ("all", feed)
        ]


class DuplicateFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "the next `count` messages of `symbol` come twice"
    symbol: str = ""
    count: Count = 20

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        return [Interference(_of(context.symbol(self.symbol)), lambda frame: [frame, frame], self.count)]


class MalformedFault(Fault, frozen=True):
    """See `about`. The trades themselves arrive whole."""

    about: ClassVar[str] = "the next `count` trades of `symbol` are each followed by broken copies"
    symbol: str = ""
    count: Count = 1

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        matches = _of(context.symbol(self.symbol), Kind.TRADE)
        return [Interference(matches, lambda frame: [frame, *context.messages.malform(frame)], self.count)]


class WrongValueFault(Fault, frozen=True):
    """See `about`. The right message does not come: its trade has to be fetched, its book change is lost."""

    about: ClassVar[str] = "`value` is wrong in the next `count` messages of `symbol` and `feed` that have such a value"
    value: WrongValue = "ahead"
    symbol: str = ""
    feed: Literal["all", "book", "trades", "quotes"] = "all"
    count: Count = 1

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        kinds = {"book": (Kind.DIFF,), "trades": (Kind.TRADE,), "quotes": (Kind.QUOTE,)}.get(self.feed, ())
        meant = _of(context.symbol(self.symbol), *kinds)

        def spoiled(frame: Frame) -> list[Frame]:
            found = context.messages.spoil(frame, self.value) if meant(frame) else None
            return [] if found is None else [found]

        return [Interference(lambda frame: bool(spoiled(frame)), spoiled, self.count)]


class DelistFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "`symbol` is not listed for `seconds`: REST does not know it, and its streams say nothing"
    symbol: str = ""
    seconds: Seconds = 30.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        symbol = context.symbol(self.symbol)
        context.server.delist(symbol, self.seconds)
        return [Interference(_of(symbol), _lose, seconds=self.seconds, wall=context.wall)]


class ListingFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "`symbol` is new: it is listed from `after` seconds on, and before that nobody knows it"
    symbol: str = ""
    after: Seconds = 30.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        return DelistFault(self.symbol, self.after).fire(context)


class VolumeFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "what was traded of `symbol` in 24 hours is `factor` times as much from now on"
    symbol: str = ""
    factor: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 10.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.scale_volume(context.symbol(self.symbol), self.factor)
        return ()


class BadRowFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "one trade has quantity 0 in the next page of trades of `symbol` by REST, and in later ones"
    symbol: str = ""

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.spoil_trade(context.symbol(self.symbol))
        return ()


class SilentFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "`stream`, or every stream of `symbol`, says nothing for `seconds`"
    symbol: str = ""
    stream: str = ""
    seconds: Seconds = 15.0

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        name = self.stream or context.symbol(self.symbol)
        return [
            Interference(
                lambda frame: name in (frame.stream, frame.symbol), _lose, seconds=self.seconds, wall=context.wall
            )
        ]


class ForgottenFault(Fault, frozen=True):
    """See `about`. The market goes on, and so does the connection."""

    about: ClassVar[str] = "the exchange forgets who reads `stream` (without it, any): silence until asked for again"
    stream: str = ""

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        context.server.forget(self.stream)
        return ()


class MovedFault(Fault, frozen=True):
    """See `about`. `to` is told apart by host and path, as in `localhost` or `/business`."""

    about: ClassVar[str] = (
        "`stream` (without it, any) is carried from now on only where the connection's URL has `to` in it; elsewhere "
        "it falls silent, and asking for it is answered as the exchange answers at a wrong address"
    )
    stream: str = ""
    to: str = ""

    def fire(self, context: FaultContext) -> Sequence[Interference]:
        """See `Fault.fire`."""
        if not self.to:
            raise InvalidInput("fault", [Problem("to", "", "must be a part of the URL that carries it now")])
        context.server.move(self.stream, self.to)
        return ()


FAULTS: Mapping[str, type[Fault]] = MappingProxyType(
    {
        "disconnect": DisconnectFault,
        "gap": GapFault,
        "duplicate": DuplicateFault,
        "malformed": MalformedFault,
        "wrong-value": WrongValueFault,
        "delist": DelistFault,
        "listing": ListingFault,
        "volume": VolumeFault,
        "bad-row": BadRowFault,
        "silent": SilentFault,
        "forgotten": ForgottenFault,
        "moved": MovedFault,
        "slow": SlowFault,
        "rate-limit": RateLimitFault,
        "429": RateLimitFault,
        "ban": BanFault,
        "418": BanFault,
        "shutdown": ShutdownFault,
    }
)


class Faults:
    """Fires faults, planned ones and those asked for, and is the filter of what is sent."""

    def __init__(self, planned: Sequence[Planned], context: FaultContext) -> None:
        for one in planned:
            fault = build(FAULTS[one.name], one.parameters, one.name)
            context.symbol(getattr(fault, "symbol", ""))
        self._schedule = Schedule(planned)
        self._context = context
        self._acting: list[Interference] = []
        self.count = 0
        self.fired: deque[dict[str, Any]] = deque(maxlen=100)
        """The newest ones, as the status shows them."""

    def progress(self, elapsed: float) -> None:
        """Exchange time went on; fire what is due."""
        for one in self._schedule.due(elapsed):
            self.fire(one.name, one.parameters, elapsed)

    @property
    def next_at(self) -> float | None:
        """When the next planned one is due, in seconds of exchange time."""
        return self._schedule.next_at

    def fire(self, name: str, parameters: Mapping[str, Any], elapsed: float) -> None:
        """Fire one now. Raises InvalidInput for a parameter that is wrong."""
        fault = build(FAULTS[name], parameters, name)
        self._acting.extend(fault.fire(self._context))
        self.count += 1
        self.fired.append({"fault": name, "at_seconds": round(elapsed, 3), **msgspec.structs.asdict(fault)})
        _log.info("fault", extra=self.fired[-1])

    @property
    def acting(self) -> bool:
        """Whether messages are being changed."""
        return bool(self._acting)

    def filter(self, frames: list[Frame]) -> list[Frame]:
        """What is sent in place of the frames."""
        for acting in self._acting:
            frames = [sent for frame in frames for sent in acting.apply(frame)]
        self._acting = [acting for acting in self._acting if not acting.over()]
        return frames
