"""From what exchanges list to the symbols that are followed: calm, who is followed stays for a while."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from marketpipeline.records import FeedEvent, FeedEventKind
from marketpipeline.spec import PipelineSpec
from marketpipeline.spec.selectors import Selector, matches

__all__ = ["Listed", "Listing", "Selection", "choose", "events_of"]

_CALM = 10
"""A rank has to change by more than one part in so many of N before anything joins or leaves the first N."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A symbol of an exchange: the market that it is ranked in, whether it is traded now, and what was traded of it in
    24 hours, in quote units."""

    market: str = ""
    trading: bool = True
    volume: float = 0.0


Listing = Mapping[str, Listed]
"""Everything that one exchange lists, by symbol."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What selectors stand for: `symbols`, sorted; `counts` by selector how many are its own, None of an exchange that
    has not answered. `cut` are so many more that `maxSymbols` leaves out.
    """

    symbols: tuple[str, ...] = ()
    counts: Mapping[str, int | None] = field(default_factory=dict)
    cut: int = 0


def choose(spec: PipelineSpec, listings: Mapping[str, Listing], current: Collection[str]) -> Selection:
    """What the spec's selectors stand for from now on; `current` is what they did until now.

    - What is halted does not join. It stays until nothing was traded of it for 24 hours; what is listed no more leaves.
    - The first N of a market are those within N by their rank, but who is followed leaves only when it is a tenth
      behind, and who is not comes in before one that is only when it is a tenth ahead.
    - Of an exchange that has no listing here, what was followed stays.
    - Beyond `maxSymbols` who is followed comes before who is not, and then the selectors in their order, by volume.
    """
    followed, found = frozenset(current), dict[str, None]()
    counts: dict[str, int | None] = {}
    for selector in spec.selectors:
        listing = listings.get(selector.exchange)
        if listing is None:
            counts[selector.text] = None
            found |= dict.fromkeys(sorted(symbol for symbol in followed if selector.may_choose(symbol)))
            continue
        chosen = _chosen(selector, _eligible(listing, spec.exclude, followed), followed)
        counts[selector.text] = len(chosen)
        found |= dict.fromkeys(chosen)
    kept = sorted(found, key=lambda symbol: symbol not in followed)[: spec.max_symbols]
    return Selection(tuple(sorted(kept)), counts, len(found) - len(kept))


def events_of(joined: Collection[str], left: Collection[str], listings: Mapping[str, Listing]) -> list[FeedEvent]:
    """What the events topic is told of symbols that selectors brought in or let go, as of now."""
    now = time.time_ns() // 1000

    def event(kind: FeedEventKind, symbol: str, detail: str) -> FeedEvent:
        return FeedEvent(
            symbol=symbol,
            id=f"{kind}:{symbol}:symbols:{now}",
            kind=kind,
            feed="symbols",
            event_time=None,
            receive_time=now,
            detail=detail,
            process="platform",
        )

    def why(symbol: str) -> str:
        listing = listings.get(symbol.partition(":")[0])
        gone = listing is not None and symbol not in listing
        return "the exchange lists it no more" if gone else "no selector stands for it any more"

    return [
        *(event("followed", symbol, "a selector stands for it") for symbol in sorted(joined)),
        *(event("unfollowed", symbol, why(symbol)) for symbol in sorted(left)),
    ]


def _eligible(listing: Listing, exclude: Collection[str], followed: Collection[str]) -> Listing:
    return {
        symbol: listed
        for symbol, listed in listing.items()
        if (listed.trading or (symbol in followed and listed.volume > 0))
        and not any(matches(pattern, symbol) for pattern in exclude)
    }


def _chosen(selector: Selector, listing: Listing, followed: Collection[str]) -> list[str]:
    """The largest volume first."""

    def ranked(symbols: list[str]) -> list[str]:
        return sorted(symbols, key=lambda symbol: (-listing[symbol].volume, symbol))

    if not selector.market:
        return ranked([symbol for symbol in listing if matches(selector.text, symbol)])
    ranks = ranked([symbol for symbol, listed in listing.items() if listed.market == selector.market])
    count, calm = selector.count, -(-selector.count // _CALM)
    first = ranks[: count - calm]
    staying = [symbol for symbol in ranks[count - calm : count + calm] if symbol in followed]
    joining = [symbol for symbol in ranks[count - calm : count] if symbol not in followed]
    return ranked([*first, *staying, *joining][:count])
