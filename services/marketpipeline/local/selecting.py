"""Which symbols the selectors of a run stand for: asked of the exchanges every so often, kept in the state folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from marketpipeline.errors import MarketPipelineError
from marketpipeline.local.stack import LocalStack
from marketpipeline.local.state import StateFolder
from marketpipeline.plan import Plan
from marketpipeline.records import FeedEvent
from marketpipeline.selection import Listing, Selection, ask_all, choose, events_of, rest_url
from marketpipeline.spec import MarketPipeline
from marketpipeline.topic_admin import publish_events
from marketpipeline.topics import TopicKind

__all__ = ["Selecting"]

AGAIN_SECONDS = 10.0
"""After an exchange did not answer, it is asked again so soon."""


class Selecting:
    """What was chosen last is what a run starts with, and what it stays with while an exchange does not answer.

    `every` is the time between two questions in seconds. `say` is told what a user has to know, each thing once.
    """

    def __init__(self, state: StateFolder, every: float, say: Callable[[str], None]) -> None:
        self._state = state
        self._every = min(every, AGAIN_SECONDS), every
        self._say = say
        self._said: frozenset[str] = frozenset()
        self._listings: dict[str, Listing] = {}
        self._due = 0.0
        self._untold: list[FeedEvent] = []
        self._refused = ""
        self.symbols: Sequence[str] = state.read_selection()

    def due(self, pipeline: MarketPipeline) -> bool:
        """Whether it is time to ask."""
        return bool(pipeline.spec.selectors) and time.monotonic() >= self._due

    async def choose(self, pipeline: MarketPipeline, stack: LocalStack) -> Sequence[str]:
        """Ask the exchanges; what `pipeline` is to follow from now on."""
        if not pipeline.spec.selectors:
            return ()
        urls = stack.rest_urls
        self._listings, failed = await asyncio.to_thread(
            ask_all, pipeline, lambda exchange: urls.get(exchange) or rest_url(pipeline, exchange)
        )
        selection = choose(pipeline.spec, self._listings, self.symbols)
        self._due = time.monotonic() + self._every[not failed]
        self._tell([f"its selectors stay as they are: {reason}" for reason in failed.values()], selection, pipeline)
        return selection.symbols

    async def keep(self, symbols: Sequence[str], plan: Plan, stack: LocalStack, named: Collection[str]) -> None:
        """They are followed now beside those that are `named`: remember it, and tell the events topic; at the next
        question once more where it does not take them."""
        joined, left = set(symbols) - set(self.symbols) - set(named), set(self.symbols) - set(plan.symbols)
        self._untold += events_of(joined, left, self._listings)
        self.symbols = symbols
        self._state.write_selection(symbols)
        await self.publish(plan, stack)

    async def publish(self, plan: Plan, stack: LocalStack) -> None:
        """Tell the events topic what it does not know yet; nothing where it knows all."""
        topic = plan.topic(TopicKind.EVENTS)
        if self._untold and topic is not None:
            try:
                await asyncio.to_thread(publish_events, stack.kafka, topic.name, self._untold)
            except MarketPipelineError as error:
                if self._refused != str(error):
                    self._say(f"the events topic is not told yet which symbols are followed: {error}")
                self._refused = str(error)
            else:
                self._untold, self._refused = [], ""

    def _tell(self, lines: list[str], selection: Selection, pipeline: MarketPipeline) -> None:
        if selection.cut:
            limit = pipeline.spec.max_symbols
            lines.append(f"spec.maxSymbols ({limit}) leaves out {selection.cut} of {selection.cut + limit} symbols")
        lines += [f"{text} stands for nothing that is listed" for text, count in selection.counts.items() if count == 0]
        for line in lines:
            if line not in self._said:
                self._say(line)
        self._said = frozenset(lines)
