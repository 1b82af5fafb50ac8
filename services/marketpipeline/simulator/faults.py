"""What goes wrong on purpose: the faults that a client of a real exchange has to live with.

Each is fired at a planned time or at once through the control endpoint. Only what clients see is changed: the
market itself goes on, so REST answers stay right and a client can repair what it lost. Times at which faults
are planned are exchange time, how long they last is the wall clock's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from marketpipeline.simulator.fault_kinds import FAULTS, Scene
from marketpipeline.simulator.frames import Frame
from marketpipeline.simulator.interference import Interference
from marketpipeline.simulator.schedule import Planned, Schedule, build

__all__ = ["Faults"]

_log = logging.getLogger(__name__)


class Faults:
    """Fires faults, planned ones and those asked for, and is the filter of what is sent."""

    def __init__(self, planned: Sequence[Planned], scene: Scene) -> None:
        for one in planned:
            fault = build(FAULTS[one.name], one.parameters, one.name)
            scene.symbol(getattr(fault, "symbol", ""))
        self._schedule = Schedule(planned)
        self._scene = scene
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
        acting = fault.fire(self._scene)
        self.count += 1
        if acting is not None:
            self._acting.append(acting)
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
