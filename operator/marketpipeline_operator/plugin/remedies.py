"""What to do about each thing that a status can say is wrong, in one sentence.

The status says what is wrong in the words of the part at fault; this says where to put one's hand. A reason that is not
ours is the kubelet's or a controller's, of which the common ones are here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["REMEDIES", "remedy_of"]

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "ApplyFailed": (
            "An object could not be written. Where it says that somebody else made it: rename or remove that "
            "object, or name the pipeline otherwise. Where a right or a quota is missing: grant it."
        ),
        "BrokerError": (
            "The broker cannot be used. Check spec.broker.bootstrapServers, and that the namespace's network "
            "policies let Pods reach it; with TLS or SASL also the Secrets that spec.broker names."
        ),
        "CrashLoopBackOff": (
            "A container ends soon after its start. Read why: kubectl marketpipeline logs NAME --previous."
        ),
        "CreateContainerConfigError": "A container lacks its settings or a Secret's key; the message says which.",
        "DeadlineExceeded": "A scheduled job took longer than it may; read its log, and look at the database's load.",
        "ExchangeNotReached": (
            "The exchange does not answer what it lists. What was followed stays; where nothing is yet, let "
            "the operator's Pod reach the REST address of the exchange (spec.ingestion.restUrls)."
        ),
        "FailedCreate": (
            "The namespace refuses Pods: a quota, a limit range or its Pod security. The message says which."
        ),
        "FlinkOperatorMissing": "Install Flink's Kubernetes operator, or set spec.processing.mode to standalone.",
        "ImagePullBackOff": (
            "An image cannot be pulled: check its name and tag in the operator's setting images and, for a "
            "private registry, imagePullSecrets of the part. What ran before goes on meanwhile."
        ),
        "InvalidSpec": "The spec says what cannot be; change the field that is named.",
        "JobFailed": (
            "The stream job ended with an error, which is in the message; more is in kubectl marketpipeline "
            "logs NAME --component stream-job. It is started again by itself."
        ),
        "JobManagerUnreachable": (
            "The JobManager's Pod does not answer; look at it with kubectl marketpipeline status, and that "
            "network policies let the operator reach its port 8081."
        ),
        "NothingSelected": (
            "A selector stands for nothing that the exchange lists: look for a slip in it, or an exclude that "
            "covers it."
        ),
        "OOMKilled": "A container needed more memory than it may have: raise resources.memory of its part.",
        "OutdatedCRD": "Upgrade the CRD with the operator: kubectl apply --server-side -f crds/.",
        "PartitionsKept": "Partitions of a topic never shrink. Set spec.broker.partitions to what the topic has.",
        "ProcessDegraded": (
            "The process runs and says itself what it lacks: most often a store or an exchange that does not "
            "answer. Look there first; it goes on by itself as soon as that is back, and loses nothing."
        ),
        "ProgressDeadlineExceeded": "A new version did not become ready in time; see its Pods below.",
        "ReconcileFailed": (
            "The operator's pass ended with an error and is tried again; kubectl marketpipeline report NAME "
            "collects what a bug report needs."
        ),
        "RolloutHalted": (
            "The first process with the change does not become ready, so all others run as before. Mend what "
            "the message says, or take the change back."
        ),
        "ScheduledJobFailed": "A scheduled job failed; the message has the command that shows its log.",
        "SavepointFailed": (
            "A savepoint could not be taken; the job goes on. The message is Flink's: most often the checkpoint "
            "directory is full or cannot be written."
        ),
        "SecretMissing": "Create the Secret, or the key in it, that the message names.",
        "Silent": (
            "The exchange sends nothing to these processes. Look at its status page, and whether the "
            "namespace's egress reaches it; a market may also be closed."
        ),
        "ThresholdsNotPublished": (
            "The thresholds could not be written to their topic yet, so those before are in force; see what "
            "it says of the broker."
        ),
        "TooManySymbols": (
            "Selectors stand for more symbols than spec.maxSymbols allows. Raise it, or name less with exclude."
        ),
        "TopicConflict": (
            "Another pipeline has these topics. Delete this one and create it with a broker.topicPrefix of its own."
        ),
        "TopicFailed": "A topic could not be made; the message is the broker's or the topic operator's own.",
        "TopicMismatch": "A topic differs in what cannot be changed; the message says in what.",
        "TopicOperatorMissing": "Install Strimzi or Redpanda's operator, or set spec.broker.provider to admin.",
        "Unschedulable": "No node has room for a Pod, or fits its selector and tolerations; see the message.",
    }
)


def remedy_of(reason: str) -> str:
    """What to do; empty for a reason that nothing is known of."""
    return REMEDIES.get(reason, "")
