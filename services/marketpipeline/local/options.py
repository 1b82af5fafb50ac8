"""What a user asks of a run, beside the pipeline itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from marketpipeline.errors import InvalidInput, Problem

__all__ = ["Endpoints", "RunOptions", "endpoints"]

_SECURE = {"ws": False, "http": False, "wss": True, "https": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """`exchange` is `simulated`, `live` or a URL; `replay` names captures instead, at `speed` (None: as fast as read).

    The run ends after `seconds`, or when the replay is `until_drained`, or when it is told to stop. `screenshot` is a
    file that the screen is written to, as SVG, when the run ends.
    """

    exchange: str = "simulated"
    replay: tuple[Path, ...] = ()
    speed: float | None = 1.0
    seconds: float | None = None
    until_drained: bool = False
    state: Path | None = None
    ui: bool = True
    screenshot: Path | None = None

    @property
    def source(self) -> str:
        """Kind of exchange that the data comes from; kinds are not to be mixed in one state folder."""
        if self.replay:
            return "replay"
        return self.exchange if self.exchange in ("simulated", "live") else "url"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of an exchange, without paths."""

    websocket: str
    rest: str


def endpoints(url: str) -> Endpoints:
    """Both addresses of an exchange that serves WebSocket and REST on one port, from either of them."""
    parts = urlsplit(url)
    if parts.scheme not in _SECURE or not parts.hostname:
        expected = "must be simulated, live, or the URL of an exchange: ws://, wss://, http:// or https:// and a host"
        raise InvalidInput("run", [Problem("--exchange", url, expected)])
    s = "s" if _SECURE[parts.scheme] else ""
    return Endpoints(websocket=f"ws{s}://{parts.netloc}", rest=f"http{s}://{parts.netloc}")
