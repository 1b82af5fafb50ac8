"""What a pipeline's selectors stand for: asked of the exchanges in the background, kept in the status.

The list in the status is what is followed. So an operator that starts anew, or does not reach an exchange, changes
nothing; and who is followed is known to the next choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from marketpipeline.selection import Listing, Selection, ask, choose, events_of, rest_url
from marketpipeline.spec import MarketPipeline
from marketpipeline.topic_admin import publish_events
from marketpipeline.topics import TopicKind

from marketpipeline_operator.builders import Context
from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import Fault
from marketpipeline_operator.observe.topics import TopicsState, broker_settings

__all__ = ["SelectionState", "SelectionTasks", "observe_selection", "tell_selection"]


@dataclass
class SelectionTasks:
    """What is asked of exchanges, by their names, and what is told to the events topic."""

    make: Callable[[str], BackgroundTask[Any]]
    listings: dict[str, BackgroundTask[Listing]] = field(default_factory=dict)
    events: BackgroundTask[bool] | None = None

    def close(self) -> None:
        """Stop what is under way."""
        for task in self.listings.values():
            task.close()
        if self.events is not None:
            self.events.close()


@dataclass(frozen=True)
class SelectionState:
    """`symbols` are what the selectors stand for; `selection` says how it was come by, None without selectors.

    `unknown` says by exchange why it has not said what it lists; empty text: it has not answered yet.
    """

    symbols: tuple[str, ...] = ()
    selection: Selection | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    limit: int = 0

    @property
    def never_known(self) -> bool:
        """Whether there is an exchange of which nothing was ever known: what depends on it is not made yet."""
        followed = {symbol.partition(":")[0] for symbol in self.symbols}
        return any(exchange not in followed and exchange not in self.listings for exchange in self.unknown)

    @property
    def pending(self) -> bool:
        """Whether an exchange that was asked has not answered yet, one way or the other."""
        return "" in self.unknown.values()

    @property
    def faults(self) -> list[Fault]:
        """What the symbols that are followed lack of what the spec says; while an exchange is away they stay."""
        reached = [fault for fault in self.problems if fault.reason != "ExchangeNotReached"]
        return self.problems if self.never_known else reached

    @property
    def problems(self) -> list[Fault]:
        """What a person has to know."""
        found = [
            Fault("ExchangeNotReached", f"{exchange} does not say what it lists, its symbols stay as they are: {why}")
            for exchange, why in self.unknown.items()
            if why
        ]
        if self.selection is None:
            return found
        if cut := self.selection.cut:
            text = f"spec.maxSymbols ({self.limit}) leaves out {cut} of {cut + self.limit} symbols"
            found.append(Fault("TooManySymbols", text))
        empty = [text for text, count in self.selection.counts.items() if count == 0]
        return found + [Fault("NothingSelected", f"{text} stands for nothing that is listed") for text in empty]

    def status(self, before: Object) -> Object:
        """Its part of the status; `told` is what the events topic knows of."""
        if self.selection is None:
            return {}
        counts = [{"selector": text, **_count(count)} for text, count in self.selection.counts.items()]
        return {"symbols": list(self.symbols), "selectors": counts, "told": before.get("told", [])}


def _count(count: int | None) -> Object:
    return {} if count is None else {"symbols": count}


def observe_selection(
    pipeline: MarketPipeline, tasks: SelectionTasks, before: Object, max_age: float
) -> SelectionState:
    """Start what is due, and say what is known by now. Does not wait.

    `before` is the part of the status, `max_age` the seconds after which an exchange is asked again.
    """
    spec = pipeline.spec
    if not spec.selectors:
        return SelectionState()
    listings: dict[str, Listing] = {}
    unknown: dict[str, str] = {}
    for exchange in dict.fromkeys(selector.exchange for selector in spec.selectors):
        url = rest_url(pipeline, exchange)
        if exchange not in tasks.listings:
            tasks.listings[exchange] = tasks.make(f"listing-{exchange}")
        task = tasks.listings[exchange]
        ranked = [selector for selector in spec.selectors if selector.exchange == exchange and selector.market]
        mark = " ".join([url, *(selector.text for selector in ranked)])
        task.ask(mark, partial(asyncio.to_thread, ask, exchange, url, ranked), max_age=max_age)
        listing, error = task.result(mark), task.error(mark)
        if listing is not None:
            listings[exchange] = listing
        if listing is None or error is not None:
            unknown[exchange] = str(error) if error else ""
    selection = choose(spec, listings, before.get("symbols", []))
    return SelectionState(selection.symbols, selection, listings, unknown, spec.max_symbols)


def tell_selection(
    context: Context,
    kubernetes: Kubernetes,
    found: SelectionState,
    topics: TopicsState,
    tasks: SelectionTasks,
    before: Object,
) -> Object:
    """The part of the status, with what the events topic has been told by now. Does not wait."""
    status, topic = found.status(before), context.plan.topic(TopicKind.EVENTS)
    if not status or topic is None or not topics.known or found.never_known:
        return status
    named, told = set(context.pipeline.spec.named), set(status["told"])
    joined, left = set(found.symbols) - told - named, told - set(context.plan.symbols)
    mark = digest([sorted(joined), sorted(left)])
    if not joined and not left:
        return status
    if tasks.events is None:
        tasks.events = tasks.make("events")

    async def work() -> bool:
        settings = await broker_settings(kubernetes, context.pipeline)
        events = events_of(joined, left, found.listings)
        await asyncio.to_thread(publish_events, settings, topic.name, events)
        return True

    tasks.events.ask(mark, work)
    if tasks.events.result(mark):
        status["told"] = sorted(set(found.symbols) - named)
    return status
