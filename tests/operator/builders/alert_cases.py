"""For each alert on a pipeline: series with which it fires, and series with which it is silent.

Values are in the notation of promtool, a value a minute: `0+5x10` is 0, 5, … 50, `1x10` eleven times 1, `_x10` absent;
minute 20 is looked at. A series is written without the labels that select the pipeline; those are added to all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CASES", "Case"]

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    fires: tuple[Series, ...]
    silent: tuple[Series, ...]


_NONE: Series = {}
_RESTS: Series = {"marketpipeline_operator_pipeline_resting{}": "1x20"}
_WORKS: Series = {"marketpipeline_operator_pipeline_resting{}": "1x5 0x15"}
_INTERRUPTIONS = "marketpipeline_stream_job_interruptions_total{}"
_READY = "marketpipeline_operator_pipeline_ready{}"
_RUNNING = "marketpipeline_stream_job_running{}"
_AGE = "marketpipeline_stream_job_checkpoint_age_seconds{}"
_ANSWERS = "marketpipeline_api_request_duration_seconds_count"
_FREE = 'kubelet_volume_stats_available_bytes{persistentvolumeclaim="state"}'
_WHOLE = 'kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="state"}'

CASES: dict[str, Case] = {
    "MarketPipelineProcessDown": Case(
        fires=(_NONE, _WORKS, {'up{pod="a"}': "0x20", 'up{pod="b"}': "1x20"}),
        silent=({'up{pod="a"}': "1x20"}, {'up{pod="a"}': "1x18 0 1"}, _RESTS, {'up{pod="a"}': "0x20"} | _RESTS),
    ),
    "MarketPipelineNotIngesting": Case(
        fires=(_NONE, _WORKS, {"marketpipeline_ingestion_produced_total{}": "500x20"}),
        silent=({"marketpipeline_ingestion_produced_total{}": "0+60x20"}, _RESTS),
    ),
    "MarketPipelineFeedSilent": Case(
        fires=({'marketpipeline_ingestion_silent{pod="a"}': "1x20"},),
        silent=(_NONE, {'marketpipeline_ingestion_silent{pod="a"}': "0x20"}),
    ),
    "MarketPipelineGap": Case(
        fires=({'marketpipeline_ingestion_events_total{kind="gap"}': "0x15 1x5"},),
        silent=(
            {'marketpipeline_ingestion_events_total{kind="gap"}': "3x20"},
            {'marketpipeline_ingestion_events_total{kind="backfill"}': "0+1x20"},
        ),
    ),
    "MarketPipelineJobDown": Case(
        fires=(_NONE, _WORKS, {_RUNNING: "0x20"}),
        silent=({_RUNNING: "1x20"}, {_RUNNING: "1x17 0 0 1"}, _RESTS),
    ),
    "MarketPipelineJobRestarting": Case(
        fires=({_INTERRUPTIONS: "0x5 0+1x15"},),
        silent=({_INTERRUPTIONS: "0x15 1x5"}, {_INTERRUPTIONS: "9x20"}),
    ),
    "MarketPipelineCheckpointOld": Case(
        fires=({_RUNNING: "1x20"}, {_RUNNING: "1x20", _AGE: "0+60x20"}),
        silent=({_RUNNING: "1x20", _AGE: "30x20"}, {_RUNNING: "0x20", _AGE: "0+60x20"}, _NONE),
    ),
    "MarketPipelineJobBehind": Case(
        fires=(
            {
                'marketpipeline_stream_job_lag_records{topic="trades"}': "0+6000x20",
                'marketpipeline_stream_job_records_read_total{topic="trades"}': "0+60x20",
            },
            {'marketpipeline_stream_job_lag_records{topic="trades"}': "2000x20"},
        ),
        silent=(
            {
                'marketpipeline_stream_job_lag_records{topic="trades"}': "2000x20",
                'marketpipeline_stream_job_records_read_total{topic="trades"}': "0+60000x20",
            },
            {'marketpipeline_stream_job_lag_records{topic="trades"}': "900x20"},
        ),
    ),
    "MarketPipelineTradesLate": Case(
        fires=(
            {
                'marketpipeline_sink_rows_total{sink="timescale",kind="trade"}': "0+1000x20",
                'marketpipeline_sink_rows_total{sink="timescale",kind="late_trade"}': "0+2x20",
            },
        ),
        silent=(
            {
                'marketpipeline_sink_rows_total{sink="timescale",kind="trade"}': "0+10000x20",
                'marketpipeline_sink_rows_total{sink="timescale",kind="late_trade"}': "0+2x20",
            },
        ),
    ),
    "MarketPipelineSinkAway": Case(
        fires=({'marketpipeline_sink_away_seconds{sink="redis"}': "0+60x20"},),
        silent=({'marketpipeline_sink_away_seconds{sink="redis"}': "0x20"}, _NONE),
    ),
    "MarketPipelineSinkBehind": Case(
        fires=(
            {
                'marketpipeline_sink_lag{sink="redis",partition="0"}': "2000x20",
                'marketpipeline_sink_rows_total{sink="redis",kind="trade"}': "5x20",
            },
        ),
        silent=(
            {
                'marketpipeline_sink_lag{sink="redis",partition="0"}': "2000x20",
                'marketpipeline_sink_rows_total{sink="redis",kind="trade"}': "0+6000x20",
            },
        ),
    ),
    "MarketPipelineDeadLetters": Case(
        fires=({'marketpipeline_sink_dead_letters_total{sink="redis"}': "0x15 1x5"},),
        silent=(
            {'marketpipeline_sink_dead_letters_total{sink="redis"}': "4x20"},
            {"marketpipeline_ingestion_dead_letters_total{}": "4x20"},
        ),
    ),
    "MarketPipelineApiFails": Case(
        fires=({f'{_ANSWERS}{{status="200"}}': "0+60x20", f'{_ANSWERS}{{status="503"}}': "0+60x20"},),
        silent=(
            {f'{_ANSWERS}{{status="200"}}': "0+6000x20", f'{_ANSWERS}{{status="503"}}': "0+60x20"},
            {f'{_ANSWERS}{{status="422"}}': "0+60x20"},
        ),
    ),
    "MarketPipelineTierNotArchived": Case(
        fires=({'marketpipeline_api_tier_days_kept_back{table="trades"}': "0x10 2x10"},),
        silent=(_NONE, {'marketpipeline_api_tier_days_kept_back{table="trades"}': "2x10 0x10"}),
    ),
    "MarketPipelineVolumeFilling": Case(
        fires=({_FREE: "5x20", _WHOLE: "100x20"},),
        silent=({_FREE: "50x20", _WHOLE: "100x20"},),
    ),
    "MarketPipelineScheduledJobFailed": Case(
        fires=({'marketpipeline_operator_scheduled_job_failed{job="sweep-timescale"}': "1x20"},),
        silent=({'marketpipeline_operator_scheduled_job_failed{job="sweep-timescale"}': "0x20"}, _NONE),
    ),
    "MarketPipelineRolloutHalted": Case(
        fires=({'marketpipeline_operator_pipeline_problem{problem="RolloutHalted"}': "1x20"},),
        silent=(
            _NONE,
            {'marketpipeline_operator_pipeline_problem{problem="ImagePullBackOff"}': "1x20"},
            {'marketpipeline_operator_pipeline_problem{problem="RolloutHalted"}': "1x10 _x10"},
        ),
    ),
    "MarketPipelineNotReady": Case(
        fires=({_READY: "0x20"}, {_READY: "0x20"} | _WORKS),
        silent=({_READY: "1x20"}, {_READY: "0x20"} | _RESTS),
    ),
}
