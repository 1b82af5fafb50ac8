"""The generated files of the chart market-stack: Chart.yaml, values, their schema, README, and Prometheus' alerts."""

from __future__ import annotations

import yaml
from marketpipeline import __version__
from marketpipeline.plan import plan
from marketpipeline.spec import API_VERSION, KIND, load_object

from marketpipeline_operator.builders.alert_rules import LATE_SHARE, RULES, Target, late_share
from marketpipeline_operator.chart import writing
from marketpipeline_operator.chart.files import HOME, MAINTAINERS
from marketpipeline_operator.chart.model import example_symbols
from marketpipeline_operator.chart.stack_values import StackValues

__all__ = [
    "stack_alerts_yaml",
    "stack_chart_yaml",
    "stack_readme",
    "stack_values_schema_json",
    "stack_values_yaml",
]

_NAMESPACE, _PIPELINE = "{{ .Release.Namespace }}", "{{ .Values.pipeline.name }}"
_IN_OPERATORS_WORDS = f'pipeline_namespace="{_NAMESPACE}", pipeline="{_PIPELINE}"'


def stack_chart_yaml() -> str:
    """Chart.yaml; the chart is released with the operator."""
    return writing.document(
        {
            "apiVersion": "v2",
            "name": "market-stack",
            "description": "What a MarketPipeline runs on: broker, stores, Grafana with dashboards, a pipeline.",
            "type": "application",
            "version": __version__,
            "appVersion": __version__,
            "kubeVersion": ">=1.29.0-0",
            "keywords": ["market-data", "timescaledb", "grafana", "redpanda", "clickhouse"],
            "home": HOME,
            "icon": f"{HOME}/images/icon.svg",
            "maintainers": MAINTAINERS,
            "annotations": {"artifacthub.io/license": "Apache-2.0", "artifacthub.io/category": "streaming-messaging"},
        }
    )


def stack_values_yaml() -> str:
    """Every value with its default and what it is."""
    return writing.values_yaml(StackValues())


def stack_values_schema_json() -> str:
    """Which values are right; a spec of the pipeline as the CRD wants it."""
    return writing.values_schema_json(StackValues)


def stack_readme() -> str:
    """What a person has to know, and every value."""
    return writing.readme(_ABOUT, StackValues())


def stack_alerts_yaml() -> str:
    """The alerts of builders.alert_rules for the pipeline of the release, as a template of Prometheus' file."""
    everything: dict[str, object] = {"timescale": {}, "redis": {}, "clickhouse": {}}
    spec = {"symbols": example_symbols(), "sinks": everything, "processing": {"checkpointClaim": "checkpoints"}}
    thing = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "any"}, "spec": spec}
    planned = plan(load_object(thing))
    of = Target(
        pods=f'namespace="{_NAMESPACE}", marketpipeline_dev_pipeline="{_PIPELINE}"',
        own=_IN_OPERATORS_WORDS,
        recorded=f'namespace="{_NAMESPACE}", pipeline="{_PIPELINE}"',
        namespace=_NAMESPACE,
        plan=planned,
    )
    labels = {"pipeline": _PIPELINE, "namespace": _NAMESPACE}
    rules: list[dict[str, object]] = [{"record": LATE_SHARE, "expr": late_share(of), "labels": labels}]
    for rule in RULES:
        if rule.applies(planned):
            runbook = f"{{{{ .Values.prometheus.runbooks }}}}/{rule.name}.md"
            rules.append(
                {
                    "alert": rule.name,
                    "expr": rule.expression(of),
                    "for": rule.after,
                    "labels": {"severity": rule.severity, **labels},
                    "annotations": {"summary": rule.summary, "runbook_url": runbook},
                }
            )
    groups = {"groups": [{"name": "marketpipeline", "rules": rules}]}
    return writing.HEADER + yaml.safe_dump(groups, sort_keys=False, width=4096, allow_unicode=True)


_ABOUT = """\
# market-stack

What a MarketPipeline runs on: TimescaleDB, Valkey, Redpanda and Grafana with its dashboards; ClickHouse, a bucket
(SeaweedFS), Prometheus and Alertmanager by a switch; and a pipeline that has all of their addresses. Each part can be
somebody else's instead.

    helm install marketpipeline-operator helm/marketpipeline-operator \\
        --namespace marketpipeline-system --create-namespace
    helm install market-stack helm/market-stack --namespace market-data --create-namespace
    helm test market-stack --namespace market-data

Every part is one Pod: for development, and for one market of moderate size. Who wants copies and failover takes an
operator or a service for the part and names it as `external`: CloudNativePG with an image of TimescaleDB, Strimzi or
Redpanda's operator, Altinity's operator for ClickHouse, kube-prometheus-stack. The pipeline's Pods themselves scale
as its spec says.

## A part of your own

    timescaledb:
      enabled: false
      external:
        url: postgresql://marketpipeline@db.example.org:5432/market
        secretName: history                 # key `password`, or secretKey
        caSecretName: history-authority     # key `ca.crt`; with it TLS is used

`enabled: false` with no address: the pipeline goes without it. Two things are never part of the stack, since a
cluster has one of them: Flink's operator (`helm install flink-kubernetes-operator` of its own repository; the
pipeline takes it where it is, `pipeline.spec.processing.mode`), and Prometheus' operator.

## Passwords

There is no default password. The chart makes each once, keeps it in a Secret over upgrades and `helm uninstall`, and
finds it again when a release of the same name is installed. Where helm cannot look into the cluster (`helm template`,
Argo CD, Flux with `dry-run`) each rendering would make new ones: make the Secrets yourself and name them, one a part.

| value | keys |
|---|---|
| `timescaledb.auth.existingSecret` | `password` (user marketpipeline), `postgres` (superuser), `grafana` (may read) |
| `redis.auth.existingSecret` | `password` |
| `redpanda.auth.existingSecret` | `password` (user marketpipeline, SCRAM-SHA-512) |
| `clickhouse.auth.existingSecret` | `password` (user marketpipeline), `grafana` (may read) |
| `s3.auth.existingSecret` | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` |
| `grafana.auth.existingSecret` | `password` (user admin) |

TimescaleDB, Redpanda and Grafana read theirs when their volume is new: a later change is made in the server first,
then in the Secret.

## TLS

`<part>.tls.secretName` is a Secret with `tls.crt`, `tls.key` and `ca.crt`, as a Certificate of cert-manager makes it,
for the name of the part's Service (`<release>-timescaledb`; for Redpanda also `<release>-redpanda.<namespace>.svc`).
The pipeline checks the server by `ca.crt`. Valkey, Redpanda, ClickHouse and Grafana then serve TLS alone, TimescaleDB
both. The bucket of the stack has none, as Flink would not trust an authority of one's own.

## Upgrade, uninstall

An upgrade replaces a Pod only where something of it changed. `helm uninstall` first removes the pipeline, which
stores what it holds and ends, then the parts; it keeps volumes (`persistence.keep`) and passwords, so that an
installation of the same name goes on where it was. To remove these too:

    kubectl delete pvc,secret --namespace market-data --selector app.kubernetes.io/instance=market-stack

A volume's size is fixed in a StatefulSet: a change of `persistence.size` is refused; grow the claim itself.
"""
