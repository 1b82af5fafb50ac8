"""The dashboard of the pipeline itself, from what its processes and the operator tell Prometheus."""

from __future__ import annotations

from marketpipeline_operator.dashboards.board import Board, Series

__all__ = ["system_health"]

_PODS = 'namespace=~"$namespace", marketpipeline_dev_pipeline=~"$pipeline"'
_GOOD_AT_ZERO = ((0.0, "green"), (0.5, "red"))


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""


def _rate(metric: str, *by: str) -> str:
    return f"sum{_by(by)}(rate(marketpipeline_{metric}{{{_PODS}}}[$__rate_interval]))"


def _now(metric: str, *by: str, how: str = "sum", selected: str = "") -> str:
    return f"{how}{_by(by)}(marketpipeline_{metric}{{{_PODS}{selected}}})"


def _p99(metric: str, *by: str) -> str:
    return f"histogram_quantile(0.99, {_rate(f'{metric}_bucket', 'le', *by)})"


def _more(metric: str, window: str, *by: str, selected: str = "") -> str:
    return f"sum{_by(by)}(increase(marketpipeline_{metric}{{{_PODS}{selected}}}[{window}]))"


_EVENTS = "ingestion_events_total"
_PANELS: dict[str, tuple[tuple[str, str, str, str, str], ...]] = {
    "Feeds": (
        ("Frames", "Frames read from exchanges.", "reqps", _rate("ingestion_frames_total", "pod"), "{{pod}}"),
        ("Records", "Written, by topic.", "reqps", _rate("ingestion_produced_total", "topic"), "{{topic}}"),
        (
            "Latency from the exchange, 99th percentile",
            "Receive time less event time, without the difference of the clocks.",
            "s",
            _now("ingestion_latency_seconds", "feed", selected=', quantile="0.99"', how="max"),
            "{{feed}}",
        ),
        (
            "Our clocks less the exchange's",
            "As estimated; below 0 the exchange's clock is ahead.",
            "s",
            _now("ingestion_clock_offset_seconds", "pod", how="avg"),
            "{{pod}}",
        ),
        (
            "Events of feeds",
            "Gaps, backfills, resyncs, reconnects and the like, in five minutes.",
            "short",
            _more(_EVENTS, "5m", "kind"),
            "{{kind}}",
        ),
    ),
    "Stream job": (
        ("Lag", "Records not read yet, by topic.", "short", _now("stream_job_lag_records", "topic"), "{{topic}}"),
        ("Busy", "Of the busiest task.", "percentunit", _now("stream_job_busy_ratio", how="max"), "busy"),
        (
            "Checkpoints",
            "Time that the last one took.",
            "s",
            _now("stream_job_checkpoint_duration_seconds", how="max"),
            "duration",
        ),
        ("Size of checkpoints", "State.", "bytes", _now("stream_job_checkpoint_bytes", how="max"), "size"),
    ),
    "Stores": (
        ("Rows", "Rows stored.", "reqps", _rate("sink_rows_total", "sink"), "{{sink}}"),
        ("Lag of sinks", "Records not read yet.", "short", _now("sink_lag", "sink"), "{{sink}}"),
        (
            "Latency, 99th percentile",
            "From hop to hop, until the store has the row.",
            "s",
            _p99("sink_latency_seconds", "sink", "hop"),
            "{{sink}} {{hop}}",
        ),
        ("Stores away", "Nothing taken since.", "s", _now("sink_away_seconds", "sink", how="max"), "{{sink}}"),
    ),
    "API and operator": (
        ("API, 99th percentile", "Time to answer.", "s", _p99("api_request_duration_seconds", "route"), "{{route}}"),
        ("API", "Answers.", "reqps", _rate("api_request_duration_seconds_count", "status"), "{{status}}"),
        (
            "Operator",
            "Passes over pipelines.",
            "reqps",
            "sum by (result) (rate(marketpipeline_operator_reconciles_total[$__rate_interval]))",
            "{{result}}",
        ),
        (
            "Pipelines",
            "Pipelines of the cluster.",
            "short",
            "sum by (phase) (marketpipeline_operator_pipelines)",
            "{{phase}}",
        ),
    ),
}
"""By heading: title, text, unit, expression, legend."""


def system_health() -> Board:
    """Rates, latency, lag, gaps, dead letters, sinks, checkpoints and the operator."""
    about = "What the processes of a pipeline and the operator say of themselves."
    board = Board("mp-system-health", "System Health", about, "prometheus", refresh="15s")
    names = "label_values(marketpipeline_ingestion_frames_total, {})"
    board.choose("namespace", "Namespace", names.format("namespace"))
    board.choose("pipeline", "Pipeline", names.format("marketpipeline_dev_pipeline"))
    _numbers(board)
    for heading, panels in _PANELS.items():
        board.row(heading)
        for title, text, unit, expression, legend in panels:
            board.lines(title, text, [Series(expression, legend)], unit)
    return board


def _numbers(board: Board) -> None:
    letters = " + ".join(_more(f"{of}_dead_letters_total", "1h") for of in ("ingestion", "sink"))
    board.number("Processes up", "Pods that answer.", Series(f"sum(up{{{_PODS}}})", "up"), "short")
    board.number("Records a second", "Written.", Series(_rate("ingestion_produced_total"), "records"), "short")
    board.number(
        "Job runs",
        "1 while every task of the stream job runs.",
        Series(_now("stream_job_running", how="max"), "runs"),
        "short",
        levels=((0, "red"), (1, "green")),
    )
    board.number(
        "Age of the last checkpoint",
        "What would have to be read again after a failure.",
        Series(_now("stream_job_checkpoint_age_seconds", how="min"), "age"),
        "s",
        levels=((0, "green"), (300, "red")),
    )
    board.number(
        "Gaps, last hour",
        "Records that the exchange no longer has.",
        Series(_more(_EVENTS, "1h", selected=', kind="gap"'), "gaps"),
        "short",
        levels=_GOOD_AT_ZERO,
    )
    board.number(
        "Dead letters, last hour",
        "Messages that could not be used.",
        Series(letters, "letters"),
        "short",
        levels=_GOOD_AT_ZERO,
    )
