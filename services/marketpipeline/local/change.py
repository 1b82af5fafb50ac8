"""A changed MarketPipeline while it runs: what differs is replaced, and nothing else is touched.

Ingestion is handed over: the next process is in sync before the last is told to stop, so that nothing is missed.
Everything else is stopped and started again, in the order of the data. A process whose settings are the same goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from marketpipeline.errors import InvalidInput, PermanentError, Problem
from marketpipeline.local.component import Component
from marketpipeline.local.components.service import Service
from marketpipeline.local.managed_process import Failure
from marketpipeline.local.stack import LocalStack
from marketpipeline.local.state import StateFolder
from marketpipeline.local.steps import steps_of
from marketpipeline.local.supervisor import Supervisor
from marketpipeline.plan import Plan
from marketpipeline.spec import MarketPipeline, load_text

__all__ = ["Change", "read_change", "settings_of"]

Settings = Mapping[str, dict[str, Any]]


def settings_of(stack: LocalStack, state: StateFolder) -> Settings:
    """By the name of a component what it was started with, as the state folder has it."""
    return {component.name: state.read_settings(component.name) for component in stack.components}


def read_change(asked: Mapping[str, Any], now: MarketPipeline) -> MarketPipeline:
    """The pipeline that is asked for. Raises InvalidInput for what one that runs cannot become."""
    source = asked["source"]
    pipeline = load_text(asked["text"], source)
    had, wanted = ([kind.name for kind, _ in one.spec.sinks.enabled()] for one in (now, pipeline))
    problems = []
    if pipeline.name != now.name:
        problems.append(Problem("metadata.name", pipeline.name, f"must stay {now.name}"))
    if pipeline.spec.suspend:
        problems.append(Problem("spec.suspend", True, "must be false for a pipeline that runs; stop the run instead"))
    if had != wanted:
        expected = f"must stay {', '.join(had) or 'none'} while it runs; stop the run and start it again"
        problems.append(Problem("spec.sinks", ", ".join(wanted) or "none", expected))
    if problems:
        raise InvalidInput(source, problems)
    return pipeline


@dataclass(frozen=True, slots=True)
class Change:
    """From one stack to another, whose settings are written already; `before` are those of the first.

    `say` is told of each step.
    """

    pipeline: MarketPipeline
    plan: Plan
    old: LocalStack
    new: LocalStack
    before: Settings
    state: StateFolder
    say: Callable[[str], None]

    @property
    def changed(self) -> list[Component]:
        """Components that are in both and differ."""
        there = {component.name for component in self.old.components}
        both = [component for component in self.new.components if component.name in there]
        return [one for one in both if self.state.read_settings(one.name) != self.before.get(one.name)]

    @property
    def added(self) -> list[Component]:
        """Components that are new."""
        there = {component.name for component in self.old.components}
        return [component for component in self.new.components if component.name not in there]

    @property
    def removed(self) -> list[Component]:
        """Components that are wanted no more, those that write first."""
        wanted = {component.name for component in self.new.components}
        order = [name for stage in self.old.stop_stages for name in stage]
        gone = [component for component in self.old.components if component.name not in wanted]
        return sorted(gone, key=lambda component: order.index(component.name))

    async def make(self, supervisor: Supervisor) -> None:
        """Do it. Raises MarketPipelineError where something does not come up: what was replaced before stays so, and
        of ingestion what ran before runs on."""
        for step in steps_of(self.pipeline, self.plan, self.new):
            await asyncio.to_thread(step.run)
        ingestion = {service.name for services in self.new.ingestion.values() for service in services}
        changed = self.changed
        for component in changed:
            if component.name not in ingestion:
                self.say(f"{component.name} is started again")
                await supervisor.restart(component)
        for component in self.added:
            self.say(f"{component.name} is started")
            await supervisor.add(component)
        for component in changed:
            if component.name in ingestion and isinstance(component, Service):
                await self._hand_over(component, supervisor)
        for component in self.removed:
            self.say(f"{component.name} is stopped")
            await supervisor.remove(component.name)

    async def _hand_over(self, service: Service, supervisor: Supervisor) -> None:
        name = service.name
        port = self.new.ports.renew(name)
        wanted = self.state.read_settings(name)
        self.state.write_settings(name, wanted | {"http": wanted["http"] | {"port": port}})
        successor = replace(service, port=port)
        self.say(f"{name}: the next one starts beside it")
        try:
            await supervisor.hand_over(successor)
        except Failure as failure:
            self.new.ports.keep(name, service.port)
            self.state.write_settings(name, self.before[name])
            raise PermanentError(f"{failure}\n{name} runs on as before") from failure
        self.say(f"{name}: the next one is in sync, the last one has stopped")
        self.new.took_over(service, successor)
