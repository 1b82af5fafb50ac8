"""Topics and thresholds of a pipeline: what to ask of the broker, and what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from marketpipeline.errors import MarketPipelineError
from marketpipeline.plan import Topic
from marketpipeline.records import SymbolThresholds
from marketpipeline.settings import KafkaSettings
from marketpipeline.spec import MarketPipeline
from marketpipeline.topic_admin import TopicsReport, delete_topics, ensure_topics, publish_thresholds
from marketpipeline.topics import TopicKind

from marketpipeline_operator.builders import Context, build_topics
from marketpipeline_operator.builders.context import digest
from marketpipeline_operator.cluster.cache import Cache, Key
from marketpipeline_operator.cluster.client import Kubernetes
from marketpipeline_operator.last import Last
from marketpipeline_operator.names import Object
from marketpipeline_operator.observe.background import BackgroundTask
from marketpipeline_operator.observe.components import Fault
from marketpipeline_operator.observe.secrets import read_secret

__all__ = ["TopicTasks", "TopicsState", "broker_settings", "names_mark", "observe_topics", "remove_topics"]


@dataclass
class TopicTasks:
    """What is asked of the broker."""

    topics: BackgroundTask[TopicsReport]
    thresholds: BackgroundTask[str]
    removal: BackgroundTask[bool]
    marks: Last[tuple[str, str]] = field(default_factory=Last)
    """Of a plan: what topics there shall be, by name and as a whole."""
    published: Last[str] = field(default_factory=Last)
    """Of the thresholds and the topic's id."""

    @classmethod
    def of(cls, task: Callable[[str], BackgroundTask[Any]]) -> TopicTasks:
        """`task` makes a background task by its name."""
        return cls(task("topics"), task("thresholds"), task("removal"))

    @property
    def writing(self) -> bool:
        """Whether something is on its way to the broker that would make a topic."""
        return self.topics.running or self.thresholds.running

    def close(self) -> None:
        """Stop what is under way."""
        for task in (self.topics, self.thresholds, self.removal):
            task.close()


@dataclass(frozen=True)
class TopicsState:
    """What is known. `known` says that all topics were there once, so that workloads need not wait for them,
    `pending` that the broker has not answered yet, one way or the other."""

    provider: str
    desired: int
    ready: int
    known: bool
    applied: str | None
    thresholds: str | None
    faults: tuple[Fault, ...] = ()
    created: tuple[str, ...] = field(default_factory=tuple)
    changed: tuple[str, ...] = field(default_factory=tuple)
    pending: bool = False

    @property
    def is_ready(self) -> bool:
        return self.ready >= self.desired


def names_mark(context: Context) -> str:
    """Hash of which topics there shall be, at which broker."""
    return digest([context.pipeline.spec.broker.bootstrap_servers, sorted(topic.name for topic in context.plan.topics)])


def _marks(context: Context) -> tuple[str, str]:
    """Of the topics' names, and of all that is said of topics and broker."""
    topics = [topic.model_dump(mode="json") for topic in context.plan.topics]
    return names_mark(context), digest([topics, context.pipeline.spec.broker.model_dump(mode="json")])


def observe_topics(
    context: Context, kubernetes: Kubernetes, cache: Cache, key: Key, tasks: TopicTasks, status: Object
) -> TopicsState:
    """Start what is due, and say what is known by now. Does not wait."""
    before = status.get("topics", {})
    names, mark = tasks.marks.of(context.plan, context.pipeline.spec.broker, make=lambda: _marks(context))
    if context.topic_provider == "admin":
        report, fault = _ask_broker(context, kubernetes, tasks, mark)
    else:
        report, fault = _ask_resources(context, cache, key)
    ready = len(context.plan.topics) if report is not None and not report.mismatches else 0
    fit = report is not None and not report.unfit
    known = fit or before.get("applied") == names
    published = before.get("thresholds")
    faults = [fault] if fault else []
    if report is not None:
        published, thresholds_fault = _ask_thresholds(context, kubernetes, tasks, report, published)
        faults += [Fault("TopicMismatch", text) for text in report.mismatches]
        faults += [Fault("PartitionsKept", text) for text in report.kept]
        faults += [thresholds_fault] if thresholds_fault else []
    return TopicsState(
        provider=context.topic_provider,
        desired=len(context.plan.topics),
        ready=ready,
        known=known,
        applied=names if fit else before.get("applied"),
        thresholds=published,
        faults=tuple(faults),
        created=tuple(report.created) if report else (),
        changed=tuple(report.changed) if report else (),
        pending=report is None and fault is None and context.topic_provider == "admin",
    )


def _ask_broker(
    context: Context, kubernetes: Kubernetes, tasks: TopicTasks, mark: str
) -> tuple[TopicsReport | None, Fault | None]:
    topics, pipeline = context.plan.topics, context.pipeline

    async def work() -> TopicsReport:
        settings = await broker_settings(kubernetes, pipeline)
        return await asyncio.to_thread(ensure_topics, settings, topics)

    tasks.topics.ask(mark, work, max_age=context.settings.reconcile.interval)
    error = tasks.topics.error(mark)
    return tasks.topics.result(mark), _fault("BrokerError", error)


def _ask_resources(context: Context, cache: Cache, key: Key) -> tuple[TopicsReport | None, Fault | None]:
    """Topics that another operator makes: all of them Ready, or the first that is not."""
    place, served = context.pipeline.spec.broker.namespace, context.settings.namespaces
    if place is not None and served and place not in served:
        text = f"broker.namespace: the operator serves only {', '.join(served)}; add {place} to its `namespaces`"
        return None, Fault("TopicFailed", text)
    for wanted in build_topics(context):
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        live = cache.child(key, kind, name)
        conditions = (live or {}).get("status", {}).get("conditions", [])
        ready = next((c for c in conditions if c["type"] == "Ready"), None)
        if ready is None or ready["status"] != "True":
            failed = ready is not None and ready["status"] == "False"
            text = f"{kind} {name}: {(ready or {}).get('message') or 'not ready yet'}"
            return None, Fault("TopicFailed", text) if failed else None
    return TopicsReport(), None


def _ask_thresholds(
    context: Context, kubernetes: Kubernetes, tasks: TopicTasks, report: TopicsReport, written: str | None
) -> tuple[str | None, Fault | None]:
    """The hash of the thresholds that the topic has by now; published when they differ, or the topic is another."""
    topic = context.plan.topic(TopicKind.THRESHOLDS)
    if topic is None or (context.plan.suspended and written is None):
        return written, None
    thresholds, made = context.plan.thresholds, report.ids.get(topic.name)
    mark = tasks.published.of(thresholds, made, make=lambda: thresholds_mark(thresholds, topic, report))
    if written == mark:
        return mark, None
    pipeline = context.pipeline

    async def work() -> str:
        settings = await broker_settings(kubernetes, pipeline)
        await asyncio.to_thread(publish_thresholds, settings, topic, thresholds)
        return mark

    tasks.thresholds.ask(mark, work)
    return tasks.thresholds.result(mark) or written, _fault("ThresholdsNotPublished", tasks.thresholds.error(mark))


def thresholds_mark(thresholds: tuple[SymbolThresholds, ...], topic: Topic, report: TopicsReport) -> str:
    """Hash of thresholds and of the very topic that they are in: a topic that was made again gets them again."""
    values = [[record.symbol, record.values] for record in thresholds]
    return digest([values, report.ids.get(topic.name)])


def _fault(reason: str, error: MarketPipelineError | None) -> Fault | None:
    return Fault(reason, str(error)) if error is not None else None


async def broker_settings(kubernetes: Kubernetes, pipeline: MarketPipeline) -> KafkaSettings:
    """How to reach the broker, with the password and the certificates out of their Secrets."""
    broker, namespace = pipeline.spec.broker, pipeline.metadata.namespace or "default"
    own = broker.client_certificate_secret
    places = {
        "password": broker.password_secret and (broker.password_secret.name, broker.password_secret.key),
        "ca": broker.ca_secret and (broker.ca_secret.name, broker.ca_secret.key),
        "certificate": own and (own.name, own.certificate),
        "key": own and (own.name, own.key),
    }
    values = {
        field: await read_secret(kubernetes, namespace, *place) for field, place in places.items() if place is not None
    }
    servers = ",".join(_qualified(address, namespace) for address in broker.bootstrap_servers.split(","))
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": servers,
            "username": broker.username,
            "sasl_mechanism": broker.sasl_mechanism,
            "tls": broker.tls,
            **values,
        }
    )


def _qualified(address: str, namespace: str) -> str:
    """A Service's bare name means the pipeline's namespace, not the operator's."""
    host, _, port = address.rpartition(":")
    bare = "." not in host and ":" not in host and host != "localhost"
    return f"{host}.{namespace}.svc:{port}" if bare else address


async def remove_topics(kubernetes: Kubernetes, context: Context) -> bool:
    """Remove the topics at the broker."""
    settings = await broker_settings(kubernetes, context.pipeline)
    await asyncio.to_thread(delete_topics, settings, [topic.name for topic in context.plan.topics])
    return True
