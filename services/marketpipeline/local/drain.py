"""Waiting until every frame of a replay has reached the tables (docs/decisions/0003).

Stage by stage, each with a position that can be asked for: the exchange has sent all, ingestion has it all
acknowledged, the stream job has committed what the raw topics held then, the sinks what all topics held after that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from marketpipeline.errors import MarketPipelineError, RetryableError
from marketpipeline.local.components.service import Service
from marketpipeline.local.http import get_json
from marketpipeline.local.offsets import Ends, Offsets
from marketpipeline.local.stack import LocalStack
from marketpipeline.plan import Plan, Topic
from marketpipeline.sink_kinds import sink_kinds
from marketpipeline.topics import TopicKind

__all__ = ["CaughtUp", "ConsumerGroup", "Look", "NotDrained", "drained", "group_of_job", "groups_of_sinks", "wait_for"]

STALLED_SECONDS = 180.0
"""A stage that makes no progress for so long does not make any more; a restart takes a part of it."""

POLL_SECONDS = 0.2
JOB_READS = (TopicKind.TRADES, TopicKind.BOOK)


class NotDrained(MarketPipelineError):
    """A replay that does not become drained; says what was waited for."""


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """Which process (`name`) reads which topics under which id of the broker's."""

    name: str
    id: str
    topics: Sequence[Topic]


def groups_of_sinks(plan: Plan) -> list[ConsumerGroup]:
    """The consumer groups of the plan's sinks."""
    kinds = {kind.component: kind for kind in sink_kinds().values()}
    found = []
    for workload in plan.workloads:
        if (kind := kinds.get(workload.component)) is not None:
            read = kind.topics_read(workload.settings["store"])
            topics = [topic for topic in plan.topics if topic.kind in read]
            found.append(ConsumerGroup(workload.name, workload.settings["consumer_group"], topics))
    return found


def group_of_job(plan: Plan) -> ConsumerGroup | None:
    """The consumer group of the stream job, which commits at its checkpoints, or None where there is no job."""
    job = plan.stream_job
    if job is None:
        return None
    return ConsumerGroup(
        "the stream job", job.settings["consumer_group"], [t for t in plan.topics if t.kind in JOB_READS]
    )


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a stage shows. `position` changes as long as the stage gets on."""

    done: bool
    position: object
    text: str


async def drained(current: Callable[[], tuple[LocalStack, Plan]], report: Callable[[str], None]) -> None:
    """Return when the replay is drained. `report` is told what is waited for. Raises NotDrained when a stage stalls.

    `current` gives what runs, which may be changed while the replay goes on.
    """
    replay = Replay(current()[0].exchanges)
    await wait_for(replay.look, report)
    stack, plan = current()
    for exchange, services in stack.ingestion.items():
        for service in services:
            await wait_for(Delivered(service, replay.last_event_times.get(exchange, 0)).look, report)
    offsets = Offsets(stack.kafka)
    job = group_of_job(plan)
    if job is not None:
        await wait_for(CaughtUp(offsets, [job]).look, report)
    await wait_for(CaughtUp(offsets, groups_of_sinks(plan)).look, report)


async def wait_for(
    look: Callable[[], Look], report: Callable[[str], None], stalled_seconds: float = STALLED_SECONDS
) -> None:
    """Look until it is done. Raises NotDrained when nothing changes for `stalled_seconds`."""
    position: object = None
    changed = time.monotonic()
    text = "it to answer"
    while True:
        try:
            seen = await asyncio.to_thread(look)
        except RetryableError as error:
            text = str(error)
        else:
            if seen.done:
                return
            text = seen.text
            report(text)
            if seen.position != position:
                position, changed = seen.position, time.monotonic()
        if time.monotonic() - changed > stalled_seconds:
            raise NotDrained(f"not drained: nothing changed for {stalled_seconds:g} s while waiting for {text}")
        await asyncio.sleep(POLL_SECONDS)


class Replay:
    """The exchanges that replay: each has sent everything, up to its `last_event_times` by its own clock."""

    def __init__(self, exchanges: Mapping[str, Service]) -> None:
        self._exchanges = exchanges
        self.last_event_times: dict[str, int] = {}

    def look(self) -> Look:
        """Done when the replay is finished."""
        finished, clocks = [], []
        for exchange, service in self._exchanges.items():
            _, status = get_json(f"{service.url}/control/status")
            finished.append(bool(status["finished"]))
            clocks.append((status["clock"], status["frames"]))
            self.last_event_times[exchange] = int(status["last_event_time"] or 0)
        frames = sum(frames for _, frames in clocks)
        return Look(all(finished), clocks, f"the replay to end ({frames:,} frames sent)")


class Delivered:
    """An ingestion process: it has everything up to a time of the exchange, and the broker has acknowledged it."""

    def __init__(self, service: Service, until: int) -> None:
        self._service = service
        self._until = until

    def look(self) -> Look:
        """Done when it is synchronised through that time, fetches nothing more, and waits for no acknowledgement."""
        _, health = get_json(f"{self._service.url}/health")
        through = int(health.get("synced_through") or 0)
        pending, in_flight = int(health.get("pending") or 0), int(health.get("in_flight") or 0)
        done = through >= self._until and not pending and not in_flight
        behind = max(0, self._until - through) / 1e6
        text = f"{self._service.name} ({behind:.1f} s behind, {pending} being backfilled, {in_flight} unacknowledged)"
        return Look(done, (through, pending, in_flight, health.get("produced")), text)


class CaughtUp:
    """Consumer groups: they have committed what their topics held at the first look.

    Ends are taken once, and all before anything is waited for: heartbeats keep coming meanwhile.
    """

    def __init__(self, offsets: Offsets, groups: Sequence[ConsumerGroup]) -> None:
        self._offsets = offsets
        self._groups = groups
        self._ends: dict[str, Ends] | None = None

    def look(self) -> Look:
        """Done when none is behind."""
        if self._ends is None:
            self._ends = {group.name: self._offsets.ends(group.topics) for group in self._groups}
        behind = {group.name: self._offsets.behind(group.id, self._ends[group.name]) for group in self._groups}
        text = ", ".join(f"{name} ({records:,} records behind)" for name, records in behind.items() if records)
        return Look(not any(behind.values()), behind, text)
