"""What Prometheus' operator reads: where to scrape a pipeline, and which alerts it has, each with a runbook."""

from __future__ import annotations

from marketpipeline_operator.builders.alert_rules import LATE_SHARE, RULES, AlertRule, Target, late_share
from marketpipeline_operator.builders.context import Context, child
from marketpipeline_operator.builders.network import METRICS
from marketpipeline_operator.names import COMPONENT, PIPELINE, PODS, Object

__all__ = ["prometheus_rule", "service_monitor"]


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
    """Alerts on a pipeline that is to run; each says what it means and names its runbook."""
    head = _selected(context, child(context, "monitoring.coreos.com/v1", "PrometheusRule", PODS))
    labels = {"pipeline": context.name, "namespace": context.namespace}
    of = Target(
        pods=f'namespace="{context.namespace}", {_label(PIPELINE)}="{context.name}"',
        own=f'pipeline_namespace="{context.namespace}", pipeline="{context.name}"',
        recorded=", ".join(f'{name}="{value}"' for name, value in labels.items()),
        namespace=context.namespace,
        plan=context.plan,
    )
    recorded = {"record": LATE_SHARE, "expr": late_share(of), "labels": labels}
    alerts = [_alert(context, rule, of, labels) for rule in RULES if rule.applies(context.plan)]
    return head | {"spec": {"groups": [{"name": f"marketpipeline-{context.name}", "rules": [recorded, *alerts]}]}}


def _selected(context: Context, head: Object) -> Object:
    head["metadata"]["labels"] |= context.settings.monitoring.labels
    return head


def _label(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _alert(context: Context, rule: AlertRule, of: Target, labels: Object) -> Object:
    what = rule.summary
    annotations = {"summary": what, "description": f"{what} Pipeline {context.namespace}/{context.name}."}
    if context.settings.monitoring.runbooks:
        annotations["runbook_url"] = f"{context.settings.monitoring.runbooks.rstrip('/')}/{rule.name}.md"
    return {
        "alert": rule.name,
        "expr": rule.expression(of),
        "for": rule.after,
        "labels": {"severity": rule.severity, **labels},
        "annotations": annotations,
    }
