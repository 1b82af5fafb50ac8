"""The alerts on a pipeline, as a table: each is one entry here and one page in docs/runbooks.

A sum over no series is empty and compares with nothing, so an alert that shall also fire when every Pod is gone says
`or vector(0)` or `or absent(…)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from marketpipeline.plan import Component, Plan
from marketpipeline.topics import TopicKind

__all__ = ["LATE_SHARE", "RULES", "AlertRule", "Target", "late_share"]

LATE_SHARE = "marketpipeline:late_trades:share_5m"
"""Recorded: the share of trades that came too late for any candle, by what a sink has stored of both."""


@dataclass(frozen=True)
class Target:
    """The pipeline that an expression is about: selectors of its Pods' series, of what the operator says of it and of
    the series that are recorded for it; its namespace and plan."""

    pods: str
    own: str
    recorded: str
    namespace: str
    plan: Plan


@dataclass(frozen=True)
class AlertRule:
    """`after` is how long the expression holds before it fires; `applies` says whether a pipeline has this alert."""

    name: str
    expression: Callable[[Target], str]
    after: str
    severity: Literal["critical", "warning"]
    summary: str
    applies: Callable[[Plan], bool] = lambda plan: True


def _at_work(expression: Callable[[Target], str]) -> Callable[[Target], str]:
    """Of a pipeline that is to run: one that is suspended or asleep has no Pods, and is not ready, by its spec."""

    def while_it_is(of: Target) -> str:
        return f"({expression(of)}) unless on() marketpipeline_operator_pipeline_resting{{{of.own}}} == 1"

    return while_it_is


def late_share(of: Target) -> str:
    """The recording rule behind LATE_SHARE."""

    def stored(kind: str) -> str:
        return f'sum by (sink) (rate(marketpipeline_sink_rows_total{{{of.pods}, kind="{kind}"}}[5m]))'

    return f"max({stored('late_trade')} / {stored('trade')})"


def _not_ingesting(of: Target) -> str:
    return f"(sum(rate(marketpipeline_ingestion_produced_total{{{of.pods}}}[5m])) or vector(0)) == 0"


def _job_down(of: Target) -> str:
    running = f"marketpipeline_stream_job_running{{{of.pods}}}"
    return f"max({running}) == 0 or absent({running})"


def _stale_checkpoint(of: Target) -> str:
    """Ten should have followed, and five minutes have passed; or the job runs and there is none at all."""
    interval = of.plan.stream_job.checkpoint_interval_ms / 1_000 if of.plan.stream_job else 0.0
    oldest = max(300, round(10 * interval))
    age = f"min(marketpipeline_stream_job_checkpoint_age_seconds{{{of.pods}}})"
    return f"max(marketpipeline_stream_job_running{{{of.pods}}}) == 1 unless on() {age} <= {oldest}"


def _behind(lag: str, taken: str, by: str) -> Callable[[Target], str]:
    """More records wait than are taken in a minute at the present rate; where nothing is taken, any thousand."""

    def expression(of: Target) -> str:
        waiting = f"sum by ({by}) ({lag}{{{of.pods}}})"
        return f"{waiting} > 1000 unless {waiting} <= 60 * sum by ({by}) (rate({taken}{{{of.pods}}}[5m]))"

    return expression


def _dead_letters(of: Target) -> str:
    def more(metric: str, by: str) -> str:
        return f"sum by ({by}) (increase({metric}{{{of.pods}}}[15m])) > 0"

    return " or ".join(
        (
            more("marketpipeline_ingestion_dead_letters_total", "exchange"),
            more("marketpipeline_sink_dead_letters_total", "sink"),
            more("marketpipeline_stream_job_unreadable_total", "topic"),
        )
    )


def _api_fails(of: Target) -> str:
    answers = "marketpipeline_api_request_duration_seconds_count"
    failed = f'sum(rate({answers}{{{of.pods}, status=~"5.."}}[5m]))'
    return f"{failed} / sum(rate({answers}{{{of.pods}}}[5m])) > 0.05"


def _filling(of: Target) -> str:
    claim = of.plan.stream_job.checkpoint_claim if of.plan.stream_job else None
    volume = f'namespace="{of.namespace}", persistentvolumeclaim="{claim}"'
    free, whole = (f"kubelet_volume_stats_{what}_bytes{{{volume}}}" for what in ("available", "capacity"))
    return f"{free} / {whole} < 0.1"


def _has_job(plan: Plan) -> bool:
    return plan.stream_job is not None


def _has_sinks(plan: Plan) -> bool:
    return any(workload.component.is_sink for workload in plan.workloads)


def _has_archive(plan: Plan) -> bool:
    """Whether days go from a store to another, and the API, which tells of those that stay, runs."""
    tells = any(workload.component is Component.API for workload in plan.workloads)
    return tells and any(job.name == "tiers" for job in plan.scheduled_jobs)


def _has_claim(plan: Plan) -> bool:
    return plan.stream_job is not None and plan.stream_job.checkpoint_claim is not None


RULES = (
    AlertRule(
        "MarketPipelineProcessDown",
        _at_work(lambda of: f"up{{{of.pods}}} == 0 or absent(up{{{of.pods}}})"),
        "2m",
        "critical",
        "A process of the pipeline does not answer its metrics port.",
    ),
    AlertRule(
        "MarketPipelineNotIngesting",
        _at_work(_not_ingesting),
        "5m",
        "critical",
        "No record came from any exchange for five minutes.",
    ),
    AlertRule(
        "MarketPipelineFeedSilent",
        lambda of: f"sum by (pod) (marketpipeline_ingestion_silent{{{of.pods}}}) > 0",
        "2m",
        "warning",
        "A stream that is subscribed sends nothing, though it should.",
    ),
    AlertRule(
        "MarketPipelineGap",
        lambda of: f'sum(increase(marketpipeline_ingestion_events_total{{{of.pods}, kind="gap"}}[10m])) > 0',
        "0m",
        "warning",
        "Records are missing that the exchange no longer has.",
    ),
    AlertRule(
        "MarketPipelineJobDown",
        _at_work(_job_down),
        "3m",
        "critical",
        "The stream job does not run: no candle, measure or alert is computed.",
        _has_job,
    ),
    AlertRule(
        "MarketPipelineJobRestarting",
        lambda of: f"sum(increase(marketpipeline_stream_job_interruptions_total{{{of.pods}}}[30m])) > 2",
        "0m",
        "warning",
        "The stream job has stopped running more than twice within half an hour.",
        _has_job,
    ),
    AlertRule(
        "MarketPipelineCheckpointOld",
        _stale_checkpoint,
        "5m",
        "warning",
        "The stream job runs and completes no checkpoint: after a failure it would have much to read again.",
        _has_job,
    ),
    AlertRule(
        "MarketPipelineJobBehind",
        _behind("marketpipeline_stream_job_lag_records", "marketpipeline_stream_job_records_read_total", "topic"),
        "5m",
        "warning",
        "The stream job is more than a minute's records behind its topics.",
        _has_job,
    ),
    AlertRule(
        "MarketPipelineTradesLate",
        lambda of: f"{LATE_SHARE}{{{of.recorded}}} > 0.001",
        "5m",
        "warning",
        "More than one trade in a thousand came too late for its candles, which lack it.",
        lambda plan: plan.topic(TopicKind.CANDLES) is not None,
    ),
    AlertRule(
        "MarketPipelineSinkAway",
        lambda of: f"max by (sink) (marketpipeline_sink_away_seconds{{{of.pods}}}) > 60",
        "1m",
        "critical",
        "A store takes no records; they wait in the topics until it does, or until the topics' retention ends.",
        _has_sinks,
    ),
    AlertRule(
        "MarketPipelineSinkBehind",
        _behind("marketpipeline_sink_lag", "marketpipeline_sink_rows_total", "sink"),
        "5m",
        "warning",
        "A sink is more than a minute's records behind its topics.",
        _has_sinks,
    ),
    AlertRule(
        "MarketPipelineDeadLetters",
        _dead_letters,
        "0m",
        "warning",
        "Messages could not be used and are kept in the topic of dead letters.",
    ),
    AlertRule(
        "MarketPipelineApiFails",
        _api_fails,
        "5m",
        "warning",
        "More than one answer of the API in twenty is an error of the server.",
        lambda plan: any(workload.component is Component.API for workload in plan.workloads),
    ),
    AlertRule(
        "MarketPipelineTierNotArchived",
        lambda of: f"max by (table) (marketpipeline_api_tier_days_kept_back{{{of.pods}}}) > 0",
        "5m",
        "warning",
        "Days beyond their retention stay in the database, since the archive does not have them whole.",
        _has_archive,
    ),
    AlertRule(
        "MarketPipelineVolumeFilling",
        _filling,
        "5m",
        "warning",
        "The volume of the checkpoints is nine tenths full.",
        _has_claim,
    ),
    AlertRule(
        "MarketPipelineScheduledJobFailed",
        lambda of: f"max by (job) (marketpipeline_operator_scheduled_job_failed{{{of.own}}}) == 1",
        "5m",
        "warning",
        "The last run of a scheduled job, such as the daily clean-up, failed.",
        lambda plan: bool(plan.scheduled_jobs),
    ),
    AlertRule(
        "MarketPipelineRolloutHalted",
        lambda of: f'marketpipeline_operator_pipeline_problem{{{of.own}, problem="RolloutHalted"}} == 1',
        "5m",
        "warning",
        "A change of ingestion does not get past its first process; the others run as before.",
    ),
    AlertRule(
        "MarketPipelineNotReady",
        _at_work(lambda of: f"marketpipeline_operator_pipeline_ready{{{of.own}}} == 0"),
        "10m",
        "warning",
        "The operator has reported the pipeline as not ready for ten minutes; its conditions say why.",
    ),
)
