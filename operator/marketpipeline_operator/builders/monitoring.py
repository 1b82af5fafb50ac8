"""What Prometheus' operator reads: where to scrape a pipeline, and which alerts it has, each with a runbook."""

from __future__ import annotations

from marketpipeline.topics import Feed

from marketpipeline_operator.builders.context import Context, child
from marketpipeline_operator.builders.network import METRICS
from marketpipeline_operator.names import COMPONENT, PIPELINE, PODS, Object

__all__ = ["prometheus_rule", "service_monitor"]

_LATE_SHARE = "marketpipeline:late_trades:share_5m"


def service_monitor(context: Context) -> Object:
    """Scrapes every Pod of the pipeline through its headless Service; the Pod's labels become the series'."""
    head = _selected(context, child(context, "monitoring.coreos.com/v1", "ServiceMonitor", PODS))
    return head | {
        "spec": {
            "selector": {"matchLabels": {PIPELINE: context.name, COMPONENT: METRICS}},
            "podTargetLabels": [PIPELINE, COMPONENT],
            "endpoints": [{"port": METRICS, "path": "/metrics", "interval": context.settings.monitoring.interval}],
        }
    }


def prometheus_rule(context: Context) -> Object:
    """Alerts on a pipeline that is to run; each says what it means and names its runbook.

    The sum over no series is empty and compares with nothing: `or vector(0)` makes it fire when every Pod is gone.
    """
    head = _selected(context, child(context, "monitoring.coreos.com/v1", "PrometheusRule", PODS))
    pods = f'namespace="{context.namespace}", {_label(PIPELINE)}="{context.name}"'
    own = f'pipeline_namespace="{context.namespace}", pipeline="{context.name}"'
    rules = [
        _alert(
            context,
            "MarketPipelineProcessDown",
            f"up{{{pods}}} == 0",
            "2m",
            "critical",
            "A process of the pipeline does not answer its metrics port.",
        ),
        _alert(
            context,
            "MarketPipelineNotIngesting",
            f"(sum(rate(marketpipeline_ingestion_produced_total{{{pods}}}[5m])) or vector(0)) == 0",
            "5m",
            "critical",
            "No record came from any exchange for five minutes.",
        ),
        _alert(
            context,
            "MarketPipelineNotReady",
            f"marketpipeline_operator_pipeline_ready{{{own}}} == 0",
            "10m",
            "warning",
            "The operator has reported the pipeline as not ready for ten minutes; its conditions say why.",
        ),
    ]
    if Feed.TRADES in context.pipeline.spec.feeds:
        rules += _late_trades(context, pods)
    return head | {"spec": {"groups": [{"name": f"marketpipeline-{context.name}", "rules": rules}]}}


def _late_trades(context: Context, pods: str) -> list[Object]:
    """The share of trades that came too late for any candle, by what a sink has stored of both, and an alert on it."""

    def stored(kind: str) -> str:
        return f'sum by (sink) (rate(marketpipeline_sink_rows_total{{{pods}, kind="{kind}"}}[5m]))'

    labels = {"pipeline": context.name, "namespace": context.namespace}
    share = f"max({stored('late_trade')} / {stored('trade')})"
    selected = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return [
        {"record": _LATE_SHARE, "expr": share, "labels": labels},
        _alert(
            context,
            "MarketPipelineTradesLate",
            f"{_LATE_SHARE}{{{selected}}} > 0.001",
            "5m",
            "warning",
            "More than one trade in a thousand came too late for its candles, which lack it.",
        ),
    ]


def _selected(context: Context, head: Object) -> Object:
    head["metadata"]["labels"] |= context.settings.monitoring.labels
    return head


def _label(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _alert(context: Context, name: str, expression: str, after: str, severity: str, what: str) -> Object:
    annotations = {"summary": what, "description": f"{what} Pipeline {context.namespace}/{context.name}."}
    if context.settings.monitoring.runbooks:
        annotations["runbook_url"] = f"{context.settings.monitoring.runbooks.rstrip('/')}/{name}.md"
    labels = {"severity": severity, "pipeline": context.name, "namespace": context.namespace}
    return {"alert": name, "expr": expression, "for": after, "labels": labels, "annotations": annotations}
