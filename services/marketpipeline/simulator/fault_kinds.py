"""The faults that there are, one class each: its parameters, and what happens when it is fired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar, Protocol

import msgspec

from marketpipeline.errors import InvalidInput, Problem
from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.interference import Duplicates, Gap, Garble, Interference, Silence

__all__ = ["FAULTS", "Doors", "Fault", "Scene"]

Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Doors(Protocol):
    """What a fault does beyond messages; the server can."""

    def break_connections(self, refuse_seconds: float) -> None:
        """Break every connection without a close frame, and refuse new ones for a while."""
        ...

    def slow_down(self, delay: float, seconds: float) -> None:
        """Let everything arrive up to `delay` late for a while."""
        ...

    def limit(self, seconds: float, *, ban: bool) -> None:
        """Refuse REST requests for a while."""
        ...

    def shut_down(self, after: float) -> None:
        """Send the shutdown notice to the connections of now, and close these after a while."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault can reach."""

    doors: Doors
    symbols: Sequence[str]
    malform: Callable[[Frame], list[Frame]]

    def symbol(self, name: str) -> str:
        """The symbol that is meant; the first one when none is named. Raises InvalidInput."""
        if not name:
            return self.symbols[0]
        if name not in self.symbols:
            expected = f"must be one of {', '.join(self.symbols)}"
            raise InvalidInput("fault", [Problem("symbol", name, expected)])
        return name


class Fault(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of all: the parameters, and what happens when it is fired."""

    about: ClassVar[str] = ""

    def fire(self, scene: Scene) -> Interference | None:
        """Do what is done at once; what changes messages from now on is returned."""
        raise NotImplementedError


class DisconnectFault(Fault, frozen=True):
    """See `about`, as with all of these."""

    about: ClassVar[str] = "every connection breaks; new ones are refused for `refuse` seconds"
    refuse: Seconds = 0.0

    def fire(self, scene: Scene) -> None:
        """See `Fault.fire`."""
        scene.doors.break_connections(self.refuse)


class ShutdownFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "a shutdown notice; the connections that got it are closed `after` seconds later"
    after: Seconds = 5.0

    def fire(self, scene: Scene) -> None:
        """See `Fault.fire`."""
        scene.doors.shut_down(self.after)


class SlowFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "everything arrives up to `delay` seconds late, in order, for `seconds`"
    delay: Seconds = 0.5
    seconds: Seconds = 10.0

    def fire(self, scene: Scene) -> None:
        """See `Fault.fire`."""
        scene.doors.slow_down(self.delay, self.seconds)


class RateLimitFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "REST answers 429 with Retry-After, for `seconds`"
    seconds: Seconds = 5.0

    def fire(self, scene: Scene) -> None:
        """See `Fault.fire`."""
        scene.doors.limit(self.seconds, ban=False)


class BanFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "REST answers 418 with Retry-After, for `seconds`"
    seconds: Seconds = 5.0

    def fire(self, scene: Scene) -> None:
        """See `Fault.fire`."""
        scene.doors.limit(self.seconds, ban=True)


class GapFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "the next `count` book changes and as many trades of `symbol` are lost (ids skip)"
    symbol: str = ""
    count: Count = 3
    seconds: Seconds = 30.0

    def fire(self, scene: Scene) -> Interference:
        """See `Fault.fire`."""
        return Gap(scene.symbol(self.symbol), self.count, self.seconds)


class DuplicateFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "the next `count` messages of `symbol` come twice"
    symbol: str = ""
    count: Count = 20

    def fire(self, scene: Scene) -> Interference:
        """See `Fault.fire`."""
        return Duplicates(scene.symbol(self.symbol), self.count)


class MalformedFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "broken copies of the next `count` trades of `symbol` come behind them"
    symbol: str = ""
    count: Count = 1

    def fire(self, scene: Scene) -> Interference:
        """See `Fault.fire`."""
        return Garble(scene.symbol(self.symbol), self.count, scene.malform)


class SilentFault(Fault, frozen=True):
    """See `about`."""

    about: ClassVar[str] = "`stream`, or every stream of `symbol`, says nothing for `seconds`"
    symbol: str = ""
    stream: str = ""
    seconds: Seconds = 15.0

    def fire(self, scene: Scene) -> Interference:
        """See `Fault.fire`."""
        return Silence(self.stream or scene.symbol(self.symbol), self.seconds)


FAULTS: Mapping[str, type[Fault]] = MappingProxyType(
    {
        "disconnect": DisconnectFault,
        "gap": GapFault,
        "duplicate": DuplicateFault,
        "malformed": MalformedFault,
        "silent": SilentFault,
        "slow": SlowFault,
        "rate-limit": RateLimitFault,
        "429": RateLimitFault,
        "ban": BanFault,
        "418": BanFault,
        "shutdown": ShutdownFault,
    }
)
