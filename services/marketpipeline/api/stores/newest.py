"""The newest of everything, whichever store it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketpipeline.api.rows import JsonRow

__all__ = ["Newest"]


@dataclass(frozen=True, slots=True)
class Newest:
    """Of one symbol the newest of each kind in its JSON form; None where there is none. Candles by interval."""

    trade: JsonRow | None = None
    quote: JsonRow | None = None
    book: JsonRow | None = None
    ticker: JsonRow | None = None
    candles: dict[str, JsonRow] = field(default_factory=dict)
