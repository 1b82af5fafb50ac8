"""The kinds of objects that the operator deals with, and where the API server serves them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from marketpipeline.spec import API_VERSION, KIND

from marketpipeline_operator.names import Object

__all__ = [
    "AUTOSCALER",
    "CHILD_KINDS",
    "DEPLOYMENT",
    "EVENT",
    "LEASE",
    "OPTIONAL_KINDS",
    "PIPELINE_KIND",
    "POD",
    "SECRET",
    "SERVICE_ACCOUNT",
    "TOPIC_KINDS",
    "Kind",
    "kind_of",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of the API; `group` is empty for the core's."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None, name: str | None = None, subresource: str | None = None, **query: object
    ) -> str:
        """Path below the server's address; `namespace` None is the whole cluster."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        parts = [root + place, self.plural, *filter(None, (name, subresource))]
        given = {key: value for key, value in query.items() if value is not None}
        return "/".join(parts) + (f"?{urlencode(given)}" if given else "")


_GROUP, _VERSION = API_VERSION.split("/")
PIPELINE_KIND = Kind(_GROUP, _VERSION, KIND, "marketpipelines")
POD = Kind("", "v1", "Pod", "pods")
SECRET = Kind("", "v1", "Secret", "secrets")
EVENT = Kind("", "v1", "Event", "events")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
"""Those of users, and of KEDA, which makes one for each ScaledObject."""
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")

CHILD_KINDS = (
    SERVICE_ACCOUNT,
    Kind("", "v1", "ConfigMap", "configmaps"),
    Kind("", "v1", "Service", "services"),
    DEPLOYMENT,
    Kind("batch", "v1", "CronJob", "cronjobs"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
)
"""What every cluster has."""

TOPIC_KINDS = (
    Kind("cluster.redpanda.com", "v1alpha2", "Topic", "topics"),
    Kind("kafka.strimzi.io", "v1", "KafkaTopic", "kafkatopics"),
    Kind("kafka.strimzi.io", "v1beta2", "KafkaTopic", "kafkatopics"),
)
"""They hold data, so they are not removed with the pipeline unless its deletion policy says so. Of two versions of a
kind the first that the cluster serves is used."""

OPTIONAL_KINDS = (
    Kind("flink.apache.org", "v1beta1", "FlinkDeployment", "flinkdeployments"),
    Kind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    Kind("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    *TOPIC_KINDS,
)
"""What only clusters with another operator have."""

_BY_NAME = {
    (kind.api_version, kind.kind): kind for kind in (*CHILD_KINDS, *OPTIONAL_KINDS, PIPELINE_KIND, POD, AUTOSCALER)
}


def kind_of(thing: Object) -> Kind:
    """The kind of an object. Raises KeyError for one that the operator does not deal with."""
    return _BY_NAME[thing["apiVersion"], thing["kind"]]
