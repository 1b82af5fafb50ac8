"""The schema of the status, which only the operator writes."""

from __future__ import annotations

from typing import Any

__all__ = ["STATUS"]


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description} | more


def _count(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int32", "description": description}


def _texts(description: str) -> dict[str, Any]:
    items = {"type": "string"}
    return {"type": "array", "description": description, "items": items, "x-kubernetes-list-type": "set"}


def _object(description: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties}


_CONDITION = _object(
    "One aspect of the pipeline, in the form that `kubectl wait --for=condition=…` reads.",
    type=_text("Name of the aspect, e.g. Ready.", maxLength=64),
    status=_text("Whether it holds: True, False or Unknown.", enum=["True", "False", "Unknown"]),
    reason=_text("One word for programs.", maxLength=128),
    message=_text("A sentence for people, with the error of the part that is at fault.", maxLength=4096),
    lastTransitionTime=_text("When the status last changed.", format="date-time"),
    observedGeneration={
        "type": "integer",
        "format": "int64",
        "description": "Generation of the spec that this was said of.",
    },
) | {"required": ["type", "status", "reason", "lastTransitionTime"]}

STATUS: dict[str, Any] = _object(
    "What the operator found and did. Nothing here is to be edited.",
    observedGeneration={
        "type": "integer",
        "format": "int64",
        "description": "Generation of the spec that the operator acted on last.",
    },
    phase=_text(
        "The whole in one word, for people: Pending, Progressing, Running, Degraded, Suspending, Suspended, Paused, "
        "Invalid or Deleting."
    ),
    problem=_text("What is wrong, in one word; absent where nothing is."),
    symbols=_count("Symbols that the pipeline follows."),
    selection=_object(
        "What the entries of `symbols` that stand for many stand for now.",
        symbols=_texts("The symbols, by their exchanges' own listings; kept while an exchange does not answer."),
        selectors={
            "type": "array",
            "description": "Each of these entries.",
            "items": _object(
                "One entry.",
                selector=_text("As it is written in `symbols`."),
                symbols=_count(
                    "Symbols that it stands for, without regard to `maxSymbols`; absent until that is known."
                ),
            )
            | {"required": ["selector"]},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["selector"],
        },
        told=_texts("Symbols that the events topic was told of as followed."),
    ),
    conditions={
        "type": "array",
        "description": "Ready, StateDurable, DataFlowing, Degraded, Paused, and one a part: TopicsReady, SinksReady "
        "and others; SymbolsSelected where entries of `symbols` stand for many.",
        "items": _CONDITION,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    },
    components={
        "type": "array",
        "description": "Processes of each component.",
        "items": _object(
            "Processes of one component.",
            name=_text("The component, e.g. sink-timescale."),
            desired=_count("Processes that should run."),
            ready=_count("Processes that do their work."),
        )
        | {"required": ["name"]},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    processes=_text("Processes that do their work, of those that should run: 7/8."),
    data=_object(
        "What the processes' counters tell of the data.",
        observed=_text("When it was looked at; once a minute at the most.", format="date-time"),
        newestRecord=_text("When a frame of an exchange was read last.", format="date-time"),
        gapsLastHour=_count("Gaps of the last hour, or since the operator looks."),
        lag={"type": "integer", "format": "int64", "description": "Records that the sinks have to store still."},
    ),
    topics=_object(
        "The topics of the pipeline.",
        provider=_text("Who creates them: redpanda, strimzi or admin (the broker itself)."),
        desired=_count("Topics that the pipeline needs."),
        ready=_count("Topics that exist as they should."),
        applied=_text("Hash of the topics last made, so that a restart of the operator makes none again."),
        thresholds=_text("Hash of the thresholds last written to the thresholds topic."),
    ),
    secrets={
        "type": "array",
        "description": "Secrets that the Pods read.",
        "items": _object(
            "One Secret.",
            name=_text("Its name."),
            version=_text("Its resourceVersion when it was last looked at."),
            changes=_count("How often it has changed since it was first seen; each time its readers are replaced."),
        )
        | {"required": ["name"]},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    job=_object(
        "The stream job.",
        mode=_text("operator (a FlinkDeployment) or standalone (the operator's own JobManager and TaskManagers)."),
        state=_text("State of the job in Flink's words, e.g. RUNNING."),
        id=_text("Flink's id of the job that `message` is of."),
        savepoint=_text("Where the job was last stopped with a savepoint."),
        message=_text("What the job goes on from, or why it started without its former state."),
        busyPercent=_count("How busy its busiest task is, where its parallelism is scaled."),
        checkpointTime=_text("When its newest checkpoint was complete.", format="date-time"),
        checkpointBytes={"type": "integer", "format": "int64", "description": "Size of that checkpoint."},
    ),
    scaling={
        "type": "array",
        "description": "Parts whose number of processes the operator chooses.",
        "items": _object(
            "One part.",
            name=_text("The part, e.g. sink-timescale."),
            replicas=_count("Processes that it has now; of the job, parallel tasks."),
            since=_text("When that was decided.", format="date-time"),
            reason=_text("Why.", maxLength=512),
            perProcess={
                "type": "integer",
                "format": "int64",
                "description": "Records a second that one process was seen to store while it was behind.",
            },
        )
        | {"required": ["name", "replicas"]},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    maintenance=_object(
        "Restarts that wait for a maintenance window; absent where none does.",
        pending={"type": "array", "description": "What is restarted then.", "items": _text("Name of a process.")},
        opens=_text("When the next window begins.", format="date-time"),
    ),
    hibernation=_object(
        "Where the spec has a hibernation: how it stands.",
        asleep={"type": "boolean", "description": "Whether it is suspended by the schedule."},
        until=_text("Until when that stays so.", format="date-time"),
    ),
    savepoints=_object(
        "Savepoints that are kept.",
        kept={
            "type": "array",
            "description": "All of them, the newest first.",
            "items": _object(
                "One savepoint.",
                location=_text("Where it is; `processing.initialSavepoint` takes it."),
                time=_text("When it was complete.", format="date-time"),
                cause=_text("Requested, Scheduled, or Found by a job when it started."),
            )
            | {"required": ["location"]},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["location"],
        },
        job=_text("Flink's id of the job that has said which there are."),
        request=_text("The text of the annotation that the last one was taken for."),
        scheduled=_text("When the last one was taken by the schedule, or when that began.", format="date-time"),
    ),
    ingestion=_object(
        "For `kubectl scale` and autoscalers.",
        replicas=_count("Processes of ingestion that exist."),
        selector=_text("Label selector of these processes' Pods."),
    ),
    addresses=_object(
        "Where to reach the pipeline.",
        api=_text("URL of the query API inside of the cluster."),
        dashboard=_text("URL of the dashboard inside of the cluster."),
    ),
    lastError=_object(
        "What is wrong now, and since when it is said; gone when that is mended.",
        time=_text("When.", format="date-time"),
        message=_text("What, in the words of the part where it happened.", maxLength=4096),
    ),
)
